"""What operators do to a fleet, and what becomes of attempts that failed by the device's fault, on a real Valkey."""

from __future__ import annotations

import pytest

from daemons.core.errors import Conflict, NotFound, StaleAttempt
from daemons.core.models import ClaimRequest, JobSpec
from daemons.core.outlook import groups_of, outlook
from daemons.core.results import Samples
from daemons.store.keys import campaign_of
from daemons.store.lists import CampaignFilter
from tests.support.store import CPU, GPU, LATER, OF_DUTIES, OF_EVENTS, URL, Drive, dump, eavesdropping


@pytest.fixture
def drive(store):
    return Drive(store)


async def fail(drive, job, worker, **more):
    """The device says that it could not do its part."""
    return await drive.finish(
        job.job_id, worker, job.attempt, "Failed", is_device_failure=True, remark="its disk is full", **more
    )


async def let_others_have_had_their_minute(drive, job_id):
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    await redis.hset(f"{prefix}job:{job_id}", "avoid_until", 0)


class TestDeviceFailure:
    async def test_it_is_tried_again_and_costs_no_loss(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        assert await fail(drive, await drive.take(one), one) == {"status": "pending", "duplicate": False}
        job = await drive.job(job_id)
        assert (job["status"], job["device_failures"], job["lost_attempts"]) == ("pending", 1, 0)
        assert job["history"][-1]["event"] == "device_failed"
        assert job["history"][-1]["reason"] == "its disk is full"
        again = await drive.take(two)
        assert (again.job_id, again.attempt) == (job_id, 2)

    async def test_the_same_report_again_is_a_duplicate(self, drive):
        worker = await drive.worker()
        await drive.submit()
        job = await drive.take(worker)
        await fail(drive, job, worker)
        assert await fail(drive, job, worker) == {"status": "pending", "duplicate": True}
        assert (await drive.job(job.job_id))["device_failures"] == 1

    async def test_after_five_times_the_job_has_failed_with_the_last_reason(self, drive):
        workers = [await drive.worker(str(number)) for number in range(5)]
        (job_id,) = await drive.submit()
        for worker in workers:
            await fail(drive, await drive.take(worker), worker)
        row = await drive.row(job_id)
        assert (row["Status"], row["Remark"], row["Attempt"]) == ("Failed", "its disk is full", 5)

    async def test_three_in_a_row_set_the_device_aside(self, drive):
        worker = await drive.worker()
        for _ in range(3):
            await drive.submit()
            await fail(drive, await drive.take(worker), worker)
        view = await drive.store.fleet.get(worker)
        assert view["status"] == "faulty"
        assert view["faulty_reason"] == "it failed 3 times in a row; the last time: its disk is full"
        assert await drive.claim(worker) is None
        await drive.beat(worker)
        assert await drive.worker_status(worker) == "faulty", "a sign of life does not mend a device"

    async def test_a_job_that_ends_otherwise_breaks_the_row(self, drive):
        worker = await drive.worker()
        for is_device_failure in (True, True, False, True, True):
            await drive.submit()
            job = await drive.take(worker)
            await drive.finish(job.job_id, worker, job.attempt, "Failed", is_device_failure=is_device_failure)
        assert await drive.worker_status(worker) == "active"

    async def test_a_reset_begins_a_new_row(self, drive):
        worker = await drive.worker()
        for _ in range(3):
            await drive.submit()
            await fail(drive, await drive.take(worker), worker)
        await drive.store.fleet.recover(worker)
        await drive.submit()
        await fail(drive, await drive.take(worker), worker)
        assert await drive.worker_status(worker) == "active"

    async def test_what_a_person_has_set_aside_stays_that_persons(self, drive):
        worker = await drive.worker()
        for _ in range(2):
            await drive.submit()
            await fail(drive, await drive.take(worker), worker)
        await drive.submit()
        job = await drive.take(worker)
        await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        await fail(drive, job, worker)
        assert (await drive.store.fleet.get(worker))["faulty_reason"] == "smells of smoke"

    async def test_when_it_comes_after_a_loss_the_late_beat_of_that_attempt_resumes_nothing(self, drive):
        worker = await drive.worker()
        await drive.submit()
        job = await drive.take(worker)
        await drive.lose(worker)
        assert await fail(drive, job, worker) == {"status": "pending", "duplicate": False}
        with pytest.raises(StaleAttempt):
            await drive.beat(worker, job.job_id, job.attempt)
        assert await drive.status(job.job_id) == "pending"

    async def test_a_cancelled_job_is_not_tried_again(self, drive):
        worker = await drive.worker()
        await drive.submit()
        job = await drive.take(worker)
        await drive.store.campaigns.cancel_job(job.job_id)
        assert (await fail(drive, job, worker))["status"] == "failed"


class TestAnotherDeviceFirst:
    async def test_what_failed_here_is_left_to_another_that_could_take_it(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        lost, other = await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU))
        await drive.take(one)
        await drive.lose(one)
        assert (await drive.take(one)).job_id == other, "what waits behind it is not held up"
        assert (await drive.take(two)).job_id == lost

    async def test_a_claim_is_told_that_something_was_left(self, drive):
        one, _two = await drive.worker("one"), await drive.worker("two")
        await drive.submit()
        await drive.take(one)
        await drive.lose(one)
        answer = await drive.store.queue.claim(one, ClaimRequest())
        assert (answer.job, answer.is_ready, answer.has_left) == (None, True, True)

    @pytest.mark.parametrize("why", ["none", "other unit", "drained", "faulty", "offline"])
    async def test_where_no_other_could_it_is_tried_here_at_once(self, drive, why):
        one = await drive.worker("one")
        (job_id,) = await drive.submit()
        await drive.take(one)
        if why != "none":
            two = await drive.worker("two", GPU if why == "other unit" else CPU)
        match why:
            case "drained":
                await drive.store.fleet.drain(two, "maintenance")
            case "faulty":
                await drive.lose(two)
            case "offline":
                await drive.store.fleet.goodbye(two, None)
        await drive.lose(one)
        assert (await drive.take(one)).job_id == job_id

    async def test_after_a_minute_it_is_tried_here(self, drive):
        one, _two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        await drive.take(one)
        await drive.lose(one)
        assert await drive.claim(one) is None
        await let_others_have_had_their_minute(drive, job_id)
        assert (await drive.take(one)).job_id == job_id

    async def test_a_pinned_job_waits_for_its_device_and_no_other(self, drive):
        one, _two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit(JobSpec(compute_unit=CPU, worker_id=one))
        await drive.take(one)
        await drive.lose(one)
        assert (await drive.take(one)).job_id == job_id

    async def test_what_was_handed_back_unharmed_is_for_anybody(self, drive):
        one, _two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        await drive.take(one)
        await drive.release(job_id, one)
        assert (await drive.take(one)).job_id == job_id


