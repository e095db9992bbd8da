"""A job's path through the worker, over real sockets, with an orchestrator that misbehaves."""

from __future__ import annotations

import asyncio
import errno
import json

import pytest
from aiohttp import web

from daemons.core.errors import WorkerReplaced
from daemons.runtime.locks import FileLock
from daemons.worker import patience
from daemons.worker.attempt import KILL_GRACE_S
from tests.support.fake_orchestrator import DROP_REPLY, FakeOrchestrator, refusal, serving
from tests.support.model_server import serving_models, status
from tests.support.worker_world import WorkerWorld, come_true


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.02)


@pytest.fixture
async def world(tmp_path):
    async with serving(FakeOrchestrator()) as fake, serving_models() as models:
        yield WorkerWorld(fake, models, tmp_path)


def outbox(world: WorkerWorld) -> list[str]:
    return sorted(path.name for path in (world.folder / "state" / "outbox").iterdir())


async def test_a_job_is_measured_and_its_result_delivered_whole(world):
    world.job()
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    ((job_id, body),) = world.fake.results
    assert job_id == "campaign-1-job-0"
    assert (body["status"], body["worker_id"], body["attempt"]) == ("Complete", "worker-1", 1)
    assert (body["FileName"], body["FileSize"], body["ComputeUnits"]) == ("m.onnx", 10, "CPU (ONNX)")
    assert (body["LoadMsMedian"], body["Samples"]) == (1.5, {"LoadMs": [], "InferenceMs": [2.5]})
    assert len(body["ModelHash"]) == 64
    assert outbox(world) == []
    assert world.bench.prepared == 1


async def test_beats_carry_progress_and_the_attempt(world):
    world.job(attempt=4)
    async with world.working():
        await world.fake.until(
            lambda: any((beat.get("progress") or {}).get("done") == 3 for beat in world.fake.bodies("heartbeat"))
        )
        world.bench.may_end.set()
        await world.fake.until(lambda: world.fake.results)
    beat = world.fake.bodies("heartbeat")[-1]
    assert (beat["job_id"], beat["attempt"]) == ("campaign-1-job-0", 4)
    assert beat["progress"] == {"phase": "inference", "done": 3, "total": 10}


async def test_a_lost_claim_reply_strands_nothing(world):
    world.job()
    world.fake.faults["claim"].append(DROP_REPLY)
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    first, second = world.fake.bodies("claim")[:2]
    assert first["claim_id"] == second["claim_id"]
    assert len(world.bench.requests) == 1


async def test_each_answered_claim_is_followed_by_one_of_another_name(world):
    world.job("one")
    world.job("two")
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: len(world.fake.results) == 2)
    names = [body["claim_id"] for body in world.fake.bodies("claim")]
    assert len(set(names)) == len(names)


async def test_a_lost_result_reply_is_a_duplicate_delivery_and_one_result(world):
    world.job()
    world.fake.faults["result"].append(DROP_REPLY)
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.count("result") == 2)
    assert len(world.fake.results) == 1
    assert outbox(world) == []


@pytest.mark.parametrize("fault", [(503, "store_unavailable"), (500, "internal_error"), (429, "slow_down")])
async def test_a_result_that_is_not_taken_now_is_sent_again_before_any_claim(world, fault):
    world.job()
    world.fake.faults["result"].extend(refusal(*fault) for _ in range(3))
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    kinds = [kind for kind, _, _ in world.fake.seen if kind in ("claim", "result")]
    assert kinds[:5] == ["claim", "result", "result", "result", "result"]


@pytest.mark.parametrize("fault", [(404, "not_found"), (409, "stale_attempt")])
async def test_a_result_that_nobody_wants_is_dropped(world, fault):
    world.job()
    world.fake.faults["result"].append(refusal(*fault))
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.count("claim") == 2)
    assert world.fake.count("result") == 1
    assert outbox(world) == []


@pytest.mark.parametrize("fault", [(400, "invalid_input"), (413, "too_large")])
async def test_a_rejected_result_is_kept_aside_and_work_goes_on(world, fault):
    world.job()
    world.fake.faults["result"].append(refusal(*fault))
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.count("claim") == 2)
    assert outbox(world) == []
    (aside,) = (world.folder / "state" / "rejected").iterdir()
    assert json.loads(aside.read_bytes())["report"]["LoadMsMedian"] == 1.5


