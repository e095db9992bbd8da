"""Checkups on a real Valkey: when they are due, what they consist of, and who takes which job first."""

from __future__ import annotations

import asyncio

import pytest

from daemons.core import health
from daemons.core.errors import Conflict
from daemons.core.models import JobSpec
from daemons.core.results import Samples
from daemons.core.views import campaign_view
from daemons.store.keys import campaign_of
from tests.support.checkups import DAY_S, OPENVINO, Checking, about
from tests.support.store import CPU, dump, eavesdropping


@pytest.fixture
def drive(store):
    return Checking(store)


class TestWhenItIsDue:
    async def test_a_new_device_is_checked_after_ten_minutes(self, drive):
        worker = await drive.worker()
        assert await drive.round() == 0
        assert await drive.due_in_s(worker) == about(600)
        await drive.let_pass(worker, 601)
        assert await drive.round() == 1

    async def test_then_once_a_day(self, drive):
        worker = await drive.worker()
        await drive.check(worker)
        await drive.let_pass(worker, DAY_S - 60)
        assert await drive.round() == 0
        await drive.let_pass(worker, 61)
        assert await drive.round() == 1
        assert await drive.round() == 0, "one that is open is enough"

    async def test_another_interval_holds_from_its_first_round_on(self, drive):
        worker = await drive.worker()
        await drive.check(worker)
        await drive.let_pass(worker, 120)
        assert await drive.round(interval_s=3600) == 0
        assert await drive.round(interval_s=60) == 1

    async def test_a_machine_that_was_started_anew_is_checked_at_once(self, drive):
        worker = await drive.worker(boot_id="a")
        await drive.check(worker)
        await drive.worker(boot_id="a", instance="another process")
        assert await drive.round() == 0
        await drive.worker(boot_id="b")
        assert await drive.round() == 1
        await drive.report(worker)
        await drive.worker(boot_id="b")
        assert await drive.round() == 0

    async def test_one_that_was_never_checked_waits_its_ten_minutes_over_a_start_of_its_machine(self, drive):
        await drive.worker(boot_id="a")
        await drive.worker(boot_id="b")
        assert await drive.round() == 0

    async def test_a_checkup_that_is_open_when_the_machine_starts_anew_does_for_that(self, drive):
        worker = await drive.worker(boot_id="a")
        await drive.let_pass(worker, 601)
        await drive.round()
        await drive.submit()
        await drive.worker(boot_id="b")
        await drive.report(worker)
        await drive.worker(boot_id="b", instance="another process")
        assert await drive.round() == 0

    async def test_a_worker_that_says_nothing_of_its_start_is_checked_daily_alone(self, drive):
        worker = await drive.worker()
        await drive.check(worker)
        await drive.worker(boot_id="a")
        assert await drive.round() == 0

    @pytest.mark.parametrize("away", ["offline", "silent", "by hand", "drained"])
    async def test_one_that_is_away_is_looked_at_again_in_a_minute(self, drive, away):
        worker = await drive.worker()
        match away:
            case "offline":
                await drive.store.fleet.goodbye(worker, None)
            case "silent":
                await drive.lose(worker)
            case "by hand":
                await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
            case "drained":
                await drive.store.fleet.drain(worker, "new fans")
        await drive.let_pass(worker, 601)
        assert await drive.round() == 0
        assert await drive.due_in_s(worker) == about(60)

    @pytest.mark.parametrize(
        "lacks", [{"builtin_models": []}, {"builtin_models": ["health-0"]}, {"capabilities": ["X (Y)"]}]
    )
    async def test_one_that_can_not_be_checked_gets_no_job_that_it_would_fail(self, drive, lacks):
        if "capabilities" in lacks:
            worker = await drive.worker("one", *lacks["capabilities"])
        else:
            worker = await drive.worker(**lacks)
        await drive.let_pass(worker, 601)
        assert await drive.round() == 0
        with pytest.raises(Conflict, match="too old to have the reference model health-1"):
            await drive.start(worker)

    async def test_many_are_started_in_portions(self, drive):
        for number in range(7):
            await drive.let_pass(await drive.worker(f"number {number}"), 601)
        answers = [await drive.store.health.start_due(DAY_S, limit=3) for _ in range(3)]
        assert answers == [(3, True), (3, True), (1, False)]

    async def test_two_orchestrators_at_once_start_each_once(self, drive):
        for number in range(5):
            await drive.let_pass(await drive.worker(f"number {number}"), 601)
        rounds = await asyncio.gather(*(drive.round() for _ in range(4)))
        assert sum(rounds) == 5
        assert len(await drive.listed("checkup_campaigns")) == 5

    async def test_devices_that_are_not_due_cost_nothing(self, drive):
        """One look at two lists, however many devices there are."""
        for number in range(20):
            await drive.worker(f"number {number}")
        redis = drive.store.server._redis
        before = (await redis.info("commandstats"))["cmdstat_hgetall"]["calls"]
        await drive.round()
        assert (await redis.info("commandstats"))["cmdstat_hgetall"]["calls"] == before


