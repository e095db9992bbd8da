"""What shells are told when the tab key is pressed: commands, options, and what the orchestrator knows."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import run, running_fleet
from tests.support.processes import environment

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def fleet(valkey_url, tmp_path_factory):
    with running_fleet(valkey_url, tmp_path_factory.mktemp("fleet"), "mac-mini-3") as running:
        running("submit", "https://example.org/net.onnx", "--on", "GPU (ONNX)")
        (model := tmp_path_factory.mktemp("models") / "kept.onnx").write_bytes(b"a model")
        running("models", "upload", str(model))
        yield running


@pytest.fixture
def offered(fleet):
    """What fish would offer after these words, the last of which is incomplete."""

    def offer(*words, url=fleet.url, **environ):
        asked = {"COMP_WORDS": " ".join(("benchfleet", *words)), "COMP_CWORD": words[-1]}
        ended = run(_BENCHFLEET_COMPLETE="fish_complete", BENCHFLEET_URL=url, **asked, **environ)
        assert (ended.status, ended.err) == (0, "")
        return {line.partition(",")[2].partition("\t")[0] for line in ended.out.splitlines() if line}

    return offer


def identifiers(fleet, kind, key):
    return {one[key] for one in fleet.api("GET", f"/{kind}")[1][kind]}


def test_commands_and_options_are_offered(offered):
    assert {"campaigns", "cancel"} <= offered("ca")
    assert "submit" not in offered("ca")
    assert {"show", "list", "remove", "reset", "check"} <= offered("workers", "")
    assert "--wait" in offered("submit", "--w")
    assert "--status" in offered("workers", "--s")
    assert "--status" in offered("workers", "list", "--s")
    assert offered("workers", "--status", "f") == {"faulty"}
    assert offered("completion", "z") == {"zsh"}


@pytest.mark.parametrize(
    "words", [("watch",), ("results",), ("cancel",), ("retry",), ("campaigns", "show"), ("jobs", "--campaign")]
)
def test_campaigns_are_offered(fleet, offered, words):
    assert identifiers(fleet, "campaigns", "campaign_id") <= offered(*words, "campaign-")
    assert offered(*words, "x") == set()


@pytest.mark.parametrize(
    "words", [("drain",), ("undrain",), ("workers", "show"), ("workers", "remove"), ("submit", "x", "--worker")]
)
def test_devices_are_offered(fleet, offered, words):
    assert offered(*words, "w") == identifiers(fleet, "workers", "worker_id")


def test_jobs_units_and_models_are_offered(fleet, offered):
    assert offered("jobs", "show", "campaign-") == identifiers(fleet, "jobs", "job_id")
    assert identifiers(fleet, "jobs", "job_id") <= offered("cancel", "campaign-")
    assert offered("submit", "x", "--on", "C") == {"CPU (ONNX)"}
    assert offered("models", "download", "k") == {"kept.onnx"}
    assert offered("submit", "mod") == offered("submit", "model:k") == {"model:kept.onnx"}


def test_the_line_says_which_orchestrator_is_asked(fleet, offered):
    assert offered("drain", "--url", fleet.url, "w", url=NOWHERE)


@pytest.mark.parametrize("trouble", [{"url": NOWHERE}, {"url": "nonsense"}, {"BENCHFLEET_TOKEN_FILE": "/none"}])
def test_without_an_orchestrator_nothing_is_offered_and_nothing_said(offered, trouble):
    assert offered("watch", "campaign-", **trouble) == set()
    assert "--json" in offered("watch", "--j", **trouble)


def test_who_does_not_answer_is_not_waited_for(offered, monkeypatch):
    """The server takes the connection and says nothing."""
    monkeypatch.setattr("daemons.cli.completing.PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert offered("watch", "c", url=f"http://127.0.0.1:{silent.getsockname()[1]}") == set()
        assert time.monotonic() - began < 10, "far below the 30 s that a request may take"


@pytest.mark.skipif(shutil.which("bash") is None, reason="this machine has no bash")
def test_bash_gets_what_it_can_put_into_a_line(fleet):
    """The script as it is installed, asked as bash asks it: twice for a name with blanks, once inside quotes."""
    folder = Path(sys.executable).parent
    if not (folder / "benchfleet").exists():
        pytest.skip("benchfleet is not installed here as a command")
    asking = (
        'eval "$(benchfleet completion bash)"; compopt() { :; }\n'
        'ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _benchfleet_completion benchfleet; '
        'printf "%s\\n" "${COMPREPLY[@]}"; }\n'
        "ask benchfleet submit x --on CPU; ask benchfleet submit x --on '\"CPU'; ask benchfleet unknown-command ''"
    )
    environ = environment(BENCHFLEET_URL=fleet.url)
    environ["PATH"] = f"{folder}:{environ['PATH']}"
    done = subprocess.run(["bash", "--norc", "-c", asking], env=environ, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:2] == [r"CPU\ \(ONNX\)", "CPU (ONNX)"]
