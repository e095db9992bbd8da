"""Redis gone, workers gone, an orchestrator gone: what the others see, and that all goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from daemons.core.settings import FleetSettings
from daemons.orchestrator import dispatch, duties
from daemons.orchestrator.api.app import ROUTES
from daemons.store import open_store
from daemons.store.embedded import EmbeddedServer
from tests.support.orchestrator import filled, orchestrating
from tests.support.store import CPU, URL, comes_true

ANSWER_WITHIN_S = 2.0

BODIES = {
    "register": {"device_name": "x", "capabilities": [CPU]},
    "campaigns": {"model_url": URL, "jobs": [{"compute_unit": CPU}]},
    "status": {"status": "active"},
    "result": {"worker_id": "worker-0", "attempt": 1, "status": "Complete"},
    "release": {"worker_id": "worker-0", "attempt": 1},
}


def requests():
    for route in ROUTES:
        # Models lie on disk: that one is not there is known without Redis.
        if route.needs_store and not route.path.startswith("/api/models"):
            yield route.method, filled(route.path), BODIES.get(route.path.rpartition("/")[2]) if route.body else None


@pytest.fixture
async def server(tmp_path):
    server = EmbeddedServer(tmp_path / "valkey", wrap=list)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def api(server, tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "RECONNECT_S", 0.05)
    async with open_store(server.url, "t:") as store, orchestrating(store, tmp_path / "outputs") as api:
        yield api


async def kill(server):
    os.kill(server.pid, signal.SIGKILL)
    await server._process.wait()


async def answers_503(api, method, path, body):
    answer = await asyncio.wait_for(api(method, path, body), ANSWER_WITHIN_S)
    assert answer.status == 503, (method, path, answer.document)
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Redis doesn't answer" in answer.document["error"]


async def test_without_redis_every_endpoint_is_503_and_says_when_to_come_back(api, server):
    await kill(server)
    for method, path, body in requests():
        await answers_503(api, method, path, body)
    health = (await api("GET", "/health")).document
    assert (health["status"], health["redis"]["connected"]) == ("unhealthy", False)


async def test_what_was_accepted_is_there_when_redis_is_back_and_claims_are_woken_again(api, server):
    accepted = await api.submit()
    worker = await api.worker()
    await kill(server)
    await answers_503(api, "GET", "/workers", None)
    await api.becomes("/monitoring/stats", {"status": 503})
    await server.start()
    await api.becomes("/health", {"status": "healthy"})
    assert (await api.claim(worker))["job_id"] == accepted["jobs"][0]["job_id"]

    async def heard():
        waiting = asyncio.create_task(api.claim(other, wait=20))
        await asyncio.sleep(0)
        await api.submit()
        return await waiting

    other = await api.worker("other")
    assert await asyncio.wait_for(heard(), 10)


async def test_a_redis_that_hangs_is_503_too(api, server):
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as group:
            for request in (
                ("GET", "/health", None),
                ("POST", "/campaigns", BODIES["campaigns"]),
                ("GET", "/workers", None),
            ):
                group.create_task(answers_503(api, *request))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await api.becomes("/health", {"status": "healthy"})


@pytest.fixture
async def quick(store, tmp_path):
    """An orchestrator that loses a worker after 0.3 s and gives its job out again at once."""
    fleet = FleetSettings(heartbeat_interval_s=0.1, heartbeat_timeout_s=0.3, retry_delay_s=0, duty_interval_s=0.05)
    async with orchestrating(store, tmp_path / "outputs", fleet=fleet) as api:
        yield api


async def test_a_silent_worker_becomes_faulty_and_its_job_goes_to_another(quick):
    silent, other = await quick.worker("silent"), await quick.worker("other")
    await quick.submit()
    job = await quick.claim(silent)
    waiting = asyncio.create_task(quick.claim(other, wait=20))
    view = await quick.becomes(f"/workers/{silent}", {"status": "faulty"})
    assert "no sign of life" in view["faulty_reason"]
    again = await asyncio.wait_for(waiting, 10)
    assert (again["job_id"], again["attempt"]) == (job["job_id"], 2)
    late = await quick.report(silent, job)
    assert (late.status, late.document["code"]) == (409, "stale_attempt")
    assert (await quick.report(other, again)).document["duplicate"] is False
    await quick.becomes(f"/campaigns/{job['campaign_id']}", {"status": "completed", "completed_jobs": 1})


async def test_a_worker_that_beats_keeps_its_job(quick):
    worker, silent = await quick.worker("busy"), await quick.worker("silent")
    await quick.submit()
    job = await quick.claim(worker)
    beat = {"job_id": job["job_id"], "attempt": 1}

    async def beat_until_the_other_is_lost():
        assert (await quick("POST", f"/workers/{worker}/heartbeat", beat)).status == 200
        return (await quick("GET", f"/workers/{silent}")).document["status"] == "faulty"

    await comes_true(beat_until_the_other_is_lost, "the silent one to be lost")
    assert (await quick("GET", f"/workers/{worker}")).document["status"] == "busy"
    assert (await quick("GET", f"/jobs/{job['job_id']}")).document["job"]["attempt"] == 1


async def test_a_worker_only_cut_off_resumes_its_attempt_and_is_active_again(quick):
    worker = await quick.worker()
    await quick.submit()
    job = await quick.claim(worker)
    await quick.becomes(f"/workers/{worker}", {"status": "faulty"})
    beat = {"job_id": job["job_id"], "attempt": 1}
    assert (await quick("POST", f"/workers/{worker}/heartbeat", beat)).document["status"] == "busy"
    assert (await quick.report(worker, job)).document["status"] == "complete"


SECOND = """
import asyncio, sys
from daemons.core.settings import *
from daemons.orchestrator import daemon
settings = OrchestratorSettings(
    http=HttpSettings(port=0),
    redis=RedisSettings(url=sys.argv[1], prefix=sys.argv[2]),
    storage=OrchestratorStorage(data_dir=sys.argv[3]),
    fleet=FleetSettings(duty_interval_s=0.05),
)
asyncio.run(daemon.run(settings, on_ready=lambda url: print("ready", flush=True)))
"""


async def test_duties_are_held_by_one_and_taken_over_when_it_is_killed(store, valkey_url, tmp_path, monkeypatch):
    monkeypatch.setattr(duties, "TAKE_OVER_S", 0.5)
    arguments = [valkey_url, store.server._prefix, str(tmp_path / "data")]
    command = [sys.executable, "-c", SECOND, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:  # noqa: ASYNC220 (starting is quick)
        try:
            assert any("duties changed hands" in line for line in first.stdout)
            async with orchestrating(store, tmp_path / "outputs") as api:
                state = api.parts.duties.state
                assert state.holder is not None
                assert not state.is_held
                first.kill()
                await comes_true(lambda: asyncio.sleep(0, state.is_held), "the duties to be taken over")
                worker = await api.worker()
                await api.submit()
                await api.report(worker, await api.claim(worker))
                await api.becomes("/queue/status", {"results_queue_size": 0})
        finally:
            first.kill()


async def test_one_that_ends_in_good_order_gives_the_duties_up_at_once(store, tmp_path, monkeypatch):
    monkeypatch.setattr(duties, "TAKE_OVER_S", 3600.0)
    async with orchestrating(store, tmp_path / "first"):
        pass
    async with orchestrating(store, tmp_path / "second") as api:
        assert api.parts.duties.state.is_held
