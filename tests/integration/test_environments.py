"""Other versions of engines for real: venv, pip, an index on this machine, and a measurement with what came of it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import Serves
from daemons.worker.engines.tiny import TINY_ONNX
from daemons.worker.environments import RECORD, Environments, NotPrepared
from tests.support.light_models import light_models
from tests.support.processes import run_command, until
from tests.support.wheels import TOY, Index, hermetic, serving_index

ROOT = Path(__file__).parents[2]
UNIT = "CPU (Toy)"
OLD = "onnxruntime==1.22.*"
SERVING = {UNIT: [Serves("tests.support.toy_engine:ToyEngine", "Toy", (".toy",), (TOY,))]}


@pytest.fixture(scope="module")
def index():
    index = Index()
    for version in ("1.0.0", "1.0.2", "1.1.0"):
        index.add_toy(version)
    index.add_toy("2.0.0", says="3.0.0")
    with serving_index(index) as running:
        yield running


@pytest.fixture(scope="module")
def kept(index, tmp_path_factory):
    """Where the environments of all these tests are kept: each takes seconds to make."""
    return Environments(tmp_path_factory.mktemp("kept"), allowed=[TOY], index_url=index.url)


@pytest.fixture
def alone(monkeypatch):
    hermetic(monkeypatch, ROOT)


@pytest.fixture
async def bench(kept, alone):
    runner = Bench(SERVING, environments=kept)
    yield runner
    await runner.close()


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.toy"
    path.write_bytes(b"a model")
    return path


def a_request(path, version, **more):
    given = {"num_inference_runs": 2, "num_load_runs": 1, "warmup_runs": 0, "timeout_s": 90.0} | more
    return BenchRequest(
        model_path=str(path), file_name=path.name, compute_unit=UNIT, engine_version=version, placement="any", **given
    )


def ignore(progress):
    """Nobody looks."""


async def test_a_job_is_measured_with_the_newest_of_the_series_that_it_names(bench, model, kept, tmp_path, monkeypatch):
    """The worker's own copy of the package lies in front of everything that is installed, and is not what runs."""
    (tmp_path / "bf_toy.py").write_text("__version__ = '0.1'")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    phases = []
    outcome = await bench.measure(a_request(model, f"{TOY}==1.0.*"), lambda position: phases.append(position.phase))
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert outcome.measurement.engine_version == "1.0.2-4711-abcdef"
    assert phases[0] == "preparing engine"
    toy, numpy = outcome.measurement.execution_provider.split()
    assert Path(toy).is_relative_to(kept._folder)
    assert Path(numpy).is_relative_to(sys.prefix), "what the environment lacks is the worker's"


async def test_it_is_made_once_and_serves_every_further_job(bench, model, kept):
    for _ in range(3):
        outcome = await bench.measure(a_request(model, f"{TOY}==1.1.0"), ignore)
        assert outcome.measurement.engine_version == "1.1.0-4711-abcdef", outcome.measurement.remark
        await bench.prepare()
    assert len(list(kept._folder.glob(f"*-1.1.0-*/{RECORD}"))) == 1


async def test_the_process_that_waits_is_of_the_version_used_last(bench, model):
    request = a_request(model, f"{TOY}==1.1.0")
    await bench.measure(request, ignore)
    await bench.prepare()
    waiting = bench._waiting
    assert "bf-toy-runtime-1.1.0-" in psutil.Process(waiting.pid).cmdline()[0]
    await bench.prepare(request)
    assert bench._waiting is waiting
    await bench.prepare(a_request(model, f"{TOY}==1.0.*"))
    assert bench._waiting is not waiting


async def test_a_waiting_process_of_a_removed_environment_is_not_used(bench, model, kept):
    request = a_request(model, f"{TOY}==1.1.0")
    await bench.measure(request, ignore)
    await bench.prepare()
    waiting = bench._waiting
    for record in kept._folder.glob(f"*-1.1.0-*/{RECORD}"):
        record.unlink()
    outcome = await bench.measure(request, ignore)
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert not waiting.is_alive


async def test_figures_of_another_version_than_was_asked_for_are_refused(bench, model):
    outcome = await bench.measure(a_request(model, f"{TOY}==2.0.0"), ignore)
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.inference_ms_median is None
    assert f"{TOY}==2.0.0 came to 2.0.0" in outcome.measurement.remark
    assert "Toy 3.0.0-4711-abcdef" in outcome.measurement.remark


async def test_a_version_that_there_is_none_of_is_told_with_those_that_there_are(bench, model):
    outcome = await bench.measure(a_request(model, f"{TOY}==7.*"), ignore)
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.remark.startswith(
        f"{TOY}==7.* can't be installed: the package index has no such version"
    )
    assert outcome.measurement.remark.endswith("it has 1.0.0, 1.0.2, 1.1.0, 2.0.0")


async def test_an_engine_that_comes_from_elsewhere_is_told_before_anything_is_installed(bench, model, kept):
    before = set(kept._folder.iterdir()) if kept._folder.is_dir() else set()
    outcome = await bench.measure(a_request(model, "onnxruntime==1.20.*"), ignore)
    assert outcome.measurement.remark == (
        f"{UNIT} is served by Toy, from {TOY}; no engine for it comes from onnxruntime."
    )
    assert set(kept._folder.iterdir()) == before


# Broken off


