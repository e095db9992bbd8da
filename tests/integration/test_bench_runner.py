"""The runner with real measuring processes: figures of a real network, and an outcome whatever a model does."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest
from daemons.core.units import CPU_ONNX
from daemons.worker.bench.leftover import kill_leftover, write_note
from daemons.worker.bench.process import child_environ
from daemons.worker.bench.runner import Bench, document
from daemons.worker.engines.serving import ONNX_RUNTIME, Serves
from tests.support import hostile_engines, hostile_models
from tests.support.light_models import light_models

SQUEEZENET = light_models() / "light_squeezenet.onnx"
FAKE = "CPU (Fake)"
MB = 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def request_for(path, unit=CPU_ONNX, **more):
    given = {"num_inference_runs": 3, "num_load_runs": 1, "warmup_runs": 1, "timeout_s": 30.0} | more
    return BenchRequest(model_path=str(path), file_name=path.name, compute_unit=unit, **given)


def ignore(progress):
    """Nobody looks."""


@pytest.fixture
async def bench():
    runner = Bench()
    yield runner
    await runner.close()


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Measures a file with an engine of tests.support.hostile_engines; the outcome."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    runners = []

    async def measure(engine, content=b"model", **more):
        path = tmp_path / "model.bin"
        path.write_bytes(content)
        runners.append(Bench({FAKE: [Serves(f"{hostile_engines.__name__}:{engine.__name__}", engine.name)]}))
        try:
            return await runners[-1].measure(request_for(path, FAKE, **more), ignore)
        finally:
            await runners[-1].close()

    return measure


@pytest.fixture
def noted(tmp_path):
    """The processes that the engine has noted down."""
    return lambda: [int(word) for word in (tmp_path / "model.bin.pids").read_text().split()]


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until(question, what, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.02)


async def all_end(pids):
    await until(lambda: not any(is_running(pid) for pid in pids), f"the end of {pids}")


def saved(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return path


@pytest.fixture
def endless_model(tmp_path):
    return saved(tmp_path, hostile_models.endless())


def greedy_model(tmp_path, gigabytes):
    return saved(tmp_path, hostile_models.greedy(gigabytes))


async def test_a_real_network_is_measured(bench):
    phases = []
    request = request_for(SQUEEZENET, num_inference_runs=12, num_load_runs=3, warmup_runs=2)
    outcome = await bench.measure(request, lambda progress: phases.append(progress.phase))
    figures = outcome.measurement
    assert outcome.status is ReportStatus.COMPLETE, figures.remark
    assert (figures.load_runs, figures.warmup_runs, figures.inference_runs) == (3, 2, 12)
    assert (len(outcome.samples.load_ms), len(outcome.samples.inference_ms)) == (3, 12)
    assert 0 < figures.inference_ms_min <= figures.inference_ms_median <= figures.inference_ms_max < 2000
    assert 0 < figures.load_ms_warm_median <= figures.load_ms_max < 5000
    assert figures.load_ms_first == outcome.samples.load_ms[0]
    assert 20 < figures.baseline_ram_usage < figures.peak_load_ram_usage < 500
    assert figures.baseline_ram_usage < figures.peak_inference_ram_usage < 500
    assert figures.execution_provider == "CPUExecutionProvider"
    assert figures.provider_share == 1.0
    assert figures.engine == "ONNX Runtime"
    assert figures.input_shapes == "data_0: 1x3x224x224 float32"
    assert figures.inference_ms_p90 is not None
    assert figures.inference_ms_p95 is None
    assert figures.model_hash is None, "the hash is of what was fetched; who fetched it knows it"
    assert list(dict.fromkeys(phases)) == ["loading", "warming up", "measuring", "loading again"]


async def test_threads_are_the_jobs(bench):
    outcome = await bench.measure(request_for(SQUEEZENET, threads=1), ignore)
    assert outcome.measurement.threads == 1


async def test_a_process_that_waits_is_used_once(bench):
    await bench.prepare()
    waiting = bench._waiting
    await bench.prepare()
    assert bench._waiting is waiting, "one is enough"
    outcome = await bench.measure(request_for(SQUEEZENET), ignore)
    assert outcome.status is ReportStatus.COMPLETE
    assert bench._waiting is None
    await bench.prepare()
    assert bench._waiting.pid != waiting.pid
    assert not is_running(waiting.pid)


async def test_a_process_that_died_waiting_is_replaced(bench):
    await bench.prepare()
    waiting = bench._waiting
    os.kill(waiting.pid, signal.SIGKILL)
    await until(lambda: not waiting.is_alive, "the end of the process")
    assert (await bench.measure(request_for(SQUEEZENET), ignore)).status is ReportStatus.COMPLETE


async def test_a_waiting_process_uses_no_processor(bench):
    await bench.prepare()
    times = [psutil.Process(bench._waiting.pid).cpu_times() for _ in range(2) if await asyncio.sleep(0.5) is None]
    assert times[0].user + times[0].system == times[1].user + times[1].system


async def test_a_file_that_is_no_model_is_a_sentence(bench, tmp_path):
    path = tmp_path / "page.onnx"
    path.write_text("<!DOCTYPE html><html><body>404</body></html>")
    outcome = await bench.measure(request_for(path), ignore)
    assert outcome.status is ReportStatus.FAILED
    assert "Traceback" not in outcome.measurement.remark
    assert "raised" not in outcome.measurement.remark, "it is the model's fault, not a bug of the engine"


async def test_a_missing_file_is_a_sentence(bench, tmp_path):
    outcome = await bench.measure(request_for(tmp_path / "gone.onnx"), ignore)
    assert outcome.status is ReportStatus.FAILED
    assert "gone.onnx" in outcome.measurement.remark
    assert "raised" not in outcome.measurement.remark


async def test_an_endless_model_ends_at_its_time_limit(bench, endless_model):
    await bench.prepare()
    pid = bench._waiting.pid
    began = time.monotonic()
    outcome = await bench.measure(request_for(endless_model, timeout_s=1.5), ignore)
    took = time.monotonic() - began
    assert outcome.status is ReportStatus.FAILED
    assert "time limit of 1.5 s" in outcome.measurement.remark
    assert took < 6
    await bench.close()
    assert not is_running(pid)


async def test_the_next_job_runs_after_an_endless_one(bench, endless_model):
    await bench.measure(request_for(endless_model, timeout_s=0.5), ignore)
    assert (await bench.measure(request_for(SQUEEZENET), ignore)).status is ReportStatus.COMPLETE


@pytest.mark.parametrize("limit_bytes", [1024 * MB, None])
async def test_a_model_that_asks_for_more_than_there_is_ends_in_a_sentence(bench, tmp_path, limit_bytes):
    """256 GiB are more than any limit; without one the machine's own memory is it."""
    outcome = await bench.measure(request_for(greedy_model(tmp_path, 256), memory_limit_bytes=limit_bytes), ignore)
    assert outcome.status is ReportStatus.FAILED
    assert "memory" in outcome.measurement.remark.lower()
    assert "Traceback" not in outcome.measurement.remark


