"""`benchfleet check-config` tells every mistake of every file, and exits as promised."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from daemons.cli.check_config import check_config, kind_of
from daemons.core.settings import OrchestratorSettings
from daemons.runtime.schema import settings_schema

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture
def check():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(check_config, [str(argument) for argument in arguments])


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "lab-worker.yaml"
    path.write_text("limits:\n  drain_timeout_s: soon\nlog:\n  levl: info\n")
    return path


def test_the_shipped_files_are_well(check):
    result = check(CONFIG / "orchestrator.yaml", CONFIG / "worker.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{CONFIG}/orchestrator.yaml: a valid configuration of the orchestrator",
        f"{CONFIG}/worker.yaml: a valid configuration of the worker",
    ]
    assert result.stderr == ""


def test_every_mistake_is_a_line_with_file_line_key_and_what_is_allowed(check, bad):
    result = check(bad)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f'{bad}:2: limits.drain_timeout_s: must be a number from 0 to 86,400, and is "soon"',
        f"{bad}:4: log.levl: there is no such key; did you mean `level`?",
    ]
    assert result.stdout == ""


def test_what_is_no_tag_of_a_device_is_named_with_its_line(check, tmp_path):
    path = tmp_path / "worker.yaml"
    path.write_text("device:\n  tags:\n    - lab-2\n    - quiet room\n")
    result = check(path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{path}:4: device.tags[1]: must be 1 to 60 letters, digits and the signs . _ : -")


def test_one_bad_file_does_not_keep_the_others_from_being_checked(check, bad):
    result = check(bad, CONFIG / "worker.yaml", "/no/such/worker.yaml")
    assert result.exit_code == 2
    assert "drain_timeout_s" in result.stderr
    assert "/no/such/worker.yaml: there is no such file" in result.stderr
    assert "worker.yaml: a valid configuration" in result.stdout


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("worker.yaml", "worker"),
        ("lab-Worker.yml", "worker"),
        ("orchestrator.yaml", "orchestrator"),
        ("site.yaml", None),
        ("worker-of-orchestrator.yaml", None),
        ("worker.d/site.yaml", None),
        ("nightly-campaign.yaml", "campaign"),
        ("campaigns/nightly.yaml", "campaign"),
        ("campaigns/worker.yaml", "worker"),
        ("campaigns/worker-campaign.yaml", None),
    ],
)
def test_what_a_file_is_for_is_told_by_the_files_name(name, kind):
    assert kind_of(Path("/etc/benchfleet") / name) == kind


def test_a_campaign_is_checked_as_one(check, tmp_path):
    path = tmp_path / "nightly-campaign.yaml"
    path.write_text("model_url: https://example.org/net.onnx\njobs: [{compute_unit: a, treads: 4}]\n")
    result = check(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{path}:2: jobs[0].treads: there is no such key; did you mean `threads`?\n"
    path.write_text("model_url: https://example.org/net.onnx\njobs: [{compute_unit: a, threads: 4}]\n")
    assert check(path).stdout == f"{path}: a valid campaign\n"


def test_a_name_that_tells_nothing_needs_the_option(check, tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("http: {port: 1}")
    assert check(path).exit_code == 2
    assert "add --for orchestrator or --for worker or --for tui or --for campaign" in check(path).stderr
    assert check("--for", "orchestrator", path).exit_code == 0
    assert check("--for", "worker", path).exit_code == 1


def test_the_option_outranks_the_name(check, bad):
    result = check("--for", "orchestrator", bad)
    assert "limits: there is no such key" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--schema",), ("--for", "fridge", "x.yaml")])
def test_used_wrongly_it_exits_with_2(check, arguments):
    assert check(*arguments).exit_code == 2


def test_a_folder_and_garbage_are_mistakes_and_no_tracebacks(check, tmp_path):
    (tmp_path / "worker.yaml").mkdir()
    (tmp_path / "worker2.yaml").write_bytes(bytes(range(256)))
    result = check(tmp_path / "worker.yaml", tmp_path / "worker2.yaml")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2


def test_a_files_name_cannot_steer_the_terminal(check):
    assert "\x1b" not in check("/no/\x1b[31mworker.yaml").stderr


def test_the_environment_is_not_looked_at(check, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_LIMITS__DRAIN_TIMEOUT_S", "soon")
    assert check(CONFIG / "worker.yaml").exit_code == 0


def test_the_schema_can_be_printed_for_an_editor(check):
    result = check("--for", "orchestrator", "--schema")
    assert result.stdout_bytes == settings_schema(OrchestratorSettings, "benchfleet orchestrator")
