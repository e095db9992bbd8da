"""How an engine describes itself: what a worker offers, and what a job may ask for, is taken from it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from daemons.core.units import is_unit_name
from daemons.worker.engines.base import Engine, LoadOptions
from daemons.worker.engines.conformance.checks import refusal
from daemons.worker.engines.conformance.conftest import written
from daemons.worker.engines.conformance.models import ADD
from daemons.worker.engines.conformance.subjects import Subject, engine_of

NOBODYS_UNIT = "Abacus (Conformance)"


def test_it_is_an_engine_that_is_made_without_arguments(plugin: Subject) -> None:
    """The entry point names a class, which the measuring process calls."""
    assert isinstance(plugin.point.load()(), Engine)


def test_it_has_a_name(plugin: Subject) -> None:
    """For the column `Engine`."""
    name = engine_of(plugin.point).name
    assert isinstance(name, str)
    assert name.strip() == name
    assert 0 < len(name) <= 100
    assert name.isprintable()


def test_its_units_have_names_of_units(plugin: Subject) -> None:
    """``HARDWARE (ENGINE)``, at least one, each once."""
    units = engine_of(plugin.point).units
    assert isinstance(units, tuple)
    assert units
    assert len(set(units)) == len(units)
    assert [unit for unit in units if not is_unit_name(unit)] == []


def test_its_options_are_fields_of_the_load_options(plugin: Subject) -> None:
    """Another could not be asked for."""
    options = engine_of(plugin.point).options
    assert isinstance(options, frozenset)
    assert options <= set(LoadOptions._fields)


def test_its_file_types_are_endings_of_names(plugin: Subject) -> None:
    """Of one kind of model at least, with the dot."""
    endings = engine_of(plugin.point).file_types
    assert isinstance(endings, tuple)
    assert endings
    assert all(isinstance(ending, str) and ending.startswith(".") and len(ending) > 1 for ending in endings)


def test_it_has_a_version(plugin: Subject) -> None:
    """For the column `EngineVersion`."""
    version = engine_of(plugin.point).version()
    assert isinstance(version, str)
    assert version.strip()


def test_its_packages_are_names_of_distributions(plugin: Subject) -> None:
    """What a job's `engine_version` may name."""
    packages = engine_of(plugin.point).packages
    assert isinstance(packages, tuple)
    assert all(isinstance(name, str) and name.strip() == name and name for name in packages)


def test_the_unit_works_on_this_machine(declared_unit: Subject) -> None:
    """Or is skipped with the reason, and with it every test of what it does."""
    why = declared_unit.why_absent
    if why is not None:
        pytest.skip(f"{declared_unit} can't be tested here: {why}")


def test_one_of_its_packages_is_installed(unit: Subject) -> None:
    """The one that a unit which works comes from."""
    packages = engine_of(unit.point).packages
    if not packages:
        pytest.skip("the engine names no packages: a job can't ask for a version of it")
    installed = {name for name in packages if list(metadata.Distribution.discover(name=name))}
    assert installed, f"none of {packages} is installed"


def test_a_unit_that_it_does_not_serve_is_refused(unit: Subject, engine: Engine, tmp_path: Path) -> None:
    """By `load` as by `probe`: nothing may run in another place than the one that was asked for."""
    assert NOBODYS_UNIT not in engine_of(unit.point).units
    path = written(ADD.content, tmp_path)
    refusal(lambda: engine.load(path, NOBODYS_UNIT, LoadOptions()), "loading on a unit that it doesn't serve")
    refusal(lambda: engine.probe(NOBODYS_UNIT), "probing a unit that it doesn't serve")


def test_it_can_be_probed_more_than_once(unit: Subject, engine: Engine) -> None:
    """A worker probes at its start and after each restart of the machine."""
    assert unit.unit is not None
    for _ in range(2):
        engine.probe(unit.unit)