@pytest.mark.parametrize(
    ("unit", "given", "told"),
    [
        (CPU_ONNX, None, psutil.virtual_memory().total),
        (CPU_ONNX, 5 * MB, 5 * MB),
        ("GPU (ONNX)", None, None),
        ("GPU (ONNX)", 5 * MB, 5 * MB),
    ],
)
def test_on_a_cpu_the_machines_memory_is_the_limit_if_none_is_given(unit, given, told):
    """Of a GPU's memory the limit of the process says nothing, and its driver maps more than there is."""
    told_child = document(request_for(SQUEEZENET, unit, memory_limit_bytes=given), ONNX_RUNTIME)
    assert told_child["memory_limit_bytes"] == told


async def test_what_fits_under_the_limit_is_measured(bench):
    request = request_for(SQUEEZENET, memory_limit_bytes=1024 * MB)
    assert (await bench.measure(request, ignore)).status is ReportStatus.COMPLETE


async def test_a_greedy_engine_stays_within_the_limit(hostile):
    began = resident_children_peak()
    outcome = await hostile(hostile_engines.EatsMemory, memory_limit_bytes=300 * MB)
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.remark == "out of memory: the limit for a measurement is 300 MB"
    assert resident_children_peak() <= max(began, 600 * MB)


def resident_children_peak():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


