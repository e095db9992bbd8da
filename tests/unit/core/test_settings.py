"""The settings, the YAML files that show them, and the schemas made of them say the same."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from daemons.core.settings import OrchestratorSettings, WorkerSettings, section_keys, sections
from daemons.core.validation import find_mistakes
from daemons.runtime.config import read_settings
from daemons.runtime.schema import key_descriptions, settings_schema

CONFIG = Path(__file__).parents[3] / "config"
PROGRAMS = {"orchestrator": OrchestratorSettings, "worker": WorkerSettings}
EACH = pytest.mark.parametrize(("program", "kind"), PROGRAMS.items(), ids=list(PROGRAMS))


@EACH
def test_the_shipped_file_says_exactly_the_defaults(program, kind):
    assert read_settings(kind, CONFIG / f"{program}.yaml") == kind()


@EACH
def test_the_shipped_file_has_every_key_and_no_other(program, kind):
    content = yaml.safe_load((CONFIG / f"{program}.yaml").read_text())
    assert {f"{section}.{key}" for section, keys in content.items() for key in keys} == section_keys(kind)


@EACH
def test_each_key_of_the_shipped_file_has_a_comment_above_it(program, kind):
    lines = (CONFIG / f"{program}.yaml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line.startswith("  ") and not line.strip().startswith("#")]
    assert [lines[number] for number in keys if not lines[number - 1].strip().startswith("#")] == []


@EACH
def test_the_schema_on_disk_is_the_one_of_the_types(program, kind):
    """After a change: benchfleet check-config --for PROGRAM --schema > config/schema/PROGRAM.json."""
    assert (CONFIG / "schema" / f"{program}.json").read_bytes() == settings_schema(kind, f"benchfleet {program}")


@EACH
def test_each_key_is_explained_in_its_docstring_and_in_the_schema(program, kind):
    schema = json.loads(settings_schema(kind, program))
    for section in msgspec.structs.fields(kind):
        explained = key_descriptions(section.type)
        properties = schema["$defs"][section.type.__name__]["properties"]
        assert set(explained) == set(section.type.__struct_fields__)
        assert {key: value["description"] for key, value in properties.items()} == explained


@EACH
def test_a_misspelt_key_is_refused_in_every_section(program, kind):
    for section in sections(kind):
        (mistake,) = find_mistakes({section: {"no_such_key": 1}}, kind)
        assert mistake.path == (section, "no_such_key")


@pytest.mark.parametrize(
    ("kind", "section", "key", "value"),
    [
        (OrchestratorSettings, "http", "port", 65_536),
        (OrchestratorSettings, "http", "port", "5000"),
        (OrchestratorSettings, "http", "host", ""),
        (OrchestratorSettings, "redis", "url", "http://127.0.0.1"),
        (OrchestratorSettings, "redis", "url", "embeded"),
        (OrchestratorSettings, "redis", "prefix", "a b"),
        (OrchestratorSettings, "fleet", "heartbeat_interval_s", 0),
        (OrchestratorSettings, "fleet", "heartbeat_interval_s", float("nan")),
        (OrchestratorSettings, "fleet", "max_lost_attempts", 0),
        (OrchestratorSettings, "log", "level", "loud"),
        (WorkerSettings, "orchestrator", "url", "127.0.0.1:5000"),
        (WorkerSettings, "orchestrator", "url", "http://127.0.0.1:5000/api"),
        (WorkerSettings, "orchestrator", "url", "http://name:secret@host"),
        (WorkerSettings, "device", "units", []),
        (WorkerSettings, "device", "units", ["CPU"]),
        (WorkerSettings, "limits", "drain_timeout_s", -1),
        (WorkerSettings, "limits", "memory_limit_gb", 0),
        (WorkerSettings, "limits", "private_addresses", "yes"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_its_key(kind, section, key, value):
    (mistake,) = find_mistakes({section: {key: value}}, kind)
    assert mistake.path[:2] == (section, key)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (OrchestratorSettings, {"redis": {"url": "redis://10.0.0.1:6379/0"}, "fleet": {"retry_delay_s": 0}}),
        (OrchestratorSettings, {"fleet": {"heartbeat_interval_s": 0.2, "heartbeat_timeout_s": 1}}),
        (WorkerSettings, {"orchestrator": {"url": "https://fleet.example"}, "limits": {"drain_timeout_s": 0}}),
        (WorkerSettings, {"device": {"units": ["GPU (ONNX)", "CPU (OpenVINO)"]}}),
    ],
)
def test_values_that_can_work_are_taken(kind, document):
    assert find_mistakes(document, kind) == []


def test_one_missed_heartbeat_may_not_cost_a_worker_its_job():
    (mistake,) = find_mistakes({"fleet": {"heartbeat_timeout_s": 9}}, OrchestratorSettings)
    assert str(mistake) == "fleet: heartbeat_timeout_s must be at least twice heartbeat_interval_s (5), and is 9"
