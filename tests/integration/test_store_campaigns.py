"""Campaigns: accepted whole and once, ended by the rules, listed, removed."""

from __future__ import annotations

import asyncio

import pytest

from daemons.core.errors import Conflict, InvalidInput, StoreUnavailable
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.outlook import groups_of, outlook
from daemons.store import open_store
from daemons.store.keys import campaign_of
from daemons.store.lists import CampaignFilter, JobFilter
from tests.support.store import AT_ONCE, CPU, GPU, URL, Drive, dump, eavesdropping, inconsistencies

BYTES_PER_WAITING_JOB = 600


@pytest.fixture
def drive(store):
    return Drive(store)


async def number_of(campaign_id: str) -> int:
    return int(campaign_id.removeprefix("campaign-"))


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (["Complete", "Complete"], "completed"),
        (["Complete", "Failed"], "completed"),
        (["Failed", "Complete"], "completed"),
        (["Failed", "Failed"], "failed"),
        (["Failed", "Cancelled"], "failed"),
        (["Cancelled", "Cancelled"], "cancelled"),
        (["Complete", "Cancelled"], "completed"),
    ],
)
async def test_how_a_campaign_ends_follows_from_how_its_jobs_did(drive, ends, status):
    worker = await drive.worker()
    jobs = await drive.submit(*[JobSpec(compute_unit=CPU)] * len(ends))
    for job_id, end in zip(jobs, ends, strict=True):
        view = await drive.campaign(job_id)
        assert (view["status"], view["ended_at"]) == ("running", None)
        await drive.take(worker)
        await drive.finish(job_id, worker, status=end)
    view = await drive.campaign(jobs[0])
    assert view["status"] == status
    assert view["ended_at"]
    assert (view["completed_jobs"], view["failed_jobs"]) == (ends.count("Complete"), ends.count("Failed"))


async def test_a_cancelled_campaign_with_complete_jobs_is_cancelled(drive):
    worker = await drive.worker()
    first, _ = await drive.submit(*[JobSpec(compute_unit=CPU)] * 2)
    await drive.take(worker)
    await drive.finish(first, worker)
    await drive.store.campaigns.cancel((await drive.campaign(first))["campaign_id"])
    assert (await drive.campaign(first))["status"] == "cancelled"


async def test_the_same_key_and_request_is_one_campaign(drive):
    request = CampaignRequest(model_url=URL, jobs=[JobSpec(compute_unit=CPU)])
    answers = await asyncio.gather(*(drive.store.campaigns.submit(request, "key 1") for _ in range(20)))
    assert len({answer.campaign_id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert len(await drive.waiting()) == 1


async def test_the_same_key_with_another_request_is_refused_and_changes_nothing(drive):
    await drive.submit(JobSpec(compute_unit=CPU), key="key 1")
    before = await dump(drive.store)
    with pytest.raises(Conflict, match="new key"):
        await drive.submit(JobSpec(compute_unit=CPU, num_inference_runs=11), key="key 1")
    assert await dump(drive.store) == before


async def test_another_key_is_another_campaign(drive):
    assert await drive.submit(key="key 1") != await drive.submit(key="key 2")


async def test_the_key_of_a_campaign_that_is_gone_is_refused(drive):
    await drive.submit(key="key 1")
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    await redis.delete(*[key async for key in redis.scan_iter(f"{prefix}campaign:*")], f"{prefix}campaigns")
    with pytest.raises(Conflict, match="gone"):
        await drive.submit(key="key 1")
    await drive.store.server.reset()


async def test_an_unknown_worker_refuses_the_whole_campaign(drive):
    before = await dump(drive.store)
    with pytest.raises(InvalidInput, match="worker-0"):
        await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU, worker_id="worker-0"))
    assert await dump(drive.store) == before


async def test_jobs_that_nobody_could_take_now_are_named(drive):
    one, two = await drive.worker("one", CPU), await drive.worker("two", CPU)
    await drive.store.fleet.goodbye(two, None)
    specs = [
        JobSpec(compute_unit=CPU),
        JobSpec(compute_unit=GPU),
        JobSpec(compute_unit=CPU, worker_id=two),
        JobSpec(compute_unit=GPU, worker_id=one),
    ]
    expected = outlook(groups_of(specs, URL), await drive.store.fleet.devices(), {})
    assert [(waiting.compute_unit, waiting.worker_id) for waiting in expected.waiting] == [(GPU, None), (CPU, two)]
    assert [word in " ".join(expected.warnings) for word in ("no live device", "is away", "doesn't offer")] == [
        True
    ] * 3


