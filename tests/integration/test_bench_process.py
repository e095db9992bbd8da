"""The measuring process from start to end: what it may do, what reaches it, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import structlog

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest
from daemons.worker.bench.child import Channel
from daemons.worker.bench.leftover import kill_leftover, write_note
from daemons.worker.bench.process import MODULE, STDERR_BYTES, how_ended
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import Serves

ROOT = Path(__file__).parents[2]
UNIT = "CPU (Odd)"
LIMIT_S = 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.fixture
async def odd(monkeypatch):
    """A bench whose unit is served by one of tests.support.odd_engines."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    benches = []

    def odd(engine, record=None):
        benches.append(Bench({UNIT: [Serves(f"tests.support.odd_engines:{engine}", engine)]}, record))
        return benches[-1]

    yield odd
    for bench in benches:
        await bench.close()


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"a model")
    return path


def a_request(path, **more):
    given = {"num_inference_runs": 1, "num_load_runs": 1, "warmup_runs": 0, "timeout_s": 60.0} | more
    return BenchRequest(model_path=str(path), file_name=path.name, compute_unit=UNIT, **given)


def ignore(progress):
    """Nobody looks."""


async def until_gone(pid):
    """Return when the process has ended; fails after a time that no end takes."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = await asyncio.to_thread(select.select, [descriptor], [], [], LIMIT_S)
    finally:
        os.close(descriptor)
    assert ready, f"process {pid} still runs"


async def test_the_process_has_its_limits(odd, model):
    await odd("TellsItsWorld").measure(a_request(model), ignore)
    seen = json.loads(model.read_text())
    assert seen["core"] == [0, 0]
    assert 0 < max(seen["files"]) <= 4096
    assert 0 < max(seen["file_size"]) <= 2**30
    assert seen["leads"], "a session and a group of its own"
    assert seen["oom_score_adj"] == 1000, "the kernel takes it before the daemon"


async def test_files_in_the_working_folder_are_not_imported(odd, model, tmp_path, monkeypatch):
    for name in ("numpy.py", "onnxruntime.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('somebody else is here')")
    monkeypatch.chdir(tmp_path)
    outcome = await odd("Sleeps").measure(a_request(model), ignore)
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark


async def test_one_endless_line_does_not_push_out_the_last_words(odd, model):
    outcome = await odd("Shouts").measure(a_request(model), ignore)
    assert outcome.measurement.remark.endswith("| the last words")
    assert len(outcome.measurement.remark) < STDERR_BYTES


@pytest.mark.parametrize("is_prepared_again", [False, True])
async def test_a_process_that_died_unnoticed_while_it_waited_is_no_fault_of_the_job(
    odd, model, tmp_path, is_prepared_again
):
    """Its end may be known by then, or not yet: there is no telling."""
    bench = odd("Sleeps", tmp_path / "child.json")
    await bench.prepare()
    os.kill(json.loads((tmp_path / "child.json").read_text())["pid"], signal.SIGKILL)
    if is_prepared_again:
        await bench.prepare()
    outcome = await bench.measure(a_request(model), ignore)
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark


@pytest.mark.parametrize("delay_ms", range(0, 200, 25))
async def test_cancelled_at_any_moment_nothing_is_left(odd, model, delay_ms):
    """Also before the process is ready, or while it is being started."""
    before = psutil.Process().num_fds()
    bench = odd("Sleeps")
    task = asyncio.create_task(bench.measure(a_request(model, num_inference_runs=100_000), ignore))
    await asyncio.sleep(delay_ms / 1000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bench.close()
    assert not [one for one in psutil.Process().children() if MODULE in one.cmdline()]
    assert psutil.Process().num_fds() == before


async def test_a_note_that_can_not_be_written_is_no_reason_to_stop(odd, model, tmp_path):
    with structlog.testing.capture_logs() as logs:
        outcome = await odd("Sleeps", tmp_path / "no/such/folder").measure(a_request(model), ignore)
    assert outcome.status is ReportStatus.COMPLETE
    assert [line["event"] for line in logs] == ["measuring process not noted"]


FORKS = """
import os, time
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def orphan(tmp_path, module):
    """The number of a group whose leader is gone, and its only member; `child.json` is a note of the group."""
    command = [sys.executable, "-c", FORKS, "-m", module]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as leader:
        # The leader is a zombie until it is waited for, so there is somebody to note.
        member = int(leader.stdout.readline())
        write_note(tmp_path / "child.json", leader.pid)
        leader.wait()
        return leader.pid, member


async def test_what_outlives_the_leader_is_killed(tmp_path):
    """The usual case on Linux: the leader was killed with its daemon, and what it had forked lives on."""
    group, member = orphan(tmp_path, MODULE)
    assert kill_leftover(tmp_path / "child.json") == group
    await until_gone(member)


async def test_a_strangers_group_of_the_same_number_is_spared(tmp_path):
    group, stranger = orphan(tmp_path, "somebody.else")
    try:
        assert kill_leftover(tmp_path / "child.json") is None
        os.kill(stranger, 0)
    finally:
        os.killpg(group, signal.SIGKILL)
        await until_gone(stranger)


@pytest.mark.parametrize("other", [{"birth": "1"}, {"boot": "another"}])
def test_a_note_of_another_birth_or_boot_kills_nobody(tmp_path, other):
    record = tmp_path / "child.json"
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        write_note(record, process.pid)
        note = json.loads(record.read_text())
        record.write_text(json.dumps(note | other))
        assert kill_leftover(record) is None
        assert process.poll() is None
        record.write_text(json.dumps(note))
        assert kill_leftover(record) == process.pid
        assert process.wait() == -signal.SIGKILL


def test_a_measurement_does_not_wait_for_its_audience():
    """A daemon that is stopped reads nothing; what it can't be told is left out, and no line is torn."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours.fileno())
        for number in range(20_000):
            channel.progress(f"phase {number}", 0, 1)
        theirs.setblocking(False)
        told = b""
        while part := _read(theirs):
            told += part
    phases = [json.loads(line)["progress"]["phase"] for line in told.splitlines()]
    assert 0 < len(phases) < 20_000
    assert phases == [f"phase {number}" for number in range(len(phases))]


def _read(channel):
    try:
        return channel.recv(2**16)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize(
    ("returncode", "ran_out_of_memory", "words"),
    [
        (None, False, "closed its channel"),
        (3, False, "ended with status 3 and no answer"),
        (-signal.SIGSEGV, True, "was killed by SIGSEGV"),
        (-signal.SIGKILL, False, "was killed by SIGKILL"),
        (-signal.SIGKILL, True, "was killed by the kernel (SIGKILL), for memory ran out"),
    ],
)
def test_memory_is_blamed_only_where_the_kernel_says_so(returncode, ran_out_of_memory, words):
    assert how_ended(returncode, ran_out_of_memory=ran_out_of_memory) == words