@pytest.fixture
def hanging():
    index = Index()
    index.add_toy("1.0.0")
    index.hangs.set()
    with serving_index(index) as running:
        yield running


def installers():
    """The processes below this one that make an environment."""
    return [child for child in psutil.Process().children(recursive=True) if "pip" in " ".join(child.cmdline())]


@pytest.fixture
async def stuck(hanging, tmp_path, alone):
    """A bench whose pip waits for ever."""
    runner = Bench(SERVING, environments=Environments(tmp_path / "kept", allowed=None, index_url=hanging.url))
    yield runner
    await runner.close()


async def test_cancelling_ends_pip_and_leaves_nothing(stuck, hanging, model, tmp_path):
    measuring = asyncio.create_task(stuck.measure(a_request(model, f"{TOY}==1.0.0"), ignore))
    assert await asyncio.to_thread(hanging.asked.wait, 60)
    assert installers()
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert not installers()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["lock"]


async def test_the_jobs_time_limit_is_one_for_the_installation_too(stuck, model, tmp_path):
    outcome = await stuck.measure(a_request(model, f"{TOY}==1.0.0", timeout_s=1.0), ignore)
    assert outcome.measurement.remark == "the engine was still being installed at the time limit of 1 s"
    assert not installers()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["lock"]


KILLED_MAKER = """
import asyncio, sys
from pathlib import Path
from daemons.worker.environments import Environments

async def main(folder, url, wanted):
    async with Environments(Path(folder), allowed=None, index_url=url).using(wanted, lambda: None):
        pass

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_killed_worker_takes_pip_with_it_and_the_next_one_starts_anew(hanging, index, tmp_path, alone):
    folder = tmp_path / "kept"
    command = [sys.executable, "-c", KILLED_MAKER, str(folder), hanging.url, f"{TOY}==1.0.0"]
    with subprocess.Popen(command) as maker:
        assert hanging.asked.wait(60)
        below = psutil.Process(maker.pid).children(recursive=True)
        maker.send_signal(signal.SIGKILL)
        maker.wait(10)
    assert below
    until(lambda: not any(one.is_running() and one.status() != "zombie" for one in below), "pip to end", 10)
    (left,) = [path for path in folder.iterdir() if path.is_dir()]
    assert not (left / RECORD).exists()
    subprocess.run([*command[:4], index.url, f"{TOY}==1.0.0"], check=True, timeout=90)
    (made,) = [path for path in folder.iterdir() if path.is_dir()]
    assert made != left
    assert (made / RECORD).exists()


def test_two_processes_make_one(index, tmp_path, alone):
    command = [sys.executable, "-c", KILLED_MAKER, str(tmp_path), index.url, f"{TOY}==1.0.0"]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as other:
        assert (one.wait(90), other.wait(90)) == (0, 0)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


async def test_an_index_that_is_away_is_told(tmp_path, alone, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")
    kept = Environments(tmp_path, allowed=None, index_url="http://127.0.0.1:9/simple")
    with pytest.raises(NotPrepared, match=r"the package index can't be reached \(Connection refused\)"):
        async with kept.using(f"{TOY}==1.0.0", list):
            pass


# With a real runtime from a real index


@pytest.fixture(scope="module")
def state_home(tmp_path_factory):
    """A user's state, in which an older ONNX Runtime is installed once, from the index that pip is configured for."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
async def old_runtime(state_home):
    kept = Environments(state_home / "benchfleet" / "bench" / "engines", allowed=["onnxruntime"])
    try:
        async with kept.using(OLD, list):
            pass
    except NotPrepared as error:
        if "can't be reached" in str(error) or "the package index has no onnxruntime" in str(error):
            pytest.skip(f"no package index is at hand: {error}")
        raise
    return kept


async def test_an_older_onnx_runtime_measures_a_real_network(old_runtime):
    runner = Bench(environments=old_runtime)
    path = light_models() / "light_squeezenet.onnx"
    request = BenchRequest(model_path=str(path), file_name=path.name, compute_unit="CPU (ONNX)", engine_version=OLD)
    try:
        outcome = await runner.measure(request, ignore)
    finally:
        await runner.close()
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert outcome.measurement.engine_version.startswith("1.22.")
    assert outcome.measurement.inference_ms_median > 0
    assert outcome.measurement.execution_provider == "CPUExecutionProvider"


def test_two_versions_are_compared_by_one_command(old_runtime, state_home, tmp_path, monkeypatch):
    (tmp_path / "tiny.onnx").write_bytes(TINY_ONNX)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    asked = ("--engine-version", OLD, "--engine-version", "installed")
    quick = ("--runs", "3", "--loads", "1", "--warmup", "1", "--rounds", "2", "--json")
    done = run_command("bench", "tiny.onnx", *asked, *quick, cwd=tmp_path, XDG_STATE_HOME=str(state_home))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["Subject"] for row in document["results"]] == [OLD, "installed", "installed", OLD]
    old, new, *_ = (row["EngineVersion"] for row in document["results"])
    assert old.startswith("1.22.")
    assert new == metadata.version("onnxruntime")
    assert {(row["FileName"], row["Status"]) for row in document["results"]} == {("tiny.onnx", "Complete")}
    assert {(one["base"], one["head"], one["rounds"]) for one in document["comparisons"]} == {(OLD, "installed", 2)}