async def test_a_restart_delivers_what_lies_on_disk_before_it_registers(world):
    """A new process tells the orchestrator that the old one's job is lost: first it says that it isn't."""
    world.job()
    world.bench.may_end.set()
    world.fake.answers["result"] = lambda: refusal(503, "store_unavailable")
    async with world.working() as running:
        await world.fake.until(lambda: world.fake.count("result"))
        running.task.cancel()  # the end of a process, as far as an event loop can show it
    assert len(outbox(world)) == 1
    del world.fake.answers["result"]
    world.fake.seen.clear()
    async with world.working():
        await world.fake.until(lambda: world.fake.count("claim"))
    assert [kind for kind, _, _ in world.fake.seen][:3] == ["result", "register", "claim"]
    assert [job for job, _ in world.fake.results] == ["campaign-1-job-0"]


async def test_a_damaged_parcel_does_not_stop_a_worker(world):
    (world.folder / "state" / "outbox").mkdir(parents=True)
    (world.folder / "state" / "outbox" / "x.json").write_bytes(b'{"job_id": ')
    async with world.working():
        await world.fake.until(lambda: world.fake.count("claim"))
    assert outbox(world) == []


async def test_an_orchestrator_that_is_away_kills_no_measurement(tmp_path):
    fake = FakeOrchestrator()
    async with serving_models() as models:
        async with serving(fake):
            world = WorkerWorld(fake, models, tmp_path)
            world.job()
            port = int(fake.url.rsplit(":", 1)[1])
            working = world.working()
            await working.__aenter__()
            await world.bench.began.wait()
        beats = fake.count("heartbeat")
        world.bench.may_end.set()
        await come_true(lambda: outbox(world))
        assert fake.results == []
        async with serving(fake, port):
            await fake.until(lambda: fake.results)
            await working.__aexit__(None, None, None)
    assert world.bench.killed == 0
    assert fake.count("heartbeat") == beats


async def test_a_cancelled_job_is_killed_and_reported_as_cancelled(world):
    world.job()
    async with world.working():
        await world.bench.began.wait()
        world.fake.cancel = "campaign-1-job-0"
        await world.fake.until(lambda: world.fake.results)
    ((_, body),) = world.fake.results
    assert body["status"] == "Cancelled"
    assert world.bench.killed == 1


async def test_a_cancelled_job_of_another_name_means_nothing(world):
    world.job()
    world.fake.cancel = "campaign-0-job-7"
    async with world.working():
        await world.fake.until(lambda: world.fake.count("heartbeat") >= 3)
        world.bench.may_end.set()
        await world.fake.until(lambda: world.fake.results)
    assert world.fake.results[0][1]["status"] == "Complete"


async def test_a_stale_attempt_is_killed_and_dropped_without_a_word(world):
    world.job()
    async with world.working():
        await world.bench.began.wait()
        world.fake.faults["heartbeat"].append(refusal(409, "stale_attempt"))
        await world.fake.until(lambda: world.fake.count("claim") == 2)
    assert world.bench.killed == 1
    assert world.fake.count("result") == 0


async def test_a_job_that_the_orchestrator_has_forgotten_is_dropped(world):
    """A beat's 404 may mean the worker or the job; once the worker is known again, it means the job."""
    world.job()
    async with world.working():
        await world.bench.began.wait()
        world.fake.answers["heartbeat"] = lambda: refusal(404, "not_found")
        await world.fake.until(lambda: world.fake.count("claim") == 2)
    assert world.bench.killed == 1
    assert world.fake.count("result") == 0


@pytest.mark.parametrize("where", ["heartbeat", "claim"])
async def test_a_replaced_worker_ends(world, where):
    world.job()
    world.fake.answers[where] = lambda: refusal(409, "worker_replaced")
    with pytest.raises(WorkerReplaced):
        async with world.working() as running:
            await asyncio.wait([running.task])
    assert world.bench.killed == (1 if where == "heartbeat" else 0)
    assert world.fake.count("goodbye") == 0


@pytest.mark.parametrize("where", ["heartbeat", "claim"])
async def test_a_forgotten_worker_registers_again_and_goes_on(world, where):
    world.job()
    world.fake.faults[where].append(refusal(404, "not_found"))
    async with world.working():
        await world.fake.until(lambda: world.fake.count("heartbeat") >= 2)
        world.bench.may_end.set()
        await world.fake.until(lambda: world.fake.results)
    assert world.fake.count("register") == 2
    assert len({body["instance_id"] for body in world.fake.bodies("register")}) == 1
    assert world.bench.killed == 0


