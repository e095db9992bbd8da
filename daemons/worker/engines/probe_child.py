"""Tries every compute unit of every installed engine, in a process of its own, and says what it does before it does it.

A driver that takes the process down takes only itself: whoever started it sees what was being tried, and starts
another one that leaves that out (`daemons.worker.probe`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import msgspec
from msgspec import Struct

from daemons.core.units import is_unit_name
from daemons.worker.engines.base import GROUP, Engine, EngineError
from daemons.worker.engines.serving import ONNX_RUNTIME


class Trying(Struct, frozen=True, tag=True):
    """Is about to load a plug-in, or to run something on one of its units."""

    plugin: str
    unit: str | None = None


class Loaded(Struct, frozen=True, tag=True):
    """A plug-in is an engine."""

    plugin: str
    spec: str
    """``module:class``."""
    name: str
    version: str
    units: list[str]
    file_types: list[str] = []
    packages: list[str] = []


class Works(Struct, frozen=True, tag=True):
    """Something really ran on a unit."""

    plugin: str
    unit: str


class Fails(Struct, frozen=True, tag=True):
    """A plug-in can't be loaded, or nothing runs on one of its units."""

    plugin: str
    unit: str | None
    why: str


Message = Trying | Loaded | Works | Fails
Tell = Callable[[Message], None]


def main(arguments: list[str]) -> None:
    """``SKIP``: a JSON list of [plug-in, unit or null] to leave out. Messages go to stdout, a line each."""
    skip = frozenset(msgspec.json.decode(arguments[0], type=list[tuple[str, str | None]]))
    tell = speaker()
    for point in plugins():
        if (point.name, None) not in skip:
            try_plugin(point, skip, tell)
    # Ends without taking drivers down in good order, which is where some of them hang.
    os._exit(0)


def speaker() -> Tell:
    """Writes to what stdout is now. What libraries print goes to stderr from here on."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def tell(message: Message) -> None:
        os.write(channel, msgspec.json.encode(message) + b"\n")

    return tell


def plugins() -> Iterator[metadata.EntryPoint]:
    """Installed engines, ONNX Runtime and then our others first.

    Where two serve a unit, the first that works is preferred, and gets the models whose names tell nothing.
    """
    points = metadata.entry_points(group=GROUP)
    return iter(sorted(points, key=lambda point: (point.value != ONNX_RUNTIME, not is_ours(point), point.name)))


def is_ours(point: metadata.EntryPoint) -> bool:
    """Whether benchfleet brings the engine itself."""
    return point.value.startswith("daemons.")


def try_plugin(point: metadata.EntryPoint, skip: frozenset[tuple[str, str | None]], tell: Tell) -> None:
    """Load one plug-in and try its units."""
    tell(Trying(point.name))
    try:
        engine: Any = point.load()()
        loaded = described(point, engine)
    except Exception as error:  # noqa: BLE001 (somebody else's code: it must not take the others down)
        tell(Fails(point.name, None, f"the plug-in can't be loaded: {type(error).__name__}: {error}"))
        return
    tell(loaded)
    for unit in loaded.units:
        if (point.name, unit) not in skip:
            tell(Trying(point.name, unit))
            tell(tried(point.name, engine, unit))


def described(point: metadata.EntryPoint, engine: Engine) -> Loaded:
    """The engine as it describes itself."""
    return Loaded(
        plugin=point.name,
        spec=spec_of(point),
        name=engine.name,
        version=engine.version(),
        units=list(engine.units),
        file_types=[ending.lower() for ending in engine.file_types],
        packages=list(engine.packages),
    )


def spec_of(point: metadata.EntryPoint) -> str:
    """Where the engine's class is."""
    return f"{point.module}:{point.attr}"


def tried(plugin: str, engine: Engine, unit: str) -> Message:
    """Whether something runs on the unit."""
    if not is_unit_name(unit):
        return Fails(plugin, unit, f"{unit!r} is no name for a compute unit, which looks like 'CPU (ONNX)'")
    try:
        engine.probe(unit)
    except EngineError as error:
        return Fails(plugin, unit, str(error))
    except Exception as error:  # noqa: BLE001 (as above)
        return Fails(plugin, unit, f"{type(error).__name__}: {error}")
    return Works(plugin, unit)


if __name__ == "__main__":
    main(sys.argv[1:])
