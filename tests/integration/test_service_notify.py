"""A small daemon, made of boot, logs, notify and supervise, under something that listens as systemd does."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest

LIMIT_S = 20

DAEMON = """
import asyncio, os, sys
from daemons.core.errors import WorkerReplaced
from daemons.runtime import boot
from daemons.runtime.logs import set_up_logs
from daemons.runtime.notify import Notifier
from daemons.runtime.supervise import supervise

async def main():
    notifier, stop = Notifier.from_environ(), asyncio.Event()

    async def serve(stop):
        notifier.ready("serving")
        if sys.argv[1] == "crash":
            raise ZeroDivisionError("a bug")
        if sys.argv[1] == "replaced":
            raise WorkerReplaced("a newer process has registered as this device")
        if sys.argv[1] == "hang":
            import time
            time.sleep(600)
        await stop.wait()
        if sys.argv[1] == "stubborn":
            await asyncio.sleep(600)

    await supervise({"serve": serve}, stop, drain_timeout_s=600, notifier=notifier)

set_up_logs("info", "json")
sys.exit(boot.run(main))
"""


class Manager:
    """What systemd is to a daemon: its notify socket and its process."""

    def __init__(self, channel, process):
        self.channel = channel
        self.process = process

    def hear(self) -> str:
        return self.channel.recv(4096).decode()

    def hear_until(self, message: str) -> list[str]:
        heard = [self.hear()]
        while heard[-1] != message:
            heard.append(self.hear())
        return heard


@pytest.fixture
def manage(tmp_path):
    started = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(LIMIT_S)

        def start(way: str, watchdog_us: int = 200_000) -> Manager:
            environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(watchdog_us), "PYTHONPATH": "."}
            process = subprocess.Popen(
                [sys.executable, "-c", DAEMON, way], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            started.append(process)
            return Manager(channel, process)

        yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_daemon_says_ready_lives_and_stopping(manage):
    daemon = manage("serve")
    daemon.hear_until("READY=1\nSTATUS=serving")
    assert [daemon.hear() for _ in range(3)] == ["WATCHDOG=1"] * 3
    daemon.process.terminate()
    daemon.hear_until("STOPPING=1")
    output, errors = daemon.process.communicate(timeout=LIMIT_S)
    assert (daemon.process.returncode, output) == (0, b"")
    assert json.loads(errors)["event"] == "stop asked for"


def test_the_watchdog_is_fed_while_draining_until_a_second_signal_forces_the_end(manage):
    daemon = manage("stubborn")
    daemon.hear_until("READY=1\nSTATUS=serving")
    daemon.process.terminate()
    daemon.hear_until("STOPPING=1")
    assert [daemon.hear() for _ in range(3)] == ["WATCHDOG=1"] * 3
    daemon.process.send_signal(signal.SIGINT)
    daemon.process.communicate(timeout=LIMIT_S)
    assert daemon.process.returncode == 0


def test_a_loop_that_hangs_feeds_no_watchdog(manage):
    """So the service manager ends it; a thread that feeds would keep it half dead."""
    daemon = manage("hang")
    daemon.hear_until("READY=1\nSTATUS=serving")
    daemon.channel.settimeout(0.5)  # more than two feedings
    with pytest.raises(TimeoutError):
        daemon.hear()


def test_a_bug_ends_with_1_and_a_traceback_in_the_log(manage):
    daemon = manage("crash")
    _, errors = daemon.process.communicate(timeout=LIMIT_S)
    assert daemon.process.returncode == 1
    last = json.loads(errors.splitlines()[-1])
    assert (last["event"], last["level"]) == ("program failed", "critical")
    assert "ZeroDivisionError: a bug" in last["exception"]


def test_what_must_not_restart_ends_with_78_and_a_sentence(manage):
    daemon = manage("replaced")
    _, errors = daemon.process.communicate(timeout=LIMIT_S)
    assert daemon.process.returncode == 78
    assert errors == b"benchfleet: a newer process has registered as this device\n"