async def test_a_beat_that_hangs_is_given_up(world, monkeypatch):
    monkeypatch.setattr("daemons.worker.lease.LEAST_PATIENCE_S", 0.05)
    world.job()

    real, hanging = world.fake._answer, [True]

    async def slow(kind, request, body):
        if kind == "heartbeat" and hanging:
            hanging.pop()
            await asyncio.sleep(60)
        return await real(kind, request, body)

    monkeypatch.setattr(world.fake, "_answer", slow)
    async with world.working():
        await world.fake.until(lambda: world.fake.count("heartbeat") >= 3)
        world.bench.may_end.set()
        await world.fake.until(lambda: world.fake.results)


async def test_a_unit_that_the_device_lacks_fails_with_what_it_offers(world):
    world.job(compute_unit="GPU (ONNX)")
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    ((_, body),) = world.fake.results
    assert body["status"] == "Failed"
    assert "GPU (ONNX)" in body["Remark"]
    assert "it offers CPU (ONNX)" in body["Remark"]
    assert (body["FileName"], body["ComputeUnits"]) == ("m.onnx", "GPU (ONNX)")


async def test_a_missing_model_fails_with_its_cause(world):
    world.job(model_url=world.models.url("gone.onnx"))
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    ((_, body),) = world.fake.results
    assert body["status"] == "Failed"
    assert "HTTP 404" in body["Remark"]
    assert world.bench.requests == []


async def test_a_model_that_was_changed_fails_with_both_hashes(world):
    world.job(model_sha256="ab" * 32)
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    assert "ab" * 32 in world.fake.results[0][1]["Remark"]


async def test_a_redirect_to_a_link_local_address_fails(world):
    world.models.behaviour["trap"] = status(302, Location="http://169.254.169.254/latest")
    world.job(model_url=world.models.url("trap"))
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    assert "link-local" in world.fake.results[0][1]["Remark"]