class TestWhatItIs:
    async def test_one_job_for_each_unit_that_takes_the_model(self, drive):
        worker = await drive.worker("one", CPU, "Mine (Plug-in)", OPENVINO)
        jobs = [await drive.job(job_id) for job_id in await drive.start(worker)]
        assert [job["compute_unit"] for job in jobs] == [CPU, OPENVINO]
        assert {job["options"]["worker_id"] for job in jobs} == {worker}
        assert {(job["kind"], job["status"]) for job in jobs} == {("health", "pending")}

    async def test_a_claim_says_which_bytes_it_is_about(self, drive):
        worker = await drive.worker()
        await drive.start(worker)
        job = await drive.take(worker)
        assert (job.model_url, job.model_sha256, job.check_outputs) == ("builtin:health-1", health.MODEL_SHA256, True)
        assert (job.num_inference_runs, job.extend) == (health.SPEC.num_inference_runs, health.SPEC.extend)

    async def test_it_is_among_the_campaigns_for_those_who_ask_for_it_alone(self, drive):
        worker = await drive.worker()
        (mine,) = await drive.submit()
        (checkup,) = await drive.start(worker)
        assert await drive.listed("campaigns") == [campaign_of(mine)]
        assert await drive.listed("checkup_campaigns") == [campaign_of(checkup)]

    async def test_it_leaves_no_row_and_counts_for_no_statistics(self, drive):
        worker = await drive.worker()
        await drive.check(worker)
        await drive.check(worker, "Failed", remark="no")
        view = await drive.view(worker)
        assert (view["jobs_complete"], view["jobs_failed"]) == (0, 0)
        assert await drive.store.outbox.size() == 0
        assert (await drive.store.queue.status())["workers"][worker]["queue_size"] == 0
        assert (await drive.store.server.reset())["campaigns"] == 0

    async def test_its_results_stay_until_retention(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.start(worker)
        await drive.report(worker, samples=Samples(inference_ms=[5.0]))
        assert (await drive.row(job_id))["InferenceMsMedian"] == 5.0
        assert await drive.store.campaigns.forget_old(3600.0) == (0, False)
        assert await drive.store.campaigns.forget_old(0.0) == (1, False)
        assert [key for key in await dump(drive.store) if campaign_of(job_id) in key] == []
        assert "checkup_campaigns" not in await dump(drive.store)

    async def test_events_say_of_which_kind_they_are(self, drive):
        worker = await drive.worker()
        async with eavesdropping(drive.store) as heard:
            await drive.check(worker)
            events = await heard()
        told = {(event["type"], event["state"].get("kind")) for event in events}
        assert told == {("campaign", "health"), ("job", "health"), ("worker", None)}
        last = [event["state"] for event in events if event["type"] == "campaign"][-1]
        assert campaign_view(last)["kind"] == "health"

    async def test_a_waiting_claim_is_told(self, drive):
        worker = await drive.worker()
        wakes = drive.store.broadcast.wakes()
        assert await anext(wakes) == {}
        await drive.start(worker)
        assert await anext(wakes) == {f"health:{worker}": 1}
        await wakes.aclose()


class TestWhoGoesFirst:
    async def test_a_daily_one_waits_until_nothing_else_does(self, drive):
        worker = await drive.worker()
        await drive.let_pass(worker, 601)
        await drive.round()
        (users,) = await drive.submit()
        assert (await drive.take(worker)).job_id == users
        await drive.finish(users, worker)
        assert await drive.spec_of_next(worker)

    async def test_after_an_hour_it_goes_first(self, drive):
        worker = await drive.worker()
        await drive.let_pass(worker, 601)
        await drive.round()
        await drive.submit()
        await drive.let_pass(worker, 3600)
        assert await drive.spec_of_next(worker)

    async def test_one_that_was_away_for_longer_goes_first(self, drive):
        worker = await drive.worker()
        await drive.check(worker)
        await drive.let_pass(worker, 2 * DAY_S)
        await drive.round()
        await drive.submit()
        assert await drive.spec_of_next(worker)

    async def test_after_a_start_of_the_machine_it_goes_first(self, drive):
        worker = await drive.worker(boot_id="a")
        await drive.check(worker)
        await drive.submit()
        await drive.worker(boot_id="b")
        await drive.round()
        assert await drive.spec_of_next(worker)

    async def test_one_that_a_person_asks_for_goes_first(self, drive):
        worker = await drive.worker()
        await drive.submit(JobSpec(compute_unit=CPU, worker_id=worker, priority=100))
        await drive.start(worker)
        assert await drive.spec_of_next(worker)

    async def test_no_other_device_takes_it(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        await drive.start(one)
        assert await drive.claim(two) is None

    async def test_a_drained_one_gets_none(self, drive):
        worker = await drive.worker()
        await drive.start(worker)
        await drive.store.fleet.drain(worker, "new fans")
        assert await drive.claim(worker) is None
        await drive.store.fleet.drain(worker, None)
        assert await drive.spec_of_next(worker)

    async def test_one_that_was_set_faulty_by_hand_gets_none(self, drive):
        worker = await drive.worker()
        await drive.start(worker)
        await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        assert await drive.claim(worker) is None
