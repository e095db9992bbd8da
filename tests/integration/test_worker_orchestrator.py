"""The worker's agent and the real orchestrator, over real sockets and a real Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import uuid

import pytest

from daemons.client import Client
from daemons.core.models import DeviceInfo, RegisterRequest
from daemons.core.settings import (
    FleetSettings,
    HttpSettings,
    LimitSettings,
    OrchestratorSettings,
    OrchestratorStorage,
    WorkerSettings,
)
from daemons.orchestrator import daemon as orchestrator
from daemons.runtime.locks import FileLock
from daemons.worker.daemon import make_agent
from tests.support.model_server import serving_models
from tests.support.worker_world import ObedientBench, come_true


@contextlib.asynccontextmanager
async def orchestrating(data_dir, port=0):
    """A real orchestrator with an embedded server; its address."""
    settings = OrchestratorSettings(
        http=HttpSettings(port=port),
        storage=OrchestratorStorage(data_dir=str(data_dir)),
        fleet=FleetSettings(heartbeat_interval_s=0.1, heartbeat_timeout_s=30.0, duty_interval_s=0.1),
    )
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(orchestrator.run(settings, on_ready=ready.set_result, stop=stop))
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        yield ready.result()
    finally:
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def working(url, folder, bench, *, drain_timeout_s=30.0):
    """An agent at work on the orchestrator at `url`, and the event that stops it."""
    card = RegisterRequest(
        device_name="bench 7",
        capabilities=["CPU (ONNX)"],
        device_info=DeviceInfo(soc="M9", ram=16, device_os="Linux", udid="udid-1"),
        instance_id=uuid.uuid4().hex,
    )
    settings = WorkerSettings(limits=LimitSettings(drain_timeout_s=drain_timeout_s))
    state = folder / "state"
    state.mkdir(exist_ok=True)
    async with Client(url, patience_s=0) as client:
        agent = make_agent(settings, client, card, bench, FileLock(folder / "lock").held, state, lambda _: None)
        stop = asyncio.Event()
        task = asyncio.create_task(agent.run(stop))
        try:
            yield stop
        finally:
            stop.set()
            await task


@pytest.fixture
async def models():
    async with serving_models() as running:
        running.files["m.onnx"] = b"\x08\x07 a model"
        yield running


async def ended(client: Client, campaign_id: str, timeout_s: float = 20.0):
    """The campaign's view once all of its jobs have ended."""
    async with asyncio.timeout(timeout_s):
        while True:
            view = await client.campaign(campaign_id)
            if view["status"] != "running":
                return view
            await asyncio.sleep(0.05)


def campaign(models, **job):
    return {"model_url": models.url("m.onnx"), "jobs": [{"compute_unit": "CPU (ONNX)"} | job]}


async def test_a_campaign_ends_with_its_rows(tmp_path, models):
    bench = ObedientBench()
    bench.may_end.set()
    async with orchestrating(tmp_path / "data") as url, Client(url) as client, working(url, tmp_path, bench):
        sent = campaign(models)
        sent["jobs"] *= 3
        accepted = await client.submit(sent)
        view = await ended(client, accepted["campaign_id"])
        assert (view["status"], view["completed_jobs"]) == ("completed", 3)
        rows = list(csv.DictReader(io.StringIO(await client.results(accepted["campaign_id"]))))
        assert [row["InferenceMsMedian"] for row in rows] == ["2.5"] * 3
        assert {(row["DeviceName"], row["Soc"], row["FileName"], row["FileSize"]) for row in rows} == {
            ("bench 7", "M9", "m.onnx", "10")
        }
        job = await client.job(accepted["jobs"][0]["job_id"])
        assert (job["job"]["status"], job["result"]["status"]) == ("complete", "Complete")


async def test_a_cancelled_campaign_kills_its_running_job(tmp_path, models):
    bench = ObedientBench()
    async with orchestrating(tmp_path / "data") as url, Client(url) as client, working(url, tmp_path, bench):
        accepted = await client.submit(campaign(models))
        await bench.began.wait()
        await client.cancel(accepted["campaign_id"])
        view = await ended(client, accepted["campaign_id"])
        assert view["job_breakdown"]["cancelled"] == 1
        assert bench.killed == 1


async def test_an_orchestrator_that_was_away_gets_the_result_and_runs_nothing_again(tmp_path, models):
    bench = ObedientBench()
    async with contextlib.AsyncExitStack() as worker:
        async with orchestrating(tmp_path / "data") as url, Client(url) as client:
            await worker.enter_async_context(working(url, tmp_path, bench))
            accepted = await client.submit(campaign(models))
            await bench.began.wait()
        bench.may_end.set()
        port = int(url.rsplit(":", 1)[1])
        async with orchestrating(tmp_path / "data", port), Client(url) as client:
            view = await ended(client, accepted["campaign_id"])
            await worker.aclose()
    assert view["status"] == "completed"
    assert len(bench.requests) == 1


async def test_a_job_that_is_handed_back_is_run_by_the_next_process(tmp_path, models):
    first, second = ObedientBench(), ObedientBench()
    second.may_end.set()
    async with orchestrating(tmp_path / "data") as url, Client(url) as client:
        async with working(url, tmp_path, first, drain_timeout_s=0.0):
            accepted = await client.submit(campaign(models))
            await first.began.wait()
        (worker,) = (await client.workers())["workers"]
        assert worker["status"] == "offline"
        assert (await client.job(accepted["jobs"][0]["job_id"]))["job"]["status"] == "pending"
        async with working(url, tmp_path, second):
            view = await ended(client, accepted["campaign_id"])
    assert view["status"] == "completed"
    assert first.killed == 1


async def test_a_reset_while_a_job_runs_makes_a_new_worker_and_drops_the_attempt(tmp_path, models):
    bench = ObedientBench()
    async with orchestrating(tmp_path / "data") as url, Client(url) as client, working(url, tmp_path, bench):
        await client.submit(campaign(models))
        await bench.began.wait()
        await client.reset()
        await come_true(lambda: bench.killed)
        bench.may_end.set()
        accepted = await client.submit(campaign(models))
        assert (await ended(client, accepted["campaign_id"]))["status"] == "completed"