async def test_the_jobs_time_includes_its_download(world):
    async def dripping(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(60)
        return response

    world.models.behaviour["m.onnx"] = dripping
    world.job(timeout_seconds=0.2)
    async with world.working():
        await world.fake.until(lambda: world.fake.results, timeout_s=KILL_GRACE_S - 1)
    assert "timeout_seconds of 0.2 s (in the phase download, 1 of 1000 done)" in world.fake.results[0][1]["Remark"]


async def test_the_measuring_child_gets_the_time_that_is_left(world):
    world.job(timeout_seconds=100, num_inference_runs=7)
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    (request,) = world.bench.requests
    assert 90 < request.timeout_s <= 100
    assert (request.num_inference_runs, request.file_name, request.compute_unit) == (7, "m.onnx", "CPU (ONNX)")


async def test_a_busy_device_is_waited_for_with_beats_and_without_using_up_the_jobs_time(world):
    world.job(timeout_seconds=0.1)
    world.bench.may_end.set()
    async with world.working():
        async with FileLock(world.lock_file).held():
            await world.fake.until(lambda: world.fake.count("heartbeat") >= 10)  # 0.2 s and more
            assert world.fake.bodies("heartbeat")[-1]["progress"]["phase"] == "waiting"
            assert world.bench.requests == []
            assert world.models.requests == []
        await world.fake.until(lambda: world.fake.results)
    assert world.fake.results[0][1]["status"] == "Complete"


async def test_workers_of_one_machine_take_turns(world):
    world.job("one")
    world.job("two")
    async with world.working(state="a"), world.working(state="b"):
        await world.bench.began.wait()
        await world.fake.until(
            lambda: (
                {"waiting", "inference"}
                <= {(b.get("progress") or {}).get("phase") for b in world.fake.bodies("heartbeat")}
            )
        )
        assert len(world.bench.requests) == 1
        world.bench.may_end.set()
        await world.fake.until(lambda: len(world.fake.results) == 2)


async def test_told_to_stop_it_finishes_its_job_with_beats_delivers_and_says_goodbye(world):
    world.job("one")
    world.job("two")
    async with world.working() as running:
        await world.bench.began.wait()
        running.stop.set()
        beats = world.fake.count("heartbeat")
        await world.fake.until(lambda: world.fake.count("heartbeat") > beats + 2)
        world.bench.may_end.set()
        await running.task
    assert [job for job, _ in world.fake.results] == ["one"]
    kinds = [kind for kind, _, _ in world.fake.seen if kind != "heartbeat"]
    assert kinds == ["register", "claim", "result", "goodbye"]


async def test_told_to_stop_for_too_long_it_kills_the_child_and_hands_the_job_back(world):
    world.job()
    async with world.working(drain_timeout_s=0.05) as running:
        await world.bench.began.wait()
        running.stop.set()
        await running.task
    assert world.bench.killed == 1
    assert world.fake.results == []
    (release,) = world.fake.bodies("release")
    assert release == {"worker_id": "worker-1", "attempt": 1, "reason": "the worker was told to stop"}
    assert world.fake.seen[-1][0] == "goodbye"


async def test_told_to_stop_while_it_waits_for_the_device_it_hands_the_job_back_at_once(world):
    world.job()
    async with FileLock(world.lock_file).held(), world.working(drain_timeout_s=600) as running:
        await world.fake.until(lambda: world.fake.count("heartbeat"))
        running.stop.set()
        await running.task
    assert world.fake.count("release") == 1


async def test_told_to_stop_while_it_waits_for_a_job_it_ends_at_once(world):
    async with world.working() as running:
        await world.fake.until(lambda: world.fake.count("claim"))
        running.stop.set()
        await running.task
    assert world.fake.seen[-1][0] == "goodbye"


async def test_cut_off_it_kills_the_child(world):
    world.job()
    async with world.working() as running:
        await world.bench.began.wait()
        running.task.cancel()
    assert world.bench.killed == 1


async def test_told_to_stop_before_anyone_answered_it_ends(tmp_path):
    fake = FakeOrchestrator()
    fake.url = "http://127.0.0.1:9"
    async with serving_models() as models:
        world = WorkerWorld(fake, models, tmp_path)
        async with world.working() as running:
            await asyncio.sleep(0.05)
            running.stop.set()
            await running.task


async def test_registration_is_tried_until_the_orchestrator_answers(world):
    world.fake.faults["register"].extend(refusal(503, "store_unavailable") for _ in range(3))
    async with world.working():
        await world.fake.until(lambda: world.fake.count("claim"))
    assert world.fake.count("register") == 4


async def test_a_device_that_can_start_no_process_reports_why(world, monkeypatch):
    async def none_left(request, on_progress):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(world.bench, "measure", none_left)
    world.job()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    assert "could not be started on this device: Resource temporarily" in world.fake.results[0][1]["Remark"]
    assert world.fake.results[0][1]["is_device_failure"] is True, "another device may have a process left"


async def test_a_model_that_this_device_has_no_room_for_is_the_devices_failure(world, monkeypatch):
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("daemons.worker.models.download", full)
    world.job()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    body = world.fake.results[0][1]
    assert (body["status"], body["is_device_failure"]) == ("Failed", True)
    assert "can't be kept on this device: No space left" in body["Remark"]


async def test_a_measuring_lock_that_is_gone_is_the_devices_failure(world):
    world.lock_file.mkdir()
    world.job()
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    body = world.fake.results[0][1]
    assert (body["status"], body["is_device_failure"]) == ("Failed", True)
    assert "measuring lock could not be taken" in body["Remark"]


async def test_a_model_that_is_not_there_is_no_failure_of_the_device(world):
    world.job(model_url=world.models.url("gone.onnx"))
    async with world.working():
        await world.fake.until(lambda: world.fake.results)
    assert "is_device_failure" not in world.fake.results[0][1]


async def test_a_result_that_the_disk_does_not_take_is_delivered_from_memory(world, monkeypatch):
    """Through an outage as well: until it is taken, no other job is."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("daemons.worker.deliver.write_atomically", full)
    world.job()
    world.job("campaign-1-job-1")
    world.fake.faults["result"].extend(refusal(503, "store_unavailable") for _ in range(2))
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: len(world.fake.results) == 2)
    kinds = [kind for kind, _, _ in world.fake.seen if kind in ("claim", "result")]
    assert kinds[:4] == ["claim", "result", "result", "result"]
    assert outbox(world) == []


async def test_results_that_were_refused_are_told_with_each_claim(world):
    world.job()
    world.fake.faults["result"].append(refusal(400, "invalid_input"))
    world.bench.may_end.set()
    async with world.working():
        await world.fake.until(lambda: world.fake.count("claim") == 2)
    assert [claim["undelivered"] for claim in world.fake.bodies("claim")] == [0, 1]