async def test_a_quiet_engine_is_measured(hostile):
    """The measure of the tests below: it is what the engines do that makes them fail."""
    outcome = await hostile(hostile_engines.QuietEngine)
    assert outcome.status is ReportStatus.COMPLETE
    assert outcome.measurement.execution_provider == "FakeProvider"


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (hostile_engines.Crashes, ["SIGSEGV", "about to touch address 0"]),
        (hostile_engines.IsKilled, ["SIGKILL"]),
        (hostile_engines.Leaves, ["ended with status 7"]),
        (hostile_engines.Raises, ["ZeroDivisionError", "by nought"]),
        (hostile_engines.Refuses, ["This engine takes no model on a Sunday."]),
    ],
)
async def test_an_engine_that_fails_is_an_outcome_that_says_how(hostile, engine, words):
    outcome = await hostile(engine)
    assert outcome.status is ReportStatus.FAILED
    for word in words:
        assert word in outcome.measurement.remark


async def test_an_engine_that_is_not_there_is_named(bench, tmp_path):
    runner = Bench({FAKE: [Serves("no.such.module:Engine", "None such")]})
    try:
        path = tmp_path / "model.bin"
        path.write_bytes(b"model")
        outcome = await runner.measure(request_for(path, FAKE), ignore)
    finally:
        await runner.close()
    assert outcome.status is ReportStatus.FAILED
    assert "no.such.module" in outcome.measurement.remark


async def test_200_mb_on_stderr_neither_block_nor_stay(hostile):
    before = psutil.Process().memory_info().rss
    outcome = await hostile(hostile_engines.Babbles)
    assert outcome.status is ReportStatus.COMPLETE
    assert psutil.Process().memory_info().rss - before < 50 * MB


async def test_what_libraries_print_is_no_answer(hostile):
    outcome = await hostile(hostile_engines.Prints)
    assert outcome.status is ReportStatus.COMPLETE
    assert outcome.measurement.remark is None


