"""The dashboard outlives what it shows, and leaves its terminal as it was: real programs in a real terminal."""

from __future__ import annotations

import shlex
from contextlib import suppress

import psutil
import pytest

from tests.support.processes import BENCHFLEET, environment, kill, until
from tests.support.tmux import HAS_TMUX, in_tmux

pytestmark = pytest.mark.skipif(not HAS_TMUX, reason="needs tmux: the dashboard is driven inside it")


def processes(*words):
    """Those whose command lines hold all `words`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if all(word in process.cmdline() for word in words):
                found.append(process)
    return found


def test_orchestrator_and_database_are_killed_and_it_catches_up_and_ends_in_good_order(tmp_path):
    data = str(tmp_path / "data")
    command = [*BENCHFLEET, "up", "--tui", "--port", "0", "--data-dir", data, "--workers", "1"]
    kept = [f"{name}={value}" for name, value in environment(TERM="xterm-256color").items()]
    script = f"{shlex.join(['env', '-i', *kept, *command])}; echo ended with $?; stty -a | grep -wo -e icanon -e echo"
    with in_tmux(script, 80, 24) as tmux:
        tmux.wait_for("● live", "1 device:", "1 active")
        (orchestrator,) = processes("orchestrator", data)
        kill(orchestrator)  # the embedded database goes with it
        tmux.wait_for("◌ stale", "reconnecting")
        tmux.press("2")
        tmux.wait_for("● live", "1 device  by device")
        tmux.press("q")
        tmux.wait_for("ended with 0", "icanon", "echo")
        until(lambda: not processes(data), "every process to have ended", 10)
