"""What becomes of a device: registered, replaced, silent, set aside, gone and back."""

from __future__ import annotations

import pytest

from daemons.core.errors import NotFound, StaleAttempt, WorkerReplaced
from daemons.core.models import JobSpec, RegisterRequest
from tests.support.store import AT_ONCE, CPU, GPU, Drive


@pytest.fixture
def drive(store):
    return Drive(store)


@pytest.fixture
async def busy(drive):
    """A worker's process, and the job that it runs."""
    worker = await drive.worker("one", instance="i1")
    (job_id,) = await drive.submit()
    assert (await drive.claim(worker, instance="i1")).job_id == job_id
    return worker, job_id


async def test_a_device_is_known_again_by_its_identity(drive):
    first = await drive.worker("one", CPU)
    assert await drive.worker("one", CPU, GPU) == first
    assert await drive.worker("two") != first
    assert (await drive.store.fleet.get(first))["capabilities"] == [CPU, GPU]
    assert len((await drive.store.lists.workers(limit=9)).items) == 2


async def test_a_device_without_an_identity_is_known_by_its_name_and_address(drive):
    async def register(name, address):
        request = RegisterRequest(device_name=name, ip_address=address, capabilities=[CPU])
        return await drive.store.fleet.register(request, AT_ONCE)

    first, action = await register("mac", "10.0.0.1")
    assert action == "created"
    assert await register("mac", "10.0.0.1") == (first, "updated")
    assert (await register("mac", "10.0.0.2"))[1] == "created"


async def test_the_same_process_registering_again_changes_nothing(drive, busy):
    worker, job_id = busy
    assert await drive.worker("one", instance="i1") == worker
    assert await drive.status(job_id) == "running"
    assert await drive.worker_status(worker) == "busy"


async def test_another_process_means_that_the_old_one_is_gone(drive, busy):
    worker, job_id = busy
    await drive.worker("one", instance="i2")
    assert await drive.waiting() == [job_id]
    assert (await drive.job(job_id))["lost_attempts"] == 1
    assert await drive.worker_status(worker) == "active"
    for step in (
        drive.claim(worker, instance="i1"),
        drive.beat(worker, job_id, 1, instance_id="i1"),
        drive.store.fleet.goodbye(worker, "i1"),
    ):
        with pytest.raises(WorkerReplaced):
            await step
    assert (await drive.claim(worker, instance="i2")).attempt == 2


async def test_a_result_that_the_old_process_left_on_its_disk_is_taken(drive, busy):
    worker, job_id = busy
    await drive.worker("one", instance="i2")
    assert not (await drive.finish(job_id, worker))["duplicate"]
    assert await drive.waiting() == []


async def test_a_silent_worker_is_faulty_and_back_with_its_next_sign_of_life(drive, busy):
    worker, job_id = busy
    assert await drive.lose(worker) == job_id
    view = await drive.store.fleet.get(worker)
    assert (view["status"], view["faulty_reason"]) == ("faulty", "no sign of life for 30 s")
    assert not (await drive.store.fleet.health(worker))["is_healthy"]
    await drive.beat(worker, None, instance_id="i1")
    view = await drive.store.fleet.get(worker)
    assert (view["status"], view["faulty_reason"]) == ("active", None)
    assert (await drive.store.fleet.health(worker))["is_healthy"]


@pytest.mark.parametrize("sign", ["beat", "claim", "register"])
async def test_any_request_of_a_silent_worker_brings_it_back(drive, sign):
    worker = await drive.worker()
    await drive.lose(worker)
    match sign:
        case "beat":
            await drive.beat(worker)
        case "claim":
            await drive.claim(worker)
        case "register":
            await drive.worker()
    assert await drive.worker_status(worker) == "active"


async def test_one_set_faulty_by_hand_gives_its_job_back_and_stays_faulty(drive, busy):
    worker, job_id = busy
    await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
    assert await drive.waiting() == [job_id]
    assert (await drive.job(job_id))["lost_attempts"] == 0
    with pytest.raises(StaleAttempt):
        await drive.beat(worker, job_id, 1)
    await drive.beat(worker, None)
    await drive.worker("one", instance="i3")
    assert await drive.claim(worker) is None
    view = await drive.store.fleet.get(worker)
    assert (view["status"], view["faulty_reason"]) == ("faulty", "smells of smoke")
    assert await drive.store.fleet.recover(worker) == ("active", True)
    assert await drive.store.fleet.recover(worker) == ("active", False)
    assert (await drive.claim(worker)).job_id == job_id


async def test_the_other_statuses_never_touch_a_job(drive, busy):
    worker, job_id = busy
    for status in ("cleanup", "active", "busy"):
        assert await drive.store.fleet.set_status(worker, status, "by hand") == status
        assert await drive.worker_status(worker) == status
        assert await drive.status(job_id) == "running"
    await drive.finish(job_id, worker)
    assert await drive.worker_status(worker) == "active"


