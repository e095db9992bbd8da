"""What checkups make of a device, on a real Valkey: set aside with a reason, and back when one is passed."""

from __future__ import annotations

import msgspec
import pytest

from daemons.core import health
from daemons.core.errors import Conflict, NotFound, StaleAttempt
from daemons.core.models import ClaimRequest, JobSpec
from daemons.store.keys import campaign_of
from tests.support.checkups import DRIFTED, NOISY, OPENVINO, PASSING, Checking, about
from tests.support.store import CPU, GPU, LATER, OF_DUTIES, OF_EVENTS, dump


@pytest.fixture
def drive(store):
    return Checking(store)


class TestSetAside:
    async def test_three_failures_lead_to_a_checkup_and_passing_it_leads_back(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        (users,) = await drive.submit()
        assert await drive.round() == 1, "at once: there was none a moment ago"
        assert await drive.claim(worker) is not None
        assert await drive.worker_status(worker) == "faulty", "it is set aside while it runs a health job, too"
        job_id = (await drive.view(worker))["current_job"]
        await drive.finish(job_id, worker, **PASSING)
        view = await drive.view(worker)
        assert (view["status"], view["faulty_reason"], view["current_job"]) == ("active", None, None)
        assert (await drive.take(worker)).job_id == users

    async def test_it_gets_health_jobs_alone(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU, worker_id=worker))
        answer = await drive.store.queue.claim(worker, ClaimRequest())
        assert (answer.job, answer.is_ready) == (None, False)
        assert answer.queues == (f"worker:{worker}", f"health:{worker}")
        await drive.round()
        assert await drive.spec_of_next(worker)

    async def test_two_failures_that_come_after_it_is_back_do_not_set_it_aside(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        await drive.round()
        await drive.report(worker)
        await drive.submit()
        job = await drive.take(worker)
        await drive.finish(job.job_id, worker, job.attempt, "Failed", is_device_failure=True)
        assert await drive.worker_status(worker) == "active"

    async def test_a_failed_health_job_sets_aside_with_the_reason(self, drive):
        worker = await drive.worker()
        answer = await drive.check(worker, "Failed", remark="the GPU fell off the bus", is_device_failure=True)
        assert answer["status"] == "failed", "the checkup itself is the retry"
        view = await drive.view(worker)
        reason = f"its reference model failed on {CPU}: the GPU fell off the bus"
        assert (view["status"], view["faulty_reason"]) == ("faulty", reason)
        assert (view["health"]["passed"], view["health"]["reason"]) == (False, reason)
        await drive.beat(worker)
        assert await drive.worker_status(worker) == "faulty", "a sign of life does not mend a device"

    async def test_outputs_that_are_wrong_set_aside(self, drive):
        worker = await drive.worker()
        await drive.check(worker, outputs_agree=False, warnings=["the output scores holds 10 NaN"])
        assert (
            "wrong outputs on CPU (ONNX): the output scores holds 10 NaN" in (await drive.view(worker))["faulty_reason"]
        )

    async def test_it_comes_back_with_the_next_checkup_that_it_passes(self, drive):
        worker = await drive.worker()
        await drive.check(worker, "Failed", remark="no")
        assert await drive.round() == 0
        await drive.let_pass(worker, 61)
        assert await drive.round() == 1
        await drive.report(worker)
        assert await drive.worker_status(worker) == "active"
        assert (await drive.checked(worker))["passed"] is True

    async def test_each_failure_doubles_the_pause_up_to_an_hour(self, drive):
        worker = await drive.worker()
        pauses = []
        for _ in range(8):
            await drive.check(worker, "Failed", remark="no")
            pauses.append(await drive.due_in_s(worker))
        assert pauses == [about(seconds) for seconds in (60, 120, 240, 480, 960, 1920, 3600, 3600)]

    async def test_a_device_that_passes_checkups_and_fails_jobs_is_tried_less_and_less_often(self, drive):
        worker = await drive.worker()
        pauses = []
        for _ in range(4):
            await drive.fail_three_times(worker)
            pauses.append(max(0, await drive.due_in_s(worker)))
            await drive.let_pass(worker, 3600)
            await drive.round()
            await drive.report(worker)
        assert pauses == [about(seconds) for seconds in (0, 120, 240, 480)]

    async def test_a_users_job_that_goes_well_ends_that(self, drive):
        worker = await drive.worker()
        await drive.check(worker, "Failed", remark="no")
        await drive.check(worker)
        (job_id,) = await drive.submit()
        await drive.take(worker)
        await drive.finish(job_id, worker)
        await drive.check(worker, "Failed", remark="no")
        assert await drive.due_in_s(worker) == about(60)

    async def test_one_that_is_away_while_set_aside_finds_its_checkup_when_it_is_back(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        await drive.store.fleet.goodbye(worker, None)
        assert await drive.round() == 1
        await drive.worker()
        assert await drive.worker_status(worker) == "faulty"
        await drive.report(worker)
        assert await drive.worker_status(worker) == "active"

    async def test_what_a_person_has_set_aside_no_checkup_brings_back(self, drive):
        worker = await drive.worker()
        await drive.start(worker)
        job = await drive.take(worker)
        await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        assert (await drive.finish(job.job_id, worker, job.attempt, **PASSING))["status"] == "complete"
        view = await drive.view(worker)
        assert (view["status"], view["faulty_reason"]) == ("faulty", "smells of smoke")
        with pytest.raises(Conflict, match="by hand"):
            await drive.start(worker)

    async def test_nor_does_a_failed_one_change_the_persons_reason(self, drive):
        worker = await drive.worker()
        await drive.start(worker)
        job = await drive.take(worker)
        await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
        await drive.finish(job.job_id, worker, job.attempt, "Failed", remark="no")
        assert (await drive.view(worker))["faulty_reason"] == "smells of smoke"

    async def test_a_reset_by_hand_brings_it_back_and_forgets_what_was_usual(self, drive):
        worker = await drive.worker()
        for _ in range(5):
            await drive.check(worker)
        await drive.check(worker, **DRIFTED)
        assert await drive.worker_status(worker) == "faulty"
        assert await drive.store.fleet.recover(worker) == ("active", True)
        await drive.check(worker, **DRIFTED)
        assert await drive.worker_status(worker) == "active", "this is how it is now"

    async def test_a_waiting_claim_hears_of_a_reset(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        wakes = drive.store.broadcast.wakes()
        assert await anext(wakes) == {}
        await drive.store.fleet.recover(worker)
        assert await anext(wakes) == {f"worker:{worker}": 1}
        await wakes.aclose()

    async def test_a_reset_of_a_well_one_forgets_it_too(self, drive):
        worker = await drive.worker()
        for _ in range(5):
            await drive.check(worker)
        assert await drive.store.fleet.recover(worker) == ("active", False)
        await drive.check(worker, **DRIFTED)
        assert await drive.worker_status(worker) == "active"

    async def test_a_reset_in_the_middle_of_a_health_job_leaves_the_device_busy(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        await drive.round()
        await drive.take(worker)
        assert await drive.store.fleet.recover(worker) == ("busy", True)


class TestDrift:
    async def usual(self, drive, times=5, **figures):
        worker = await drive.worker()
        for _ in range(times):
            await drive.check(worker, **figures)
        return worker

    @pytest.mark.parametrize("ms", [8.1, 3.0])
    async def test_slower_or_faster_than_usual_is_set_aside(self, drive, ms):
        worker = await self.usual(drive)
        await drive.check(worker, inference_ms_median=ms)
        view = await drive.view(worker)
        assert view["status"] == "faulty"
        assert view["faulty_reason"] == (
            f"its reference model took {ms:g} ms on {CPU} where it usually takes 5 ± 0.5 ms"
        )
        assert view["health"]["units"][CPU] == {
            "passed": False,
            "reason": view["faulty_reason"],
            "median_ms": ms,
            "usual_ms": 5.0,
        }

    async def test_four_earlier_figures_are_too_few(self, drive):
        worker = await self.usual(drive, times=4)
        await drive.check(worker, **DRIFTED)
        assert await drive.worker_status(worker) == "active"

    async def test_a_noisy_one_is_measured_again_before_it_counts(self, drive):
        worker = await self.usual(drive)
        (job_id,) = await drive.start(worker)
        assert await drive.report(worker, **NOISY) == {"status": "pending", "duplicate": False}
        assert await drive.worker_status(worker) == "active"
        again = await drive.take(worker)
        assert (again.job_id, again.attempt) == (job_id, 2)
        await drive.finish(job_id, worker, 2, **PASSING)
        assert (await drive.checked(worker))["passed"] is True
        events = [entry["event"] for entry in (await drive.job(job_id))["history"]]
        assert events == ["claimed", "doubted", "claimed", "complete"]

    async def test_a_noisy_one_that_drifts_again_counts(self, drive):
        worker = await self.usual(drive)
        await drive.start(worker)
        await drive.report(worker, **NOISY)
        await drive.report(worker, **NOISY, verdict_reasons=["the runs spread"])
        assert (await drive.view(worker))["faulty_reason"].endswith("5 ± 0.5 ms; the runs spread")

    async def test_the_report_of_a_doubted_attempt_is_taken_once(self, drive):
        worker = await self.usual(drive)
        await drive.start(worker)
        job = await drive.take(worker)
        await drive.finish(job.job_id, worker, 1, **NOISY)
        assert await drive.finish(job.job_id, worker, 1, **NOISY) == {"status": "pending", "duplicate": True}
        assert await drive.worker_status(worker) == "active"

    async def test_one_that_was_lost_meanwhile_is_doubted_where_it_waits(self, drive):
        worker = await self.usual(drive)
        await drive.start(worker)
        job = await drive.take(worker)
        await drive.lose(worker, LATER)
        await drive.finish(job.job_id, worker, 1, **NOISY)
        assert await drive.delayed() == [job.job_id]
        with pytest.raises(StaleAttempt):
            await drive.beat(worker, job.job_id, 1)

    async def test_what_did_not_pass_or_means_nothing_does_not_become_usual(self, drive):
        worker = await self.usual(drive)
        for figures in (DRIFTED, {"outputs_agree": False}, {"verdict": "invalid", "inference_ms_median": 0.0005}):
            await drive.check(worker, **figures)
        assert [figure["ms"] for figure in await self.figures(drive, worker)] == [5.0] * 5

    async def test_thirty_figures_are_kept_over_a_restart_of_the_worker(self, drive):
        worker = await self.usual(drive, times=33, verdict="noisy")
        await drive.worker(instance="another process")
        assert len(await self.figures(drive, worker)) == 30

    async def test_each_unit_has_its_own(self, drive):
        worker = await drive.worker("one", CPU, OPENVINO)
        for _ in range(6):
            await drive.start(worker)
            for ms in (5.0, 50.0):
                await drive.report(worker, inference_ms_median=ms)
        assert (await drive.checked(worker))["units"][OPENVINO]["usual_ms"] == 50.0
        assert await drive.worker_status(worker) == "active"

    async def figures(self, drive, worker):
        redis, prefix = drive.store.server._redis, drive.store.server._prefix
        return msgspec.json.decode(await redis.hget(f"{prefix}health:{worker}", CPU))


class TestSeveralUnits:
    async def test_one_unit_that_fails_fails_the_whole_and_the_rest_is_measured_all_the_same(self, drive):
        worker = await drive.worker("one", CPU, OPENVINO)
        await drive.start(worker)
        await drive.submit()
        await drive.report(worker, "Failed", remark="no luck")
        assert await drive.worker_status(worker) == "faulty", "at once: the users' job must not come in between"
        await drive.report(worker)
        checked = await drive.checked(worker)
        assert checked["passed"] is False
        assert {unit: one["passed"] for unit, one in checked["units"].items()} == {CPU: False, OPENVINO: True}
        assert await drive.worker_status(worker) == "faulty"

    async def test_passing_on_one_unit_brings_nobody_back(self, drive):
        worker = await drive.worker("one", CPU, OPENVINO)
        await drive.fail_three_times(worker)
        await drive.round()
        await drive.report(worker)
        assert await drive.worker_status(worker) == "faulty"
        await drive.report(worker)
        assert await drive.worker_status(worker) == "active"

    async def test_all_reasons_are_told(self, drive):
        worker = await drive.worker("one", CPU, GPU)
        await drive.start(worker)
        for _ in range(2):
            await drive.report(worker, "Failed", remark="no luck")
        reason = (await drive.view(worker))["faulty_reason"]
        assert f"failed on {CPU}: no luck; its" in reason
        assert f"failed on {GPU}: no luck" in reason


class TestWhatElseMayHappen:
    async def test_a_health_job_that_is_lost_is_tried_again_and_fails_after_three_times(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.start(worker)
        for _ in range(2):
            await drive.take(worker)
            await drive.lose(worker)
            await drive.beat(worker)
        assert await drive.status(job_id) == "pending"
        await drive.take(worker)
        await drive.lose(worker)
        view = await drive.view(worker)
        assert view["status"] == "faulty"
        assert "could not be run on CPU (ONNX): given up after 3 lost attempts" in view["faulty_reason"]
        await drive.beat(worker)
        assert await drive.worker_status(worker) == "faulty", "it is set aside, and not only silent"

    async def test_a_set_aside_device_that_falls_silent_in_a_health_job_loses_it_and_nothing_else(self, drive):
        worker = await drive.worker()
        await drive.fail_three_times(worker)
        await drive.round()
        job = await drive.take(worker)
        assert await drive.lose(worker, LATER) == job.job_id
        assert await drive.lose(worker) is False
        assert await drive.delayed() == [job.job_id]
        assert "3 times in a row" in (await drive.view(worker))["faulty_reason"]
        await drive.make_due()
        await drive.report(worker)
        assert await drive.worker_status(worker) == "active"

    async def test_a_cancelled_checkup_says_nothing_of_the_device(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.start(worker)
        await drive.store.campaigns.cancel(campaign_of(job_id))
        checked = await drive.checked(worker)
        assert (checked["passed"], checked["reason"], checked["open_checkup"]) == (
            None,
            "its checkup was cancelled",
            None,
        )
        assert await drive.worker_status(worker) == "active"
        assert await drive.store.outbox.size() == 0

    async def test_one_that_is_cancelled_while_set_aside_is_planned_anew(self, drive):
        worker = await drive.worker()
        await drive.check(worker, "Failed", remark="no")
        (job_id,) = await drive.start(worker)
        await drive.take(worker)
        await drive.store.campaigns.cancel_job(job_id)
        await drive.finish(job_id, worker, 1, "Cancelled")
        assert await drive.worker_status(worker) == "faulty"
        assert await drive.due_in_s(worker) == about(120)

    async def test_a_worker_that_is_too_old_for_the_model_is_told_so_and_stays(self, drive):
        worker = await drive.worker()
        await drive.check(worker, "Failed", remark=health.unknown_builtin(health.MODEL))
        checked = await drive.checked(worker)
        assert checked["passed"] is None
        assert "upgrade benchfleet on this device" in checked["reason"]
        assert await drive.worker_status(worker) == "active"

    async def test_a_second_one_is_refused_and_the_open_one_named(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.start(worker)
        with pytest.raises(Conflict, match=f"is open: {campaign_of(job_id)}$"):
            await drive.start(worker)
        assert (await drive.checked(worker))["open_checkup"] == campaign_of(job_id)

    async def test_a_drained_device_is_not_checked(self, drive):
        worker = await drive.worker()
        await drive.store.fleet.drain(worker, "new fans")
        with pytest.raises(Conflict, match="undrain it first"):
            await drive.start(worker)

    async def test_an_unknown_one_is_told(self, drive):
        with pytest.raises(NotFound):
            await drive.start("worker-abc")

    async def test_a_checkup_is_not_opened_again_by_hand(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.start(worker)
        await drive.report(worker, "Failed", remark="no")
        for step in (drive.store.campaigns.retry(campaign_of(job_id)), drive.store.campaigns.retry_job(job_id)):
            with pytest.raises(Conflict, match=f"/api/workers/{worker}/check starts a new one"):
                await step

    @pytest.mark.parametrize("where", ["waiting", "running", "delayed"])
    async def test_a_removed_device_takes_all_of_it_along(self, drive, where):
        worker = await drive.worker("one", CPU, OPENVINO)
        await drive.check(worker)
        await drive.report(worker)
        jobs = await drive.start(worker)
        if where != "waiting":
            await drive.take(worker)
        if where == "delayed":
            await drive.lose(worker, LATER)
        await drive.store.fleet.remove(worker, force=True)
        assert [await drive.status(job_id) for job_id in jobs] == ["cancelled", "cancelled"]
        kept = await dump(drive.store, without=(*OF_DUTIES, *OF_EVENTS))
        left = {key: value for key, value in kept.items() if not key.startswith(("campaign", "job:"))}
        assert [key for key, value in left.items() if worker in f"{key} {value}"] == []

    async def test_what_happened_is_counted(self, drive):
        worker = await drive.worker()
        await drive.check(worker)
        await drive.check(worker, "Failed", remark="no")
        await drive.check(worker, "Cancelled")
        counters = (await drive.store.duties.facts()).counters
        checkups = {name: times for name, times in counters.items() if name.startswith("checkups_")}
        assert checkups == {"checkups_started": 3, "checkups_passed": 1, "checkups_failed": 1}

    async def test_a_result_that_comes_late_still_judges_its_device(self, drive):
        worker = await drive.worker()
        (job_id,) = await drive.start(worker)
        await drive.take(worker)
        await drive.lose(worker, LATER)
        await drive.finish(job_id, worker, 1, "Failed", remark="no luck")
        assert "no luck" in (await drive.view(worker))["faulty_reason"]