async def test_identifiers_are_unique_in_order_and_not_used_again_after_a_reset(drive):
    campaigns = [(await drive.submit())[0].partition("-job-")[0] for _ in range(20)]
    await drive.store.server.reset()
    campaigns += [(await drive.submit())[0].partition("-job-")[0] for _ in range(20)]
    numbers = [await number_of(campaign) for campaign in campaigns]
    assert numbers == sorted(set(numbers))


async def test_credentials_in_the_models_address_are_shown_to_nobody_but_the_worker(drive):
    worker = await drive.worker()
    request = CampaignRequest(model_url="https://me:secret@host/m.onnx", jobs=[JobSpec(compute_unit=CPU)])
    submitted = await drive.store.campaigns.submit(request)
    assert (await drive.store.campaigns.get(submitted.campaign_id))["model_url"] == "https://host/m.onnx"
    assert (await drive.take(worker)).model_url == "https://me:secret@host/m.onnx"


async def test_what_has_ended_waits_for_the_writer_until_it_is_acknowledged(drive):
    worker = await drive.worker()
    first, second = await drive.submit(*[JobSpec(compute_unit=CPU)] * 2)
    await drive.take(worker)
    await drive.finish(first, worker)
    await drive.store.campaigns.cancel_job(second)
    waiting = await drive.store.outbox.waiting()
    assert list(waiting.values()) == [first, second]
    await drive.store.outbox.acknowledge(campaign_of(first), list(waiting)[:1])
    assert list((await drive.store.outbox.waiting()).values()) == [second]
    assert await drive.store.outbox.size() == 1


async def test_reset_leaves_no_key_behind_and_no_other_key_is_touched(drive, valkey_url):
    worker = await drive.worker()
    await drive.submit(key="key 1")
    await drive.take(worker)
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    others = [f"x{prefix}worker:1", prefix[:-1], f"{prefix[:-1]}x:1", "a [glob]*?key"]
    await redis.mset(dict.fromkeys(others, "keep"))
    counts = await drive.store.server.reset()
    assert (counts["workers"], counts["campaigns"], counts["jobs"]) == (1, 1, 1)
    assert await dump(drive.store, without=()) == {}
    assert await redis.mget(others) == ["keep"] * len(others)
    await drive.store.server.reset()
    assert await dump(drive.store, without=()) == {}
    await redis.delete(*others)


async def test_a_prefix_with_the_signs_of_a_glob_is_taken_literally(valkey_url):
    async with open_store(valkey_url, "we[i]rd*?\\:") as store, open_store(valkey_url, "weird-other:") as other:
        await Drive(store).submit()
        await Drive(other).submit()
        await store.server.reset()
        assert await dump(store, without=()) == {}
        assert len(await Drive(other).waiting()) == 1
        await other.server.reset()


async def test_work_goes_on_after_a_reset(drive):
    worker = await drive.worker()
    (job_id,) = await drive.submit()
    await drive.take(worker)
    await drive.store.server.reset()
    worker = await drive.worker()
    (job_id,) = await drive.submit()
    assert (await drive.take(worker)).job_id == job_id


async def test_a_waiting_job_is_little_more_than_its_entry(drive):
    redis = drive.store.server._redis
    before = (await redis.info("memory"))["used_memory"]
    await drive.submit(*[JobSpec(compute_unit=CPU)] * 10_000)
    after = (await redis.info("memory"))["used_memory"]
    assert (after - before) / 10_000 <= BYTES_PER_WAITING_JOB
    assert len(await drive.waiting()) == 10_000


