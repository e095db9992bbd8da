"""From a YAML file and the environment to settings, or to every mistake with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from daemons.core.errors import ConfigInvalid
from daemons.runtime.config import find_config, load_settings, read_settings


class Kitchen(Struct, frozen=True, forbid_unknown_fields=True):
    ovens: Annotated[int, Meta(ge=0, le=9)] = 1
    chef: Annotated[str, Meta(min_length=1)] | None = None
    dishes: list[str] = []


class Door(Struct, frozen=True, forbid_unknown_fields=True):
    is_open: bool = False


class Inn(Struct, frozen=True, forbid_unknown_fields=True):
    kitchen: Kitchen = Kitchen()
    door: Door = Door()


@pytest.fixture
def write(tmp_path):
    def to_file(text: str) -> Path:
        path = tmp_path / "inn.yaml"
        path.write_text(text)
        return path

    return to_file


def mistakes_of(path, environ=None, known_keys=()):
    with pytest.raises(ConfigInvalid) as caught:
        read_settings(Inn, path, environ=environ, known_keys=known_keys)
    return [text.replace(f"{path}", "FILE") for text in caught.value.mistakes]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "kitchen:\n", "{}", "\ufeffkitchen:\n"])
def test_what_a_file_leaves_out_is_default(write, text):
    assert read_settings(Inn, write(text)) == Inn()


def test_no_file_is_all_default():
    assert read_settings(Inn, None) == Inn()


def test_a_file_says_what_differs(write):
    path = write("kitchen:\n  ovens: 3\n  dishes: [soup]\ndoor: {is_open: true}\n")
    assert read_settings(Inn, path) == Inn(Kitchen(3, None, ["soup"]), Door(is_open=True))


def test_every_mistake_is_told_at_once_with_its_line_and_what_is_allowed(write):
    path = write(
        "# an inn\nkitchen:\n  ovens: 10\n\n  chief: Anna\n  dishes:\n    - soup\n    - 7\ncellar: {}\ndoor: open\n"
    )
    assert mistakes_of(path) == [
        "FILE:3: kitchen.ovens: must be a whole number from 0 to 9, and is 10",
        "FILE:5: kitchen.chief: there is no such key; did you mean `chef`?",
        "FILE:8: kitchen.dishes[1]: must be text, and is 7",
        "FILE:9: cellar: there is no such key; allowed are door, kitchen",
        'FILE:10: door: must be an object with the keys is_open, and is "open"',
    ]


def test_a_variable_outranks_the_file(write):
    path = write("kitchen: {ovens: 3}\n")
    environ = {"BENCHFLEET_KITCHEN__OVENS": "4", "BENCHFLEET_DOOR__IS_OPEN": "true", "PATH": "/bin"}
    assert read_settings(Inn, path, environ=environ) == Inn(Kitchen(4), Door(is_open=True))


@pytest.mark.parametrize(
    ("text", "chef"), [("Anna", "Anna"), ("42", "42"), ("no", "no"), ("", None), ("null", None), ("a: [", "a: [")]
)
def test_a_variables_text_is_yaml_unless_only_the_text_itself_fits(text, chef):
    assert read_settings(Inn, None, environ={"BENCHFLEET_KITCHEN__CHEF": text}).kitchen.chef == chef


def test_a_variable_may_hold_a_list():
    environ = {"BENCHFLEET_KITCHEN__DISHES": "[soup, 'pie']"}
    assert read_settings(Inn, None, environ=environ).kitchen.dishes == ["soup", "pie"]


def test_a_mistake_in_a_variable_is_told_with_its_name(write):
    path = write("kitchen:\n  ovens: 3\n")
    assert mistakes_of(path, {"BENCHFLEET_KITCHEN__OVENS": "ten"}) == [
        'BENCHFLEET_KITCHEN__OVENS: kitchen.ovens: must be a whole number from 0 to 9, and is "ten"'
    ]


def test_a_variable_does_not_hide_that_its_section_is_no_section(write):
    (mistake,) = mistakes_of(write("door: 3\n"), {"BENCHFLEET_DOOR__IS_OPEN": "true"})
    assert mistake.startswith("FILE:1: door: must be an object")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BENCHFLEET_KITCHEN__OVEN", "did you mean BENCHFLEET_KITCHEN__OVENS?"),
        ("BENCHFLEET_KITCHEN_OVENS", "did you mean BENCHFLEET_KITCHEN__OVENS?"),
        ("BENCHFLEET_TOKENFILE", "did you mean BENCHFLEET_TOKEN_FILE?"),
        ("BENCHFLEET_ZZZ", "a key is set by BENCHFLEET_SECTION__KEY, such as BENCHFLEET_DOOR__IS_OPEN"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_with_a_suggestion(name, hint):
    (mistake,) = mistakes_of(None, {name: "1"})
    assert mistake.startswith(f"{name}: no setting has this environment variable; {hint}")


def test_variables_of_clients_and_of_the_programs_beside_this_one_are_let_be():
    environ = {
        "BENCHFLEET_CONFIG": "x",
        "BENCHFLEET_URL": "x",
        "BENCHFLEET_TOKEN_FILE": "x",
        "BENCHFLEET_STABLE__HORSES": "2",
        "BENCHFLEET_KITCHEN__KNIVES": "2",
    }
    assert read_settings(Inn, None, environ=environ, known_keys=["stable.horses", "kitchen.knives"]) == Inn()


def test_mistakes_of_the_file_and_of_variables_are_told_together(write):
    path = write("kitchen: {ovens: 77}\n")
    environ = {"BENCHFLEET_DOOR__IS_OPEN": "ajar", "BENCHFLEET_ZZZ": ""}
    assert [text.split(":")[0] for text in mistakes_of(path, environ)] == [
        "BENCHFLEET_ZZZ",
        "FILE",
        "BENCHFLEET_DOOR__IS_OPEN",
    ]


class TestFinding:
    """--config, else $BENCHFLEET_CONFIG, else the user's folder, else the system's, else none."""

    @pytest.fixture
    def places(self, tmp_path):
        home, system = tmp_path / "home", tmp_path / "etc"
        places = [home / ".config" / "benchfleet" / "inn.yaml", system / "inn.yaml"]
        for place in places:
            place.parent.mkdir(parents=True)
            place.touch()
        return {"HOME": str(home)}, system, places

    def test_the_users_file_comes_before_the_systems(self, places):
        environ, system, (users, systems) = places
        assert find_config("inn", None, environ, system) == users
        users.unlink()
        assert find_config("inn", None, environ, system) == systems
        systems.unlink()
        assert find_config("inn", None, environ, system) is None

    def test_a_file_that_is_named_comes_first_even_if_it_is_not_there(self, places):
        environ, system, _ = places
        named = {**environ, "BENCHFLEET_CONFIG": "/named/by/variable.yaml"}
        assert find_config("inn", None, named, system) == Path("/named/by/variable.yaml")
        assert find_config("inn", "/given.yaml", named, system) == Path("/given.yaml")

    def test_another_programs_file_is_not_taken(self, places):
        environ, system, _ = places
        assert find_config("stable", None, environ, system) is None

    def test_the_users_folder_may_be_moved_as_xdg_says(self, places, tmp_path):
        environ, system, (users, _) = places
        moved = tmp_path / "xdg" / "benchfleet" / "inn.yaml"
        moved.parent.mkdir(parents=True)
        moved.touch()
        assert find_config("inn", None, {**environ, "XDG_CONFIG_HOME": str(tmp_path / "xdg")}, system) == moved
        assert find_config("inn", None, {**environ, "XDG_CONFIG_HOME": "relative"}, system) == users

    def test_without_a_home_the_systems_file_is_found(self, places):
        _, system, (_, systems) = places
        assert find_config("inn", None, {}, system) == systems

    def test_loading_reads_the_file_that_was_found(self, places):
        environ, _, (users, _) = places
        users.write_text("kitchen: {ovens: 5}")
        assert load_settings(Inn, "inn", known_keys=(), environ=environ).kitchen.ovens == 5


def test_the_environment_is_that_of_the_process(monkeypatch):
    monkeypatch.setitem(os.environ, "BENCHFLEET_KITCHEN__OVENS", "6")
    assert load_settings(Inn, "inn-of-no-file", known_keys=()).kitchen.ovens == 6
