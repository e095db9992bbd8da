"""A tethered command ends with its owner, however the owner ends: real processes, really killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemons.runtime import tether
from daemons.runtime.tether import NOT_STARTED, OWNER_GONE, tethered

LIMIT_S = 20
ROOT = str(Path(tether.__file__).parents[2])

OWNER = """
import subprocess, sys
from daemons.runtime.tether import tethered
import signal
command = ["/bin/sh", "-c", "echo $$; exec sleep 60"]
child = subprocess.Popen(tethered(command, sent=signal.{sent}), start_new_session=True)
child.wait()
"""

WATCHED = """
import functools, os, select, signal, sys
sys.path.insert(0, {root!r})
from daemons.runtime import tether

def ends_of(*processes):
    # What kqueue does on macOS, with Linux's means.
    watched = {{os.pidfd_open(pid): pid for pid in processes}}
    poll = select.poll()
    for descriptor in watched:
        poll.register(descriptor, select.POLLIN)
    return lambda: watched[poll.poll()[0][0]]

tether.ends_of = ends_of
tether.tie_by_kernel = lambda sent: tether.tie_by_watcher(os.getppid(), sent)
tether.main([str(os.getppid()), str(int(signal.SIGTERM)), "-", *sys.argv[1:]])
"""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="pidfd_open and PR_SET_PDEATHSIG are Linux's")


def wait_for_end(pid: int) -> None:
    """Return when the process has ended; fails after a time that no end takes."""
    descriptor = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([descriptor], [], [], LIMIT_S)
    finally:
        os.close(descriptor)
    assert ready, f"process {pid} still runs"


@needs_linux
@pytest.mark.parametrize("sent", ["SIGTERM", "SIGKILL"])
def test_a_command_ends_when_its_owner_is_killed(sent):
    owner = subprocess.Popen([sys.executable, "-c", OWNER.format(sent=sent)], stdout=subprocess.PIPE)
    with owner:
        child = int(owner.stdout.readline())
        assert os.getpgid(child) != os.getpgid(owner.pid)
        owner.kill()
        wait_for_end(child)


def test_the_command_keeps_its_process_id_its_arguments_and_its_exit_status():
    command = ["/bin/sh", "-c", 'echo $$ "$1"; exit 7', "sh", "two words"]
    process = subprocess.Popen(tethered(command), stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=LIMIT_S)
    assert output == f"{process.pid} two words\n"
    assert process.returncode == 7


def test_signals_reach_the_command_itself():
    process = subprocess.Popen(tethered(["/bin/sh", "-c", "echo up; exec sleep 60"]), stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGINT


def test_an_owner_that_ended_before_the_tether_was_on_is_noticed():
    done = subprocess.run(
        tethered(["/bin/echo", "started"], owner=2**22 + 1), capture_output=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stdout) == (OWNER_GONE, b"")


def test_a_command_that_cannot_be_started_is_a_sentence():
    done = subprocess.run(tethered(["/no/such/command"]), capture_output=True, timeout=LIMIT_S, text=True, check=False)
    assert done.returncode == NOT_STARTED
    assert done.stderr == "/no/such/command can't be started: No such file or directory\n"


@needs_linux
class TestWatcher:
    """macOS's way, with Linux's pidfd in the place of kqueue."""

    @pytest.fixture
    def watched(self):
        return [sys.executable, "-c", WATCHED.format(root=ROOT)]

    def test_the_command_ends_when_its_owner_is_killed(self, watched):
        script = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
        command = ["/bin/sh", "-c", "echo $$; exec sleep 60"]
        owner = subprocess.Popen([sys.executable, "-c", script, *watched, *command], stdout=subprocess.PIPE)
        with owner:
            child = int(owner.stdout.readline())
            owner.kill()
            wait_for_end(child)

    def test_the_watcher_ends_with_the_command_and_holds_no_pipe_of_it(self, watched):
        process = subprocess.Popen([*watched, "/bin/sh", "-c", "echo $$; exit 7"], stdout=subprocess.PIPE)
        output, _ = process.communicate(timeout=LIMIT_S)  # returns at the end of file
        assert (int(output), process.returncode) == (process.pid, 7)

    def test_the_end_of_a_pipe_is_not_held_back_by_the_watcher(self, watched):
        command = ["/bin/sh", "-c", "echo up; exec sleep 60 >/dev/null"]
        with subprocess.Popen([*watched, *command], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"up\n"
            ready, _, _ = select.select([process.stdout], [], [], LIMIT_S)
            assert ready
            assert process.stdout.read() == b""
            assert process.poll() is None
            process.kill()

    def test_the_command_finds_no_child_that_it_never_made(self, watched):
        script = "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"
        done = subprocess.run(
            [*watched, sys.executable, "-c", script], capture_output=True, timeout=LIMIT_S, check=False
        )
        assert done.stdout == b"none\n"

    def test_without_kqueue_nothing_is_started_unwatched(self):
        script = (
            f"import os, sys; sys.path.insert(0, {ROOT!r}); from daemons.runtime import tether\n"
            "def broken(*processes): raise OSError('no kqueue')\n"
            "tether.ends_of = broken\n"
            "tether.tie_by_watcher(os.getppid(), 15); print('tied')"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, timeout=LIMIT_S, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (OWNER_GONE, "")
        assert "no kqueue" in done.stderr


class FakeKernel:
    """kqueue as far as `ends_of` uses it: one process has ended already, another ends later."""

    KQ_FILTER_PROC, KQ_EV_ADD, KQ_EV_ONESHOT, KQ_NOTE_EXIT = "proc", 1, 16, "exit"

    def __init__(self, gone=()):
        self.gone = gone
        self.asked = []

    def kqueue(self):
        return self

    def kevent(self, ident, kind, flags, fflags):
        assert (kind, flags, fflags) == ("proc", 17, "exit")
        return type("Event", (), {"ident": ident})

    def control(self, changes, most):
        if changes is None:
            assert most == 1
            return [type("Event", (), {"ident": self.asked[0]})]
        assert most == 0
        if changes[0].ident in self.gone:
            raise ProcessLookupError
        self.asked.append(changes[0].ident)
        return []


@pytest.mark.parametrize(("gone", "first"), [((), 11), ((11,), 11), ((22,), 22)])
def test_the_first_process_that_ends_is_told_also_if_it_had_ended_before(monkeypatch, gone, first):
    kernel = FakeKernel(gone)
    monkeypatch.setattr(tether, "select", kernel)
    assert tether.ends_of(11, 22)() == first
