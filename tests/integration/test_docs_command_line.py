"""The examples of docs/command-line.md, run by a shell in their order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemons.cli import COMMANDS
from tests.support.command_line import running_fleet
from tests.support.processes import environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/command-line.md").read_text()
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FOLDER = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not (FOLDER / "benchfleet").exists(),
    reason="this machine has no bash, or benchfleet is not installed as a command",
)


def test_the_examples_do_what_the_page_says(valkey_url, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"a model that nobody loads")
    (tmp_path / "config").symlink_to(ROOT / "config")
    with running_fleet(valkey_url, tmp_path / "fleet", "mac-mini-3") as fleet:
        environ = environment(BENCHFLEET_URL=fleet.url)
        environ["PATH"] = f"{FOLDER}:{environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", "\n".join(EXAMPLES)],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert len(EXAMPLES) == 4
    assert re.search(r"^campaign-\d+ completed {'pending': 0, .*'complete': 1", done.stdout, re.MULTILINE)
    assert re.search(r"^mac-mini-3 CPU \(ONNX\) 1\.\d+$", done.stdout, re.MULTILINE)
    assert (tmp_path / "nightly.csv").read_text().startswith("Status,JobId,")
    assert "a valid campaign" in done.stdout
    assert "completed; 4 jobs: 4 complete" in done.stdout
    assert "To install" in (tmp_path / "completion.bash").read_text()


def test_the_page_names_every_command_that_asks_an_orchestrator():
    assert set(COMMANDS) - {"demo", "orchestrator", "tui", "up", "worker"} <= set(re.findall(r"[a-z-]+", PAGE))
