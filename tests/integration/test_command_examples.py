"""Every example in the help of every command does what it says: those that ask an orchestrator, for a real one.

What stands in an example for something of the reader's own is replaced by something of that kind that is there. Daemons
and what measures are followed to the point where they begin their work; with other words they are run by tests of
their own.
"""

from __future__ import annotations

import importlib
import re
import shlex
import signal
from pathlib import Path

import click
import pytest

from daemons.cli import COMMANDS, events
from daemons.core import health
from daemons.runtime import boot
from tests.support.command_line import run, running_fleet

ROOT = Path(__file__).parents[2]
CPU = "CPU (ONNX)"
ELSEWHERE = {"bench", "demo", "orchestrator", "tui", "up", "worker"}
"""Daemons, and what measures."""


def examples():
    """Every example, once, without what it says to the reader alone."""
    found = []
    for name, (place, _) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
        lines = [
            line for one in commands for line in (one.epilog or "").splitlines() if re.match(" +benchfleet ", line)
        ]
        assert any(line.startswith(f"  benchfleet {name}") for line in lines)
        found += [line.partition("  # ")[0].strip() for line in lines]
    return list(dict.fromkeys(found))


EXAMPLES = [line for line in examples() if line.split()[1] not in ELSEWHERE]
BEGINNINGS = [line for line in examples() if line.split()[1] in ELSEWHERE]


@pytest.fixture(scope="module")
def fleet(valkey_url, tmp_path_factory):
    with running_fleet(valkey_url, tmp_path_factory.mktemp("fleet"), "mac-mini-3", "linux-7") as running:
        yield running


@pytest.fixture
def here(fleet, tmp_path, monkeypatch):
    """A folder with what the examples name, and an orchestrator that has it."""
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(b"a model that nobody loads")
    Path("config").symlink_to(ROOT / "config")
    for name in ("model.onnx", "net.onnx", "nightly.onnx"):
        assert fleet("models", "upload", "model.onnx", "--name", name).status == 0
    return tmp_path


def at_hand(fleet, line):
    """The example with what is at hand here in place of what it only stands for."""
    if "campaign-" in line:
        campaign = run_to_its_end(fleet, line.count("-job-3") * 3 + 1)
        line = line.replace("campaign-1736432000123456", campaign)
    if "worker-0123456789ab" in line:
        line = line.replace("worker-0123456789ab", set_aside(fleet))
    if "workers check" in line:
        line = line.replace("mac-mini-3", registered(fleet, "can be checked", builtin_models=[health.MODEL]))
    line = line.replace("https://example.org", f"{fleet.url}/api/models")
    return line.replace("/etc/benchfleet", "config").replace("staging.yaml", "config/orchestrator.yaml")


def run_to_its_end(fleet, jobs):
    """A campaign of so many jobs that has ended."""
    campaign = fleet.api("POST", "/campaigns", {"model_url": "model:net.onnx", "jobs": [{"compute_unit": CPU}] * jobs})
    fleet("watch", campaign[1]["campaign_id"])
    return campaign[1]["campaign_id"]


def set_aside(fleet):
    """A device that can be reset and removed."""
    worker = registered(fleet, "old")
    fleet.api("PUT", f"/workers/{worker}/status", {"status": "faulty"})
    return worker


def registered(fleet, name, **more):
    """A device of which nothing is heard but its name."""
    card = {"device_name": name, "capabilities": [CPU], "device_info": {"UDID": name}, **more}
    return fleet.api("POST", "/register", card)[1]["worker_id"]


@pytest.fixture(autouse=True)
def _ended_by_ctrl_c(monkeypatch):
    """Whoever shows events without an end has seen enough after the first one."""
    show = events._show

    def show_and_interrupt(event, **how):
        shown = show(event, **how)
        if shown:
            signal.raise_signal(signal.SIGINT)
        return shown

    monkeypatch.setattr(events, "_show", show_and_interrupt)


def test_there_are_examples_of_everything():
    assert len(EXAMPLES) > 40
    assert {line.split()[1] for line in EXAMPLES} == set(COMMANDS) - ELSEWHERE


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_does_what_it_says(fleet, here, line):
    command, _, target = at_hand(fleet, line).partition(" > ")
    words = shlex.split(command)[1:]
    if words[0] == "events":
        words += ["--seconds", "0.2"] if "--seconds" not in words else []
        fleet("submit", "model.onnx")
    ended = fleet(*(re.sub("^60$", "0.2", word) for word in words))
    assert ended.status in ((0, 130) if words[0] == "events" else (0,)), (ended.out, ended.err)
    assert "Traceback" not in ended.err
    assert ended.out or "--output" in words or words[0] == "events"
    if target:
        Path(target).write_text(ended.out)


@pytest.mark.parametrize("line", BEGINNINGS)
def test_an_example_of_what_is_run_elsewhere_begins(line, tmp_path, monkeypatch):
    """Its words are understood, its files found and its settings right; what it would run then is there."""
    begun = []
    for name in ("run", "run_command"):
        monkeypatch.setattr(boot, name, lambda main: begun.append(main) or 0)
    monkeypatch.chdir(tmp_path)
    Path("config").symlink_to(ROOT / "config")
    for name in ("model.onnx", "old.onnx", "new.onnx", "m.onnx", "evening.jsonl"):
        Path(name).touch()
    for name in ("token", "viewer.token"):
        Path(name).write_text("a-token-0123456789")
    words = shlex.split(
        line.partition(" > ")[0].replace("/etc/benchfleet", "config").replace("~/.config/benchfleet/", "")
    )
    ended = run(*words[1:], HOME=str(tmp_path))
    assert (ended.status, ended.err) == (0, "")
    assert len(begun) == 1


def test_an_example_of_completion_is_a_script_for_that_shell():
    for shell in ("bash", "zsh", "fish"):
        ended = run("completion", shell)
        assert ended.status == 0
        assert f"_BENCHFLEET_COMPLETE={shell}_complete" in ended.out
