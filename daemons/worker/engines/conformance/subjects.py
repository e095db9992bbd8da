"""The engines and units that are tested: what is installed, tried out in a process of its own as a worker does it."""

from __future__ import annotations

import asyncio
import os
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from daemons.worker.engines.base import Engine
from daemons.worker.engines.probe_child import plugins, spec_of, try_plugin
from daemons.worker.engines.serving import Serves
from daemons.worker.probe import Findings, Probe, probe_units


class Subject(NamedTuple):
    """A unit of a plug-in; `unit` is None where the plug-in as a whole is meant, or can't be loaded."""

    point: metadata.EntryPoint
    unit: str | None = None

    def __str__(self) -> str:
        return self.point.name if self.unit is None else f"{self.point.name}-{self.unit}"

    @property
    def spec(self) -> str:
        """``module:class``."""
        return spec_of(self.point)

    @property
    def serves(self) -> Serves:
        """As a worker knows it."""
        engine = engine_of(self.point)
        return Serves(self.spec, engine.name, tuple(engine.file_types), tuple(engine.packages))

    @property
    def why_absent(self) -> str | None:
        """Why the unit doesn't work on this machine; None if it does."""
        found = probed()
        if any(one.spec == self.spec for one in found.serving.get(str(self.unit), [])):
            return None
        return found.problems.get(str(self.unit)) or found.problems.get(self.point.name) or "the probe has refused it"


@cache
def engine_of(point: metadata.EntryPoint) -> Engine:
    """The engine, made once as in a measuring process."""
    engine: Engine = point.load()()
    return engine


@cache
def probed() -> Probe:
    """What works on this machine. The probing process is for Linux and macOS; elsewhere this one has to do."""
    if os.name == "posix":
        return asyncio.run(probe_units())
    found = Findings()
    for point in plugins():
        try_plugin(point, frozenset(), found.take)
    return found.probe()


def whole_plugins() -> list[Subject]:
    """Every installed engine."""
    return [Subject(point) for point in plugins()]


def declared_units() -> list[Subject]:
    """Every unit of every engine that can be loaded; what is wrong with others, the tests of plug-ins tell."""
    return [Subject(point, unit) for point in plugins() for unit in units_of(point)]


def working_units() -> list[Subject]:
    """Those that work on this machine."""
    return [subject for subject in declared_units() if subject.why_absent is None]


def units_of(point: metadata.EntryPoint) -> tuple[str, ...]:
    """The units that a plug-in says it may serve."""
    try:
        units: Any = engine_of(point).units
        return tuple(unit for unit in units if isinstance(unit, str))
    except Exception:  # noqa: BLE001 (somebody else's code, which the tests of plug-ins report)
        return ()