class TestDrain:
    async def test_a_drained_worker_ends_what_it_runs_and_takes_nothing_more(self, drive):
        worker = await drive.worker()
        first, second = await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU))
        await drive.take(worker)
        answer = await drive.store.fleet.drain(worker, "new fans")
        assert (answer["drained"], answer["job_id"]) == (True, first)
        await drive.beat(worker, first, 1)
        await drive.finish(first, worker)
        assert (await drive.store.queue.claim(worker, ClaimRequest())).is_ready is False
        view = await drive.store.fleet.get(worker)
        assert (view["status"], view["drained"], view["drained_reason"]) == ("active", True, "new fans")
        assert await drive.waiting() == [second]

    async def test_it_outlives_a_restart_of_the_worker_and_is_ended_by_hand(self, drive):
        worker = await drive.worker(instance="a")
        await drive.submit()
        await drive.store.fleet.drain(worker, "new fans")
        await drive.worker(instance="b")
        assert await drive.claim(worker) is None
        await drive.store.fleet.drain(worker, None)
        assert await drive.claim(worker) is not None

    async def test_nobody_is_there_for_jobs_while_all_are_drained(self, drive):
        worker = await drive.worker()
        await drive.store.fleet.drain(worker, "new fans")
        assert await unserved(drive) == [CPU]
        await drive.store.fleet.drain(worker, None)
        assert await unserved(drive) == []

    async def test_a_waiting_claim_hears_that_it_may_again(self, drive):
        worker = await drive.worker()
        await drive.store.fleet.drain(worker, "new fans")
        wakes = drive.store.broadcast.wakes()
        assert await anext(wakes) == {}
        await drive.store.fleet.drain(worker, None)
        assert await anext(wakes) == {f"worker:{worker}": 1}
        await wakes.aclose()

    async def test_an_unknown_one_is_told(self, drive):
        with pytest.raises(NotFound):
            await drive.store.fleet.drain("worker-abc", "new fans")


