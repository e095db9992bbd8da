"""The worker daemon as a process of its own, with a real measuring child and a real model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import onnx
import psutil
import pytest

from daemons.runtime import boot
from tests.support.fake_orchestrator import FakeOrchestrator, a_job, refusal, serving
from tests.support.model_server import serving_models
from tests.support.wheels import Index, hermetic, serving_index
from tests.support.worker_world import come_true

LIGHT_MODEL = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"

PROGRAM = """
import sys
from daemons.core.settings import (
    DeviceSettings, EngineSettings, LimitSettings, UplinkSettings, WorkerSettings, WorkerStorage
)
from daemons.runtime import boot
from daemons.worker.daemon import run

url, state, drain_s, index_url, *allowed = sys.argv[1:]
settings = WorkerSettings(
    orchestrator=UplinkSettings(url=url),
    device=DeviceSettings(tags=["lab-2", "quiet"]),
    storage=WorkerStorage(state_dir=state),
    limits=LimitSettings(drain_timeout_s=float(drain_s)),
    engines=EngineSettings(allowed_packages=allowed, index_url=index_url or None),
)
sys.exit(boot.run(lambda: run(settings)))
"""


@pytest.fixture
async def fake():
    async with serving(FakeOrchestrator()) as running:
        yield running


@pytest.fixture
async def model_url():
    async with serving_models() as running:
        running.files["light.onnx"] = LIGHT_MODEL.read_bytes()
        yield running.url("light.onnx")


@contextlib.asynccontextmanager
async def daemon(fake, state, *, drain_s=30.0, index_url="", allowed=()):
    """A worker process; killed at the end if it lives on."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, fake.url, str(state), str(drain_s), index_url, *allowed),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},  # noqa: PTH109 - a string is wanted
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def offspring(process):
    """The processes that this one has started, as long as they live."""
    return psutil.Process(process.pid).children(recursive=True)


def endless(model_url):
    return a_job("endless", model_url=model_url, num_inference_runs=100_000)


async def measuring(fake):
    """Return once a beat tells of timed runs."""
    await fake.until(
        lambda: any((b.get("progress") or {}).get("phase") not in NOT_YET for b in fake.bodies("heartbeat")), 60
    )


NOT_YET = {None, "starting", "waiting", "download", "measuring"}


async def test_a_real_model_is_measured_and_sigterm_ends_all(fake, model_url, tmp_path):
    fake.jobs.append(a_job("real", model_url=model_url, num_inference_runs=12))
    async with daemon(fake, tmp_path / "state") as process:
        await fake.until(lambda: fake.results, 60)
        ((_, report),) = fake.results
        children = offspring(process)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert (report["status"], report["InferenceRuns"], report["FileName"]) == ("Complete", 12, "light.onnx")
    assert report["FileSize"] == LIGHT_MODEL.stat().st_size
    assert len(report["Samples"]["InferenceMs"]) == 12
    assert fake.seen[-1][0] == "goodbye"
    await come_true(lambda: not any(child.is_running() for child in children))


async def test_no_other_version_of_an_engine_is_installed_without_the_owners_leave(fake, model_url, tmp_path):
    fake.jobs.append(a_job("asks", model_url=model_url, engine_version="onnxruntime==1.20.*"))
    left = tmp_path / "state" / "engines" / "onnxruntime-1.20.x-0123456789ab"
    left.mkdir(parents=True)
    async with daemon(fake, tmp_path / "state"):
        await fake.until(lambda: fake.results, 60)
    ((_, report),) = fake.results
    assert report["status"] == "Failed"
    assert "its setting engines.allowed_packages is empty" in report["Remark"]
    assert not left.exists(), "what a killed worker left half made"


async def test_another_version_comes_from_the_workers_own_index_or_the_job_fails(
    fake, model_url, tmp_path, monkeypatch
):
    hermetic(monkeypatch, Path.cwd())
    fake.jobs.append(a_job("asks", model_url=model_url, engine_version="onnxruntime==1.20.*"))
    with serving_index(Index()) as index:
        async with daemon(fake, tmp_path / "state", index_url=index.url, allowed=["onnxruntime"]):
            await fake.until(lambda: fake.results, 60)
    ((_, report),) = fake.results
    assert report["status"] == "Failed"
    assert "onnxruntime==1.20.* can't be installed: the package index has no onnxruntime" in report["Remark"]
    assert index.asked.is_set()
    phases = [(beat.get("progress") or {}).get("phase") for beat in fake.bodies("heartbeat")]
    assert "preparing engine" in phases
    assert "InferenceMsMedian" not in report


async def test_a_second_daemon_on_the_same_folder_refuses_to_start(fake, tmp_path):
    async with daemon(fake, tmp_path / "state"):
        await fake.until(lambda: fake.count("claim"), 60)
        async with daemon(fake, tmp_path / "state") as second:
            _, told = await second.communicate()
    assert second.returncode == boot.FAILED
    assert b"is in use by process" in told
    assert fake.count("register") == 1


async def test_a_killed_daemon_leaves_no_child_and_comes_back_as_the_same_device(fake, model_url, tmp_path):
    fake.jobs.append(endless(model_url))
    async with daemon(fake, tmp_path / "state") as process:
        await measuring(fake)
        children = offspring(process)
        process.kill()
        await process.wait()
    assert children
    await come_true(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    async with daemon(fake, tmp_path / "state"):
        await fake.until(lambda: fake.count("register") == 2, 60)
    first, second = fake.bodies("register")
    assert first["device_info"]["UDID"] == second["device_info"]["UDID"]
    assert first["tags"] == second["tags"] == ["lab-2", "quiet"]
    assert first["instance_id"] != second["instance_id"]


async def test_workers_in_two_folders_are_two_devices(fake, tmp_path):
    async with daemon(fake, tmp_path / "a"), daemon(fake, tmp_path / "b"):
        await fake.until(lambda: fake.count("register") == 2, 60)
    first, second = fake.bodies("register")
    assert first["device_info"]["UDID"] != second["device_info"]["UDID"]


async def test_a_replaced_worker_ends_with_a_status_that_is_not_restarted(fake, model_url, tmp_path):
    fake.jobs.append(endless(model_url))
    async with daemon(fake, tmp_path / "state") as process:
        await measuring(fake)
        fake.answers["heartbeat"] = lambda: refusal(409, "worker_replaced")
        _, told = await process.communicate()
    assert process.returncode == boot.MUST_NOT_RESTART
    assert b"worker_replaced" in told


async def test_a_stop_that_takes_too_long_hands_the_job_back(fake, model_url, tmp_path):
    fake.jobs.append(endless(model_url))
    async with daemon(fake, tmp_path / "state", drain_s=0.2) as process:
        await measuring(fake)
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0
    assert fake.count("release") == 1


async def test_a_second_signal_ends_it_at_once(fake, model_url, tmp_path):
    fake.jobs.append(endless(model_url))
    async with daemon(fake, tmp_path / "state", drain_s=600.0) as process:
        await measuring(fake)
        children = offspring(process)
        process.send_signal(signal.SIGTERM)
        beats = fake.count("heartbeat")
        await fake.until(lambda: fake.count("heartbeat") > beats + 2)
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    await come_true(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
