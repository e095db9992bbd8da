"""The workflows of GitHub Actions name files, targets, commands and units that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from daemons.cli import COMMANDS, cli
from daemons.core.units import STANDARD_UNITS

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
EACH = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)


def scripts(workflow):
    """Every line of shell in it."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)


def test_there_is_one_for_each_system_that_this_machine_is_not():
    assert {workflow.stem for workflow in WORKFLOWS} == {"ci", "macos", "windows", "cuda"}


@EACH
def test_what_it_runs_is_there(workflow):
    text = scripts(workflow)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    for path in re.findall(r"(?:tests/[\w/.]+|requirements[\w-]*\.lock|\.ci/run)", text):
        assert (ROOT / path).exists(), path
    assert set(re.findall(r"bin/benchfleet ([a-z-]+)", text)) <= set(COMMANDS)
    assert set(re.findall(r'"([\w ]+ \((?:ONNX|CoreML)\))"', text)) <= set(STANDARD_UNITS)


@EACH
def test_the_options_of_bench_that_it_uses_are_those_that_there_are(workflow):
    used = re.findall(r"bin/benchfleet bench[^\n]*", scripts(workflow))
    known = CliRunner().invoke(cli, ["bench", "--help"]).output
    for line in used:
        assert [option for option in re.findall(r"--[a-z-]+", line) if option not in known] == []


@EACH
def test_it_may_read_the_repository_and_no_more(workflow):
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