class TestRemoval:
    async def test_a_device_that_lives_is_not_removed_unless_forced(self, drive):
        worker = await drive.worker()
        with pytest.raises(Conflict, match=r"is active: it would register again.*drain it.*force=true"):
            await drive.store.fleet.remove(worker)
        await drive.store.fleet.remove(worker, force=True)
        with pytest.raises(NotFound):
            await drive.store.fleet.get(worker)

    async def test_nothing_of_it_is_left_and_it_comes_back_as_a_new_one(self, drive):
        worker = await drive.worker()
        await drive.store.fleet.goodbye(worker, None)
        await drive.store.fleet.remove(worker)
        kept = await dump(drive.store, without=(*OF_DUTIES, *OF_EVENTS))
        assert [key for key, value in kept.items() if worker in f"{key} {value}"] == []
        assert await drive.worker() != worker

    async def test_what_waits_for_it_alone_has_failed_wherever_it_waits(self, drive):
        worker = await drive.worker()
        retried, pinned, free = await drive.submit(
            JobSpec(compute_unit=CPU, worker_id=worker),
            JobSpec(compute_unit=CPU, worker_id=worker),
            JobSpec(compute_unit=CPU),
        )
        await drive.take(worker)
        await drive.lose(worker, LATER)
        assert await drive.delayed() == [retried]
        assert (await drive.store.fleet.remove(worker))["failed"] == 2
        assert await drive.status(free) == "pending"
        for job_id in (pinned, retried):
            assert (await drive.row(job_id))["Remark"] == f"the device that it was for, {worker}, was removed"

    async def test_its_running_job_goes_back_unharmed(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.store.fleet.remove(worker, force=True)
        job = await drive.job(job_id)
        assert (job["status"], job["lost_attempts"]) == ("pending", 0)
        assert (await drive.finish(job_id, worker))["status"] == "complete", "and its late result is taken"

    async def test_it_is_announced(self, drive):
        worker = await drive.worker()
        async with eavesdropping(drive.store) as heard:
            await drive.store.fleet.remove(worker, force=True)
            assert [(event["type"], event["state"]) for event in await heard()] == [
                ("worker_removed", {"worker_id": worker})
            ]


class TestRetryByHand:
    async def test_failed_jobs_are_open_again_with_nothing_counted_against_them(self, drive):
        worker = await drive.worker()
        good, bad = await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU))
        await drive.take(worker)
        await drive.finish(good, worker)
        for _ in range(3):
            await drive.take(worker)
            await drive.lose(worker)
            await drive.beat(worker)
        assert (await drive.campaign(bad))["status"] == "completed"
        assert await drive.store.campaigns.retry(campaign_of(bad)) == {"status": "running", "retried": 1}
        job, row = await drive.store.campaigns.job(bad)
        assert (job["status"], job["lost_attempts"], job["ended_at"], row) == ("pending", 0, None, None)
        assert (await drive.campaign(bad))["ended_at"] is None
        again = await drive.take(worker)
        assert (again.job_id, again.attempt) == (bad, 4), "attempts go on: an old report stays an old one"
        for _ in range(2):
            await drive.lose(worker)
            await drive.beat(worker)
            again = await drive.take(worker)
        await drive.finish(bad, worker, again.attempt, load_ms_median=2.0)
        assert (await drive.row(bad))["LoadMsMedian"] == 2.0
        assert (await drive.campaign(bad))["job_breakdown"]["complete"] == 2

    async def test_the_old_result_and_its_samples_are_gone(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.finish(job_id, worker, 1, "Failed", remark="no", samples=Samples(load_ms=[1.0]))
        await drive.store.campaigns.retry_job(job_id)
        await drive.take(worker)
        await drive.finish(job_id, worker, 2)
        row = await drive.row(job_id)
        assert "Samples" not in row
        assert row.get("Remark") is None

    async def test_one_job_can_be_retried_alone(self, drive):
        worker = await drive.worker()
        jobs = await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU))
        for job_id in jobs:
            await drive.take(worker)
            await drive.finish(job_id, worker, 1, "Failed")
        assert (await drive.store.campaigns.retry_job(jobs[1]))["retried"] == 1
        assert [await drive.status(job_id) for job_id in jobs] == ["failed", "pending"]

    async def test_twice_is_once_and_what_has_not_failed_stays(self, drive):
        worker = await drive.worker()
        done, cancelled, waiting = await drive.submit(*[JobSpec(compute_unit=CPU)] * 3)
        await drive.take(worker)
        await drive.finish(done, worker)
        await drive.store.campaigns.cancel_job(cancelled)
        assert (await drive.store.campaigns.retry(campaign_of(done)))["retried"] == 0
        assert [await drive.status(job) for job in (done, cancelled, waiting)] == ["complete", "cancelled", "pending"]

    async def test_it_waits_behind_what_came_before_the_retry(self, drive):
        worker = await drive.worker()
        (failed,) = await drive.submit()
        await drive.take(worker)
        await drive.finish(failed, worker, 1, "Failed")
        (later,) = await drive.submit()
        await drive.store.campaigns.retry_job(failed)
        assert await drive.waiting() == [later, failed]

    async def test_what_was_for_a_removed_device_stays_failed(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit(JobSpec(compute_unit=CPU, worker_id=worker))
        await drive.store.fleet.remove(worker, force=True)
        assert (await drive.store.campaigns.retry(campaign_of(job_id)))["retried"] == 0
        assert await drive.status(job_id) == "failed"

    async def test_unknown_ones_are_told(self, drive):
        for step in (drive.store.campaigns.retry("campaign-1"), drive.store.campaigns.retry_job("campaign-1-job-0")):
            with pytest.raises(NotFound):
                await step


class TestRetention:
    async def test_a_campaign_leaves_when_its_file_is_written_and_its_time_has_come(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        campaign = campaign_of(job_id)
        await drive.take(worker)
        await drive.finish(job_id, worker, samples=Samples(load_ms=[1.0]))
        assert await drive.store.campaigns.forget_old(0.0) == (0, False), "its file is not written"
        await filed(drive, campaign)
        assert await drive.store.campaigns.forget_old(3600.0) == (0, False), "its time has not come"
        assert await drive.store.campaigns.forget_old(0.0) == (1, False)
        for question in (drive.store.campaigns.get(campaign), drive.store.campaigns.job(job_id)):
            with pytest.raises(NotFound):
                await question
        assert [key for key in await dump(drive.store) if campaign in key] == []
        assert (await drive.store.lists.campaigns(CampaignFilter(), limit=10)).items == []

    async def test_a_campaign_that_runs_or_was_opened_again_stays(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.finish(job_id, worker, 1, "Failed")
        await filed(drive, campaign_of(job_id))
        await drive.store.campaigns.retry(campaign_of(job_id))
        assert await drive.store.campaigns.forget_old(0.0) == (0, False)
        await drive.take(worker)
        await drive.finish(job_id, worker, 2)
        assert await drive.store.campaigns.forget_old(0.0) == (0, False), "its new file is not written"

    async def test_a_file_of_an_older_version_counts_for_nothing(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        version = (await drive.campaign(job_id))["version"]
        await drive.take(worker)
        await drive.finish(job_id, worker)
        await drive.store.outbox.acknowledge(campaign_of(job_id), [], version)
        assert await drive.store.campaigns.forget_old(0.0) == (0, False)

    async def test_a_large_one_is_gone_at_once_and_its_jobs_in_portions(self, drive):
        jobs = await drive.submit(*[JobSpec(compute_unit=CPU)] * 25)
        campaign = campaign_of(jobs[0])
        await drive.store.campaigns.cancel(campaign)
        await filed(drive, campaign)
        assert await drive.store.campaigns.forget_old(0.0, limit=10) == (1, True)
        with pytest.raises(NotFound):
            await drive.store.campaigns.get(campaign)
        with pytest.raises(NotFound):
            await drive.job(jobs[-1])
        assert await drive.store.campaigns.forget_old(0.0, limit=10) == (0, True)
        assert await drive.store.campaigns.forget_old(0.0, limit=10) == (0, False)
        assert [key for key in await dump(drive.store) if campaign in key] == []

    async def test_one_is_deleted_by_hand_once_it_has_ended_and_its_file_is_written(self, drive):
        (kept,) = await drive.submit()
        (job_id, *_) = await drive.submit(*[JobSpec(compute_unit=CPU)] * 3)
        campaign = campaign_of(job_id)
        for reason in ("is running; end it first", "not yet on disk"):
            with pytest.raises(Conflict, match=reason):
                await drive.store.campaigns.delete(campaign)
            await drive.store.campaigns.cancel(campaign)
        await filed(drive, campaign)
        async with eavesdropping(drive.store) as heard:
            assert await drive.store.campaigns.delete(campaign) == 3
            assert [(event["type"], event["state"]) for event in await heard()] == [
                ("campaign_removed", {"campaign_id": campaign})
            ]
        with pytest.raises(NotFound):
            await drive.store.campaigns.delete(campaign)
        assert await drive.store.campaigns.forget_old(None, limit=2) == (0, True)
        assert await drive.store.campaigns.forget_old(None, limit=2) == (0, False)
        assert [key for key in await dump(drive.store) if campaign in key] == []
        assert await drive.status(kept) == "pending"

    async def test_a_checkup_has_no_file_to_wait_for(self, drive):
        worker = await drive.worker()
        started = await drive.store.health.start(worker)
        await drive.store.campaigns.cancel(started["campaign_id"])
        assert await drive.store.campaigns.delete(started["campaign_id"]) == 1


class TestDuties:
    async def test_the_holders_word_is_known_to_all_and_nobody_elses(self, drive):
        duties = drive.store.duties
        await duties.take("a")
        await duties.note("a", {"reaper": 0.0}, {"writer": "the disk is full"}, "mark-a")
        await duties.note("b", {"writer": 0.0}, {}, "mark-b")
        facts = await duties.facts()
        assert (facts.holder, set(facts.duties), facts.outputs) == ("a", {"reaper"}, "mark-a")
        assert facts.problems == {"writer": "the disk is full"}
        await duties.note("a", {"writer": 0.0}, {}, "mark-a")
        facts = await duties.facts()
        assert (set(facts.duties), facts.problems) == ({"reaper", "writer"}, {})

    async def test_what_happened_to_attempts_is_counted_by_its_kind(self, drive):
        worker = await drive.worker(instance="a")
        await drive.submit()
        await drive.take(worker)
        await drive.lose(worker)
        await drive.beat(worker)
        await drive.take(worker)
        await drive.worker(instance="b")
        await drive.overdue(await drive.take(worker), worker)
        await drive.submit()
        await fail(drive, await drive.take(worker), worker)
        counters = (await drive.store.duties.facts()).counters
        assert counters == {
            "lost_silent": 1,
            "lost_restarted": 1,
            "lost_overdue": 1,
            "poison": 1,
            "device_failures": 1,
            "retries": 3,
            "retries_silent": 1,
            "retries_restarted": 1,
            "retries_device": 1,
            "jobs_failed": 1,
        }


async def unserved(drive):
    groups = groups_of([JobSpec(compute_unit=CPU)], URL)
    return [one.compute_unit for one in outlook(groups, await drive.store.fleet.devices(), {}).waiting]


async def filed(drive, campaign):
    """The writer's file is on disk."""
    version = (await drive.store.campaigns.get(campaign))["version"]
    entries = [entry for entry, job in (await drive.store.outbox.waiting()).items() if campaign_of(job) == campaign]
    await drive.store.outbox.acknowledge(campaign, entries, version)
