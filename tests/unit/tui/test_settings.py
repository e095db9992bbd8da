"""config/tui.yaml, its schema and the registry of actions say the same; mistakes are named with their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daemons.core.errors import ConfigInvalid
from daemons.runtime.config import read_settings
from daemons.runtime.schema import settings_schema
from tui.actions import ACTIONS, BY_NAME, CONTEXTS, clashes, keys_of
from tui.settings import TuiSettings, load_preferences, preferences_of

CONFIG = Path(__file__).parents[3] / "config"


def test_the_shipped_file_says_exactly_the_defaults():
    assert read_settings(TuiSettings, CONFIG / "tui.yaml") == TuiSettings()
    assert preferences_of(TuiSettings()).keymap == {}


def test_the_shipped_file_has_every_action_with_its_sentence_above_it():
    lines = (CONFIG / "tui.yaml").read_text().splitlines()
    keys = yaml.safe_load("\n".join(lines))["keys"]
    assert list(keys) == [action.name for action in ACTIONS]
    for action in ACTIONS:
        (place,) = [number for number, line in enumerate(lines) if line.startswith(f"  {action.name}:")]
        assert lines[place - 1].strip() == f"# {action.sentence}."


def test_the_schema_on_disk_is_the_one_of_the_types():
    """After a change: benchfleet check-config --for tui --schema > config/schema/tui.json."""
    assert (CONFIG / "schema" / "tui.json").read_bytes() == settings_schema(TuiSettings, "benchfleet tui")


def test_no_key_means_two_things_at_one_place():
    assert list(clashes({})) == []
    assert len(BY_NAME) == len(ACTIONS)
    assert {context for action in ACTIONS for context in action.contexts} <= set(CONTEXTS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("keys:\n  drain: R\n", "keys: one key can't do two things: R would mean both drain and reset_worker"),
        ("keys:\n  sort: up\n", "up would mean both sort and up"),
        ("keys:\n  drain: 'no key'\n", "tui.yaml:2: keys.drain: must be keys as Textual spells them"),
        ("keys:\n  drian: x\n", "tui.yaml:2: keys.drian: there is no such key"),
        ("display:\n\n  theme: pink\n", "tui.yaml:3: display.theme: must be one of"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, text, told):
    file = tmp_path / "tui.yaml"
    file.write_text(text)
    with pytest.raises(ConfigInvalid, match=r"tui\.yaml:") as caught:
        load_preferences(file, {})
    assert told in str(caught.value)


def test_a_file_remaps_keys_and_the_environment_outranks_it(tmp_path):
    file = tmp_path / "tui.yaml"
    file.write_text("display:\n  theme: nord\nkeys:\n  drain: ctrl+d , delete\n")
    found = load_preferences(file, {"BENCHFLEET_DISPLAY__THEME": "dracula", "BENCHFLEET_CONFIG": "/etc/other.yaml"})
    assert found.theme == "dracula"
    assert keys_of(BY_NAME["drain"], found.keymap) == ["ctrl+d", "delete"]
    assert set(found.keymap) == {"drain"}


def test_two_actions_can_change_places(tmp_path):
    file = tmp_path / "tui.yaml"
    file.write_text("keys:\n  drain: u\n  undrain: d\n")
    assert load_preferences(file, {}).keymap == {"drain": "u", "undrain": "d"}
