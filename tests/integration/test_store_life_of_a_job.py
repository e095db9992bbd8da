"""Every transition of a job, on a real Valkey; after each test the store is found consistent (see `fresh_store`)."""

from __future__ import annotations

import pytest

from daemons.core.errors import NotFound, StaleAttempt
from daemons.core.models import ClaimRequest, JobSpec, Progress
from daemons.core.results import Samples
from daemons.core.retries import RetryPolicy
from tests.support.store import AT_ONCE, CPU, GPU, LATER, Drive

ON_CPU = JobSpec(compute_unit=CPU)
ON_GPU = JobSpec(compute_unit=GPU)


@pytest.fixture
def drive(store):
    return Drive(store)


class TestClaim:
    async def test_an_empty_fleet_has_nothing_and_names_the_queues_to_listen_to(self, drive):
        worker = await drive.worker("one", CPU, GPU)
        answer = await drive.store.queue.claim(worker, ClaimRequest())
        assert answer.job is None
        assert answer.is_ready
        assert answer.queues == (f"worker:{worker}", f"unit:{CPU}", f"unit:{GPU}", f"health:{worker}")

    async def test_first_come_first_served_across_campaigns(self, drive):
        worker = await drive.worker()
        first = await drive.submit(ON_CPU, ON_CPU)
        second = await drive.submit(ON_CPU)
        taken = []
        for _ in range(3):
            job = await drive.take(worker)
            taken.append(job.job_id)
            await drive.finish(job.job_id, worker)
        assert taken == [*first, *second]

    async def test_higher_priority_goes_first_and_arrival_decides_among_equals(self, drive):
        worker = await drive.worker()
        jobs = await drive.submit(
            *(JobSpec(compute_unit=CPU, priority=priority) for priority in (-100, 0, 100, 0, 100))
        )
        taken = []
        for _ in jobs:
            job = await drive.take(worker)
            taken.append(jobs.index(job.job_id))
            await drive.finish(job.job_id, worker)
        assert taken == [2, 4, 1, 3, 0]

    async def test_a_workers_own_queue_comes_before_whatever_else_waits(self, drive):
        worker = await drive.worker()
        jobs = await drive.submit(
            JobSpec(compute_unit=CPU, priority=100), JobSpec(compute_unit=CPU, worker_id=worker, priority=-100)
        )
        assert (await drive.take(worker)).job_id == jobs[1]

    async def test_a_pinned_job_is_for_its_worker_alone(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit(JobSpec(compute_unit=CPU, worker_id=one))
        assert await drive.claim(two) is None
        assert (await drive.take(one)).job_id == job_id

    async def test_among_the_heads_of_its_units_what_came_first_is_taken(self, drive):
        worker = await drive.worker("one", CPU, GPU)
        jobs = await drive.submit(ON_GPU, ON_CPU, ON_GPU)
        taken = []
        for _ in jobs:
            job = await drive.take(worker)
            taken.append(job.job_id)
            await drive.finish(job.job_id, worker)
        assert taken == jobs

    async def test_a_unit_that_the_worker_lacks_is_left_alone(self, drive):
        worker = await drive.worker("one", CPU)
        await drive.submit(ON_GPU)
        assert await drive.claim(worker) is None

    async def test_the_claim_carries_what_the_job_asks_for(self, drive):
        worker = await drive.worker()
        spec = JobSpec(
            compute_unit=CPU, num_inference_runs=7, num_load_runs=2, warmup_runs=0, threads=3, timeout_seconds=9.5
        )
        (job_id,) = await drive.submit(spec)
        job = await drive.take(worker)
        assert (job.job_id, job.attempt, job.model_url) == (job_id, 1, "http://models.example/m.onnx")
        assert (job.num_inference_runs, job.num_load_runs, job.warmup_runs) == (7, 2, 0)
        assert (job.threads, job.timeout_seconds, job.compute_unit) == (3, 9.5, CPU)

    async def test_a_claim_makes_the_worker_busy_and_a_report_active_again(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        view = await drive.store.fleet.get(worker)
        assert (view["status"], view["current_job"]) == ("busy", job_id)
        await drive.finish(job_id, worker)
        view = await drive.store.fleet.get(worker)
        assert (view["status"], view["current_job"], view["jobs_complete"]) == ("active", None, 1)

    async def test_the_same_claim_id_gets_the_same_job_and_attempt(self, drive):
        worker = await drive.worker()
        await drive.submit(ON_CPU, ON_CPU)
        first = await drive.take(worker, "c1")
        assert await drive.take(worker, "c1") == first
        assert await drive.take(worker) == first  # a client without claim ids is not given a second job either

    async def test_a_new_claim_id_gives_the_stranded_job_back_unharmed(self, drive):
        worker = await drive.worker()
        stranded, _ = await drive.submit(ON_CPU, ON_CPU)
        await drive.take(worker, "c1")
        again = await drive.take(worker, "c2")
        assert (again.job_id, again.attempt) == (stranded, 2)
        assert (await drive.job(stranded))["lost_attempts"] == 0

    async def test_an_unknown_worker_is_told_to_register(self, drive):
        for identifier in ("worker-abc123", "worker-abc:history", "..", "worker-"):
            with pytest.raises(NotFound):
                await drive.claim(identifier)

    async def test_a_faulty_worker_gets_nothing(self, drive):
        worker = await drive.worker()
        await drive.submit()
        await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        answer = await drive.store.queue.claim(worker, ClaimRequest())
        assert (answer.job, answer.is_ready) == (None, False)

    async def test_odd_units_have_queues_of_their_own(self, drive):
        odd = ["a:b (c)", "é* (x?)", "[x] (y)", "CPU  (ONNX)", "job (1)"]
        worker = await drive.worker("odd", *odd)
        jobs = await drive.submit(*(JobSpec(compute_unit=unit) for unit in odd))
        status = await drive.store.queue.status()
        assert {unit: status["units"][unit] for unit in odd} == dict.fromkeys(odd, 1)
        for job_id in jobs:
            assert (await drive.take(worker)).job_id == job_id
            await drive.finish(job_id, worker)


class TestFinish:
    async def test_a_result_is_kept_with_the_device_that_measured_it(self, drive):
        worker = await drive.worker("one")
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.finish(job_id, worker, load_ms_median=2.5, samples=Samples(load_ms=[2.5]))
        row = await drive.row(job_id)
        assert row["Status"] == "Complete"
        assert (row["DeviceName"], row["Soc"], row["Ram"], row["DeviceOs"]) == ("device one", "M9", "16", "Linux")
        assert (row["LoadMsMedian"], row["FileName"], row["ComputeUnits"]) == (2.5, "m.onnx", CPU)
        assert row["Samples"]["LoadMs"] == [2.5]
        assert "InferenceMsMedian" not in row

    async def test_the_same_report_twice_is_a_duplicate_and_counts_once(self, drive):
        worker = await drive.worker()
        first, _ = await drive.submit(ON_CPU, ON_CPU)
        await drive.take(worker)
        assert await drive.finish(first, worker, load_ms_median=1.0) == {"status": "complete", "duplicate": False}
        assert await drive.finish(first, worker, load_ms_median=9.0) == {"status": "complete", "duplicate": True}
        assert (await drive.row(first))["LoadMsMedian"] == 1.0
        assert (await drive.campaign(first))["job_breakdown"]["complete"] == 1
        assert (await drive.store.fleet.get(worker))["jobs_complete"] == 1
        assert list((await drive.store.outbox.waiting()).values()) == [first]

    async def test_an_older_attempt_is_refused(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        await drive.take(one)
        await drive.lose(one)
        assert (await drive.take(two)).attempt == 2
        with pytest.raises(StaleAttempt):
            await drive.finish(job_id, one, attempt=1)
        assert await drive.status(job_id) == "running"
        assert await drive.finish(job_id, two, attempt=2) == {"status": "complete", "duplicate": False}
        with pytest.raises(StaleAttempt):
            await drive.finish(job_id, one, attempt=1)

    async def test_nobody_settles_anothers_attempt_or_one_that_never_was(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        with pytest.raises(StaleAttempt):
            await drive.finish(job_id, one)
        await drive.take(one)
        with pytest.raises(StaleAttempt):
            await drive.finish(job_id, two)
        with pytest.raises(StaleAttempt):
            await drive.finish(job_id, one, attempt=10**30)

    @pytest.mark.parametrize("policy", [AT_ONCE, LATER], ids=["queued", "delayed"])
    async def test_a_late_result_is_taken_and_withdrawn_from_where_the_job_waits(self, drive, policy):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.lose(worker, policy)
        assert await drive.status(job_id) == "pending"
        assert await drive.finish(job_id, worker) == {"status": "complete", "duplicate": False}
        assert await drive.waiting() + await drive.delayed() == []
        assert (await drive.campaign(job_id))["status"] == "completed"
        assert await drive.worker_status(worker) == "active"

    async def test_a_late_result_leaves_the_job_that_its_worker_has_now(self, drive):
        worker = await drive.worker()
        first, second = await drive.submit(ON_CPU, ON_CPU)
        overdue = await drive.take(worker)
        await drive.overdue(overdue, worker, LATER)
        assert (await drive.take(worker)).job_id == second
        await drive.finish(first, worker)
        assert (await drive.store.fleet.get(worker))["current_job"] == second

    async def test_a_failed_report_fails_the_job_at_once(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.finish(job_id, worker, status="Failed", remark="the model is gone (404)")
        assert (await drive.row(job_id))["Remark"] == "the model is gone (404)"
        assert (await drive.campaign(job_id))["status"] == "failed"

    async def test_unknown_jobs_and_keys_that_are_no_jobs_are_not_found(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        for wrong in ("campaign-1-job-0", f"{job_id}:history", f"{job_id}:samples", "", "x" * 500, f"{job_id}\n"):
            with pytest.raises(NotFound):
                await drive.finish(wrong, worker)
            with pytest.raises(NotFound):
                await drive.job(wrong)
            with pytest.raises(NotFound):
                await drive.store.campaigns.cancel_job(wrong)
        with pytest.raises(NotFound):
            await drive.store.campaigns.get(f"{(await drive.campaign(job_id))['campaign_id']}:specs")

    async def test_the_first_report_with_a_hash_pins_the_models_bytes(self, drive):
        worker = await drive.worker()
        jobs = await drive.submit(ON_CPU, ON_CPU, ON_CPU)
        hashes = []
        for number, job_id in enumerate(jobs):
            hashes.append((await drive.take(worker)).model_sha256)
            await drive.finish(job_id, worker, model_hash=f"{number}" * 64)
        assert hashes == [None, "0" * 64, "0" * 64]
        assert (await drive.campaign(jobs[0]))["model_sha256"] == "0" * 64


class TestLosing:
    async def test_a_lost_job_waits_out_its_delay_and_is_then_promoted_to_its_old_place(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        lost, later = await drive.submit(ON_CPU, ON_CPU)
        await drive.take(one)
        assert await drive.lose(one, LATER) == lost
        assert await drive.delayed() == [lost]
        assert await drive.store.queue.promote_due() == 0
        await drive.make_due()
        assert await drive.store.queue.promote_due() == 1
        assert await drive.store.queue.promote_due() == 0
        assert await drive.waiting() == [lost, later]
        assert (await drive.take(two)).attempt == 2

    async def test_a_claim_finds_a_retry_that_is_due_without_the_reaper(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        await drive.take(one)
        await drive.lose(one, LATER)
        assert await drive.claim(two) is None
        await drive.make_due()
        assert (await drive.take(two)).job_id == job_id

    async def test_a_worker_that_has_beaten_meanwhile_is_not_lost(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        seen = (await drive.store.fleet.beats())[worker]
        await drive.beat(worker, job_id, 1)
        assert await drive.store.fleet.lose(worker, seen, 30.0, AT_ONCE) is False
        assert await drive.status(job_id) == "running"
        assert await drive.worker_status(worker) == "busy"

    async def test_losing_it_twice_loses_it_once(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        assert await drive.lose(worker) == job_id
        assert await drive.lose(worker) is False
        assert (await drive.job(job_id))["lost_attempts"] == 1

    @pytest.mark.parametrize("policy", [AT_ONCE, LATER], ids=["queued", "delayed"])
    async def test_a_worker_back_in_touch_goes_on_with_its_attempt(self, drive, policy):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.lose(worker, policy)
        answer = await drive.beat(worker, job_id, 1, progress=Progress(phase="inference"))
        assert answer.status == "busy"
        view = await drive.job(job_id)
        assert (view["status"], view["attempt"], view["lost_attempts"]) == ("running", 1, 0)
        assert await drive.waiting() + await drive.delayed() == []
        assert await drive.finish(job_id, worker) == {"status": "complete", "duplicate": False}

    async def test_an_attempt_that_somebody_else_has_taken_is_not_given_back(self, drive):
        one, two = await drive.worker("one"), await drive.worker("two")
        (job_id,) = await drive.submit()
        await drive.take(one)
        await drive.lose(one)
        await drive.take(two)
        with pytest.raises(StaleAttempt):
            await drive.beat(one, job_id, 1)
        assert await drive.worker_status(one) == "active"
        assert (await drive.job(job_id))["worker_id"] == two

    async def test_a_worker_set_faulty_by_hand_does_not_take_its_lost_attempt_up_again(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.lose(worker)
        await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        with pytest.raises(StaleAttempt):
            await drive.beat(worker, job_id, 1)
        assert await drive.worker_status(worker) == "faulty"
        assert await drive.waiting() == [job_id]

    async def test_an_overdue_attempt_is_lost_and_its_worker_told_to_stop(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        job = await drive.take(worker)
        assert await drive.overdue(job, worker)
        assert not await drive.overdue(job, worker)
        with pytest.raises(StaleAttempt):
            await drive.beat(worker, job_id, 1)
        assert (await drive.job(job_id))["lost_attempts"] == 1

    async def test_a_job_that_loses_every_attempt_is_poison_and_tells_of_each(self, drive):
        workers = [await drive.worker(name) for name in ("one", "two", "three")]
        (job_id,) = await drive.submit()
        for worker in workers:
            await drive.take(worker)
            await drive.lose(worker)
        assert await drive.status(job_id) == "failed"
        remark = (await drive.row(job_id))["Remark"]
        for number, worker in enumerate(workers, 1):
            assert f"attempt {number} on {worker}: no sign of life for 30 s" in remark
        assert "3 lost attempts" in remark
        assert (await drive.campaign(job_id))["status"] == "failed"
        assert [entry["event"] for entry in (await drive.job(job_id))["history"]] == ["claimed", "lost"] * 2 + [
            "claimed",
            "failed",
        ]

    async def test_an_attempt_that_was_taken_up_again_is_not_among_the_lost_ones(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        for _ in range(5):
            await drive.lose(worker)
            await drive.beat(worker, job_id, 1)
        await drive.lose(worker, RetryPolicy(delay_s=0, max_losses=1))
        assert (await drive.row(job_id))["Remark"].count("attempt 1 on") == 1

    async def test_a_poisonous_job_refuses_its_late_result(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.lose(worker, RetryPolicy(max_losses=1))
        with pytest.raises(StaleAttempt):
            await drive.finish(job_id, worker)
        assert await drive.status(job_id) == "failed"

    async def test_a_released_job_waits_at_its_old_place_without_a_loss(self, drive):
        worker = await drive.worker()
        first, second = await drive.submit(ON_CPU, ON_CPU)
        await drive.take(worker)
        assert await drive.release(first, worker) == "pending"
        assert await drive.waiting() == [first, second]
        assert (await drive.job(first))["lost_attempts"] == 0
        with pytest.raises(StaleAttempt):
            await drive.release(first, worker)
        assert await drive.worker_status(worker) == "active"

    async def test_a_beat_without_a_job_sets_a_wrong_record_right(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.beat(worker)
        assert await drive.status(job_id) == "running"
        await drive.beat(worker, None)
        assert await drive.status(job_id) == "pending"
        assert await drive.worker_status(worker) == "active"

    async def test_a_beat_about_another_job_gives_the_one_on_record_back(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        with pytest.raises(NotFound):
            await drive.beat(worker, "campaign-1-job-0", 1)
        assert await drive.status(job_id) == "pending"

    async def test_a_beat_of_a_lost_attempt_resumes_it_in_one_step_whatever_is_on_record(self, drive):
        """It took two: the first gave the other job back and was refused, and the second resumed the attempt."""
        one, _two = await drive.worker("one"), await drive.worker("two")
        lost, other = await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU))
        await drive.take(one)
        await drive.lose(one)
        assert (await drive.take(one)).job_id == other
        for _ in range(2):
            await drive.beat(one, lost, 1)
            assert [await drive.status(job_id) for job_id in (lost, other)] == ["running", "pending"]

    async def test_progress_is_shown_while_the_attempt_runs(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.beat(worker, job_id, 1, progress=Progress(phase="inference", done=3, total=10))
        view = await drive.store.fleet.get(worker)
        assert view["progress"] == {"phase": "inference", "done": 3, "total": 10}
        await drive.finish(job_id, worker)
        assert (await drive.store.fleet.get(worker))["progress"] is None


class TestCancel:
    async def test_waiting_jobs_end_at_once_and_running_ones_with_their_workers(self, drive):
        worker = await drive.worker()
        running, *waiting = await drive.submit(ON_CPU, ON_CPU, ON_GPU)
        await drive.take(worker)
        campaign_id = (await drive.campaign(running))["campaign_id"]
        assert await drive.store.campaigns.cancel(campaign_id) == {"status": "running", "cancelled": 2, "stopping": 1}
        assert [await drive.status(job_id) for job_id in waiting] == ["cancelled", "cancelled"]
        assert (await drive.beat(worker, running, 1)).cancel == running
        assert (await drive.beat(worker)).cancel == running
        await drive.finish(running, worker, status="Cancelled", remark="stopped")
        assert (await drive.campaign(running))["status"] == "cancelled"
        row = await drive.row(waiting[0])
        assert (row["Status"], row.get("DeviceName")) == ("Cancelled", None)

    async def test_cancelling_twice_changes_nothing_more(self, drive):
        worker = await drive.worker()
        running, _ = await drive.submit(ON_CPU, ON_CPU)
        await drive.take(worker)
        campaign_id = (await drive.campaign(running))["campaign_id"]
        await drive.store.campaigns.cancel(campaign_id)
        before = await drive.campaign(running)
        assert await drive.store.campaigns.cancel(campaign_id) == {"status": "running", "cancelled": 0, "stopping": 1}
        assert await drive.campaign(running) == before
        await drive.finish(running, worker, status="Cancelled")
        assert await drive.store.campaigns.cancel(campaign_id) == {"status": "cancelled", "cancelled": 0, "stopping": 0}

    async def test_a_retry_that_waits_out_its_delay_is_cancelled_too(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.lose(worker, LATER)
        await drive.store.campaigns.cancel((await drive.campaign(job_id))["campaign_id"])
        assert await drive.delayed() == []
        assert await drive.status(job_id) == "cancelled"

    async def test_one_job_is_cancelled_alone(self, drive):
        worker = await drive.worker()
        first, second = await drive.submit(ON_CPU, ON_CPU)
        assert await drive.store.campaigns.cancel_job(first) == {"status": "cancelled", "stopping": False}
        assert await drive.store.campaigns.cancel_job(first) == {"status": "cancelled", "stopping": False}
        assert (await drive.take(worker)).job_id == second
        assert await drive.store.campaigns.cancel_job(second) == {"status": "running", "stopping": True}
        assert (await drive.job(second))["cancel_requested"]
        await drive.finish(second, worker)
        assert await drive.store.campaigns.cancel_job(second) == {"status": "complete", "stopping": False}

    async def test_the_first_end_state_wins(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.store.campaigns.cancel((await drive.campaign(job_id))["campaign_id"])
        await drive.finish(job_id, worker)
        assert await drive.status(job_id) == "complete"
        assert (await drive.campaign(job_id))["status"] == "completed"

    @pytest.mark.parametrize("way", ["lost", "overdue", "released", "stranded", "goodbye", "faulty"])
    async def test_a_cancelled_attempt_that_ends_without_a_report_is_cancelled(self, drive, way):
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        job = await drive.take(worker)
        await drive.store.campaigns.cancel_job(job_id)
        match way:
            case "lost":
                await drive.lose(worker)
            case "overdue":
                await drive.overdue(job, worker)
            case "released":
                await drive.release(job_id, worker)
            case "stranded":
                await drive.beat(worker, None)
            case "goodbye":
                await drive.store.fleet.goodbye(worker, None)
            case "faulty":
                await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        assert await drive.status(job_id) == "cancelled"
        assert (await drive.campaign(job_id))["status"] == "cancelled"
        assert (await drive.row(job_id))["DeviceName"] == "device one"

    async def test_unknown_campaigns_are_not_found(self, drive):
        for wrong in ("campaign-1", "campaign-x", "campaign-1:specs"):
            with pytest.raises(NotFound):
                await drive.store.campaigns.cancel(wrong)