@pytest.mark.parametrize("way", ["recover", "active"])
async def test_a_silent_worker_that_is_recovered_by_hand_gets_a_full_new_window(drive, way):
    worker = await drive.worker()
    seen = (await drive.store.fleet.beats())[worker]
    await drive.lose(worker)
    if way == "recover":
        await drive.store.fleet.recover(worker)
    else:
        await drive.store.fleet.set_status(worker, "active", "by hand")
    assert await drive.store.fleet.lose(worker, seen, 31.0, AT_ONCE) is False
    assert await drive.worker_status(worker) == "active"


async def test_goodbye_hands_the_job_back_and_may_be_said_twice(drive, busy):
    worker, job_id = busy
    assert await drive.store.fleet.goodbye(worker, "i1") == "offline"
    assert await drive.waiting() == [job_id]
    assert (await drive.job(job_id))["lost_attempts"] == 0
    assert await drive.store.fleet.goodbye(worker, "i1") == "offline"
    assert await drive.lose(worker) is False


async def test_a_claim_still_under_way_at_the_goodbye_gets_nothing(drive, busy):
    worker, job_id = busy
    await drive.store.fleet.goodbye(worker, "i1")
    with pytest.raises(WorkerReplaced):
        await drive.claim(worker, instance="i1")
    assert await drive.worker_status(worker) == "offline"
    assert await drive.status(job_id) == "pending"


async def test_an_offline_worker_returns_by_registering(drive, busy):
    worker, job_id = busy
    await drive.store.fleet.goodbye(worker, "i1")
    assert await drive.worker("one", instance="i2") == worker
    assert await drive.worker_status(worker) == "active"
    assert (await drive.claim(worker, instance="i2")).job_id == job_id


async def test_why_a_worker_was_set_aside_outlives_its_goodbye(drive):
    worker = await drive.worker("one", instance="i1")
    await drive.store.fleet.set_status(worker, "faulty", "smells of smoke")
    assert await drive.store.fleet.goodbye(worker, "i1") == "faulty"
    await drive.worker("one", instance="i2")
    assert await drive.worker_status(worker) == "faulty"


async def test_unknown_workers_are_not_found(drive):
    for wrong in ("worker-abc123", "worker-1:x", "nobody"):
        for step in (
            drive.beat(wrong),
            drive.store.fleet.get(wrong),
            drive.store.fleet.health(wrong),
            drive.store.fleet.recover(wrong),
            drive.store.fleet.goodbye(wrong, None),
            drive.store.fleet.set_status(wrong, "active", "by hand"),
        ):
            with pytest.raises(NotFound):
                await step
    assert await drive.store.fleet.beats() == {}


async def test_health_names_the_time_since_the_last_sign_of_life(drive):
    worker = await drive.worker()
    (health,) = await drive.store.fleet.health_of_all()
    assert health["worker_id"] == worker
    assert health["last_heartbeat"].endswith("Z")
    assert health["seconds_since_heartbeat"] >= 0


async def test_queue_status_counts_everything_at_one_moment(drive):
    worker = await drive.worker("one", CPU)
    other = await drive.worker("two", "NPU (Acme)")
    await drive.submit(*[JobSpec(compute_unit=CPU)] * 3, JobSpec(compute_unit=CPU, worker_id=other))
    await drive.take(worker)
    status = await drive.store.queue.status()
    assert status["units"][CPU] == 2
    assert status["units"]["NPU (Acme)"] == 0
    assert status["units"]["Neural Engine (CoreML)"] == 0
    assert status["workers"] == {
        worker: {"device_name": "device one", "queue_size": 0},
        other: {"device_name": "device two", "queue_size": 1},
    }
    assert (status["running"], status["delayed"], status["results"]) == (1, 0, 0)


async def test_the_oldest_wait_of_a_queue_is_found_behind_what_goes_first(drive):
    store = drive.store
    worker = await drive.worker("one", CPU)
    for priority, hours in ((5, 1), (-3, 7), (0, 2)):
        (job, _) = await drive.submit(
            JobSpec(compute_unit=CPU, priority=priority), JobSpec(compute_unit=CPU, worker_id=worker, priority=priority)
        )
        key = f"{store.prefix}campaign:{job.rpartition('-job-')[0]}"
        created = int(await store.campaigns._redis.hget(key, "created_at"))
        await store.campaigns._redis.hset(key, "created_at", created - hours * 3_600_000)
    waits = (await store.queue.status())["waits"]
    assert waits.keys() == {CPU, worker}
    assert all(7 * 3600 <= waited < 7.1 * 3600 for waited in waits.values())


async def test_the_duties_are_held_by_one_until_it_stands_still(drive):
    duties = drive.store.duties
    lease = await duties.take("a")
    assert (lease.holder, (await duties.take("b")).holder) == ("a", "a")
    renewed = await duties.take("a")
    assert (await duties.take("b", stale_counter=lease.counter)).holder == "a"
    assert (await duties.take("b", stale_counter=renewed.counter)).holder == "b"
    await duties.drop("a")
    assert (await duties.take("a")).holder == "b"
    await duties.drop("b")
    assert (await duties.take("a")).holder == "a"