class TestEvents:
    async def test_every_change_is_one_event_numbered_without_gaps_with_the_whole_new_state(self, drive):
        worker = await drive.worker()
        async with eavesdropping(drive.store) as heard:
            (job_id,) = await drive.submit()
            await drive.take(worker)
            await drive.beat(worker)
            await drive.finish(job_id, worker, load_ms_median=2.5)
            events = await heard()
        numbers = [event["seq"] for event in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert numbers[-1] == int(await drive.store.server._redis.get(f"{drive.store.server._prefix}seq"))
        assert len({event["epoch"] for event in events}) == 1
        last = {event["type"]: event["state"] for event in events}
        keys = await dump(drive.store)
        campaign_id = job_id.partition("-job-")[0]
        volatile = {"last_heartbeat"}
        for kind, key in (
            ("worker", f"worker:{worker}"),
            ("campaign", f"campaign:{campaign_id}"),
            ("job", f"job:{job_id}"),
        ):
            assert {name: text for name, text in keys[key].items() if name not in volatile}.items() <= last[
                kind
            ].items()

    async def test_states_come_in_their_order(self, drive):
        worker = await drive.worker()
        async with eavesdropping(drive.store) as heard:
            (job_id,) = await drive.submit()
            await drive.take(worker)
            await drive.lose(worker)
            await drive.take(await drive.worker("two"))
            await drive.store.campaigns.cancel_job(job_id)
            await drive.finish(job_id, (await drive.job(job_id))["worker_id"], attempt=2, status="Cancelled")
            events = await heard()
        seen = [(event["state"]["status"], "cancel" in event["state"]) for event in events if event["type"] == "job"]
        assert seen == [
            ("running", False),
            ("pending", False),
            ("running", False),
            ("running", True),
            ("cancelled", False),
        ]
        campaigns = [event["state"]["status"] for event in events if event["type"] == "campaign"]
        assert (campaigns[0], campaigns[-1]) == ("running", "cancelled")

    @pytest.mark.parametrize("step", ["claim", "finish", "cancel job", "cancel campaign", "lose", "goodbye", "promote"])
    async def test_a_step_that_changes_nothing_is_no_event(self, drive, step):
        worker = await drive.worker("one", instance="i1")
        (job_id,) = await drive.submit()
        await drive.take(worker, "c1")
        campaign_id = job_id.partition("-job-")[0]

        async def do():
            match step:
                case "claim":
                    await drive.take(worker, "c1")
                case "finish":
                    await drive.finish(job_id, worker)
                case "cancel job":
                    await drive.store.campaigns.cancel_job(job_id)
                case "cancel campaign":
                    await drive.store.campaigns.cancel(campaign_id)
                case "lose":
                    await drive.lose(worker)
                case "goodbye":
                    await drive.store.fleet.goodbye(worker, "i1")
                case "promote":
                    await drive.store.queue.promote_due()

        await do()
        before = await dump(drive.store, without=("duties", "beats", f"worker:{worker}"))
        async with eavesdropping(drive.store) as heard:
            await do()
            assert await heard() == []
        assert await dump(drive.store, without=("duties", "beats", f"worker:{worker}")) == before

    async def test_a_plain_beat_is_no_event(self, drive):
        worker = await drive.worker()
        async with eavesdropping(drive.store) as heard:
            await drive.beat(worker)
            await drive.claim(worker)
            assert await heard() == []

    async def test_a_reset_is_told_and_begins_a_new_epoch(self, drive):
        await drive.submit()
        before = (await drive.store.events.position()).epoch
        async with eavesdropping(drive.store) as heard:
            await drive.store.server.reset()
            await drive.submit()
            reset, accepted = await heard()
        assert (reset["type"], accepted["type"]) == ("reset", "campaign")
        assert len({before, reset["epoch"], accepted["epoch"]}) == 3
        assert (reset["seq"], accepted["seq"]) == (0, 1)

    async def test_new_jobs_are_announced_by_queue(self, drive):
        worker = await drive.worker()
        wakes = drive.store.broadcast.wakes()
        assert await anext(wakes) == {}
        await drive.submit()
        assert await anext(wakes) == {f"unit:{CPU}": 1}
        await drive.submit(
            JobSpec(compute_unit=GPU), JobSpec(compute_unit=GPU), JobSpec(compute_unit=CPU, worker_id=worker)
        )
        assert await anext(wakes) == {f"unit:{GPU}": 2, f"worker:{worker}": 1}
        pinned = await drive.take(worker)
        await drive.release(pinned.job_id, worker)
        assert await anext(wakes) == {f"worker:{worker}": 1}
        await wakes.aclose()


async def test_many_callers_at_once_wait_for_a_connection_and_none_is_turned_away(drive):
    request = CampaignRequest(model_url=URL, jobs=[JobSpec(compute_unit=CPU)])
    answers = await asyncio.gather(*(drive.store.campaigns.submit(request) for _ in range(300)))
    assert len({answer.campaign_id for answer in answers}) == 300
    assert await inconsistencies(drive.store) == []


async def test_a_server_that_is_not_there_is_a_sentence(tmp_path):
    async with open_store(f"unix://{tmp_path}/none.sock", "x:") as store:
        for step in (
            store.lists.workers(limit=1),
            store.lists.campaigns(CampaignFilter(), limit=1),
            store.lists.jobs(JobFilter(), limit=1),
            anext(store.lists.rows(JobFilter())),
            store.queue.status(),
            store.server.facts(),
            store.outbox.waiting(),
            store.duties.take("me"),
            store.campaigns.submit(CampaignRequest(model_url=URL, jobs=[JobSpec(compute_unit=CPU)])),
            anext(store.broadcast.wakes()),
            store.fleet.lose("worker-1", 1, 1.0, AT_ONCE),
        ):
            with pytest.raises(StoreUnavailable, match="Redis doesn't answer"):
                await step