@pytest.mark.parametrize(
    "said",
    [
        b"not json\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"outcome": 5}\n',
        b'{"outcome": {}}\n',
        b'{"outcome": {"status": "Splendid", "figures": {}}}\n',
        b'{"outcome": {"status": ["Complete"], "figures": {}}}\n',
        b'{"outcome": {"status": "Complete", "figures": {"LoadMsMedian": -1}}}\n',
        b'{"outcome": {"status": "Complete", "figures": {"LoadMsMedian": NaN}}}\n',
        b'{"outcome": {"status": "Complete", "figures": {}, "samples": {"LoadMs": "many"}}}\n',
        b'{"progress": {"phase": 5}}\n',
        b"x" * (17 * MB),
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_failure(hostile, said):
    outcome = await hostile(hostile_engines.Garbles, said)
    assert outcome.status is ReportStatus.FAILED
    assert len(outcome.measurement.remark) <= 4000


async def test_what_a_model_has_started_dies_with_its_measurement(hostile, noted):
    assert (await hostile(hostile_engines.Forks)).status is ReportStatus.COMPLETE
    await all_end(noted())


async def test_a_crash_is_noticed_though_a_grandchild_holds_the_line(hostile, noted):
    began = time.monotonic()
    outcome = await hostile(hostile_engines.ForksAndCrashes)
    assert "SIGSEGV" in outcome.measurement.remark
    assert time.monotonic() - began < 10
    await all_end(noted())


async def test_the_time_limit_kills_the_whole_group(hostile, noted):
    outcome = await hostile(hostile_engines.Hangs, timeout_s=2.0)
    assert "time limit" in outcome.measurement.remark
    await all_end(noted())


async def test_cancelling_kills_and_reaps(hostile, noted, tmp_path):
    task = asyncio.create_task(hostile(hostile_engines.Hangs))
    await until((tmp_path / "model.bin.pids").exists, "the engine to hang")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    child, grandchild = noted()
    assert not psutil.pid_exists(child), "reaped when close() has returned"
    await all_end([grandchild])


async def test_cancelling_while_the_process_starts_leaves_none(bench):
    before = {child.pid for child in psutil.Process().children()}
    for delay_s in (0, 0.001, 0.003, 0.01, 0.03, 0.1):
        task = asyncio.create_task(bench.measure(request_for(SQUEEZENET), ignore))
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await bench.close()
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_closing_ends_the_process_that_waits(bench):
    await bench.prepare()
    pid = bench._waiting.pid
    await bench.close()
    assert not psutil.pid_exists(pid)


async def test_no_descriptor_is_left_behind(bench):
    await bench.measure(request_for(SQUEEZENET), ignore)
    await bench.close()
    before = psutil.Process().num_fds()
    for _ in range(2):
        await bench.measure(request_for(SQUEEZENET), ignore)
        await bench.close()
    assert psutil.Process().num_fds() == before


async def test_the_environment_of_a_model_holds_no_secret(hostile, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_TOKEN", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@proxy")
    await hostile(hostile_engines.TellsEnvironment)
    environ = (tmp_path / "model.bin.environ").read_bytes()
    assert b"hush" not in environ
    assert b"PATH=" in environ


def test_what_the_environment_keeps():
    given = {"PATH": "p", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "1", "TOKEN": "t"}
    assert child_environ(given) == {"PATH": "p", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "1"}


@pytest.fixture
def sleeper():
    """A process that leads its group, with a child in it."""
    code = "import os,time; os.fork(); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        yield process
        process.kill()


async def test_a_leftover_group_is_killed(sleeper, tmp_path):
    record = tmp_path / "child"
    await until(lambda: psutil.Process(sleeper.pid).children(), "the sleeper's child")
    members = [sleeper.pid, *(child.pid for child in psutil.Process(sleeper.pid).children())]
    write_note(record, sleeper.pid)
    assert kill_leftover(record) == sleeper.pid
    sleeper.wait(timeout=10)
    await all_end(members)


async def test_a_number_that_came_again_is_spared(sleeper, tmp_path):
    record = tmp_path / "child"
    write_note(record, os.getpid())
    note = msgspec.json.decode(record.read_bytes()) | {"pid": sleeper.pid}
    record.write_bytes(msgspec.json.encode(note))
    assert kill_leftover(record) is None
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", [b"", b"5", b"{}", b'{"pid": "x"}', b'{"pid": -1, "birth": "", "boot": ""}'])
def test_a_record_that_tells_nothing_kills_nothing(tmp_path, content):
    record = tmp_path / "child"
    assert kill_leftover(record) is None
    record.write_bytes(content)
    assert kill_leftover(record) is None


async def test_the_record_names_the_process(tmp_path):
    runner = Bench(record=tmp_path / "child")
    try:
        await runner.prepare()
        pid = runner._waiting.pid
        assert kill_leftover(tmp_path / "child") == pid
    finally:
        await runner.close()
    assert not psutil.pid_exists(pid)
    assert kill_leftover(tmp_path / "child") is None, "gone"


ORPHAN_MAKER = """
import asyncio, sys
from daemons.worker.bench.runner import Bench
from daemons.core.models import BenchRequest

async def main():
    runner = Bench()
    await runner.prepare()
    print(runner._waiting.pid, flush=True)
    request = BenchRequest(model_path=sys.argv[1], file_name="x", compute_unit="CPU (ONNX)", timeout_s=600)
    await runner.measure(request, lambda progress: print(progress.phase, flush=True))

asyncio.run(main())
"""


def test_the_process_dies_with_its_daemon_even_inside_native_code(endless_model):
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN_MAKER, str(endless_model)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as daemon:
        pid = int(daemon.stdout.readline())
        assert daemon.stdout.readline().strip() == "loading"
        child = psutil.Process(pid)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(timeout=10)
        psutil.wait_procs([child], timeout=10)
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("daemons.worker.bench.runner", {"numpy", "onnxruntime", "onnx"}),
        ("daemons.worker.bench.child", {"asyncio", "msgspec", "statistics", "structlog", "psutil", "numpy.random"}),
        ("daemons.worker.daemon", {"numpy", "onnxruntime", "onnx", "redis"}),
    ],
)
def test_what_is_imported_is_no_more_than_is_used(module, absent):
    code = f"import {module}, sys; print(*sorted({absent!r} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_default_engine_brings_in_nothing_heavy_either():
    code = "import daemons.worker.bench.child, daemons.worker.engines.onnx, sys; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"asyncio", "msgspec", "statistics", "onnx"} & set(done.stdout.split())
