"""Which engine runs which model on which unit. Knows what engines say of themselves, and imports none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from daemons.core.requirement import normalized
from daemons.core.units import CPU_ONNX

ONNX_RUNTIME: Final = "daemons.worker.engines.onnx:OnnxRuntimeEngine"


class Serves(Struct, frozen=True):
    """An engine that serves a unit here."""

    spec: str
    """``module:class``."""
    name: str
    file_types: tuple[str, ...] = (".onnx",)
    """Endings of the names of the models that it takes."""
    packages: tuple[str, ...] = ()
    """The distributions that it comes from."""

    def claims(self, file_name: str) -> bool:
        """Whether a model of this name is its kind."""
        return file_name.lower().rstrip("/").endswith(self.file_types)

    def comes_from(self, package: str) -> bool:
        """Whether the package of this name is one that it comes from."""
        return normalized(package) in map(normalized, self.packages)


Serving = Mapping[str, Sequence[Serves]]
"""Unit → the engines that serve it, the preferred one first."""

ONNX_RUNTIME_ALONE: Final[Serving] = {
    CPU_ONNX: (Serves(ONNX_RUNTIME, "ONNX Runtime", (".onnx", ".ort"), ("onnxruntime",)),)
}
"""What is there without looking: the engine that benchfleet depends on, on the unit that every device has."""


class NotServed(Exception):
    """No engine here runs this model on this unit; the text says which would."""


class NotItsPackage(NotServed):
    """None of the unit's engines comes from the package that was named."""


def engine_for(serving: Serving, unit: str, file_name: str, package: str | None = None) -> Serves:
    """The engine for a model of this name on `unit`, of those that come from `package`. NotServed if there is none.

    A name whose ending nobody claims goes to the unit's first engine: an ONNX model may be called anything.
    """
    here = serving.get(unit, ())
    if not here:
        raise NotServed(f"no engine here serves {unit}; served are {', '.join(serving) or 'no units at all'}.")
    if package is not None:
        here = from_package(unit, here, package)
    own = next((one for one in here if one.claims(file_name)), None)
    if own is not None:
        return own
    others = [other for other, engines in serving.items() for one in engines if one.claims(file_name)]
    ending = next((kind for kind in _KNOWN_ENDINGS if file_name.lower().rstrip("/").endswith(kind)), None)
    if not others and ending is None:
        return here[0]
    if package is not None:
        raise NotServed(f"{here[0].name}, which comes from {package}, doesn't run models like {file_name}.")
    instead = f"on this device {' and '.join(dict.fromkeys(others))} would" if others else "no unit of this device does"
    raise NotServed(f"{unit} doesn't run models like {file_name}; {instead}.")


def from_package(unit: str, here: Sequence[Serves], package: str) -> Sequence[Serves]:
    """Those of a unit's engines that come from `package`. NotItsPackage names what they do come from."""
    found = [one for one in here if one.comes_from(package)]
    if not found:
        sources = [f"{one.name}, from {' or '.join(one.packages) or 'no package of its own'}" for one in here]
        raise NotItsPackage(f"{unit} is served by {'; by '.join(sources)}; no engine for it comes from {package}.")
    return found


_KNOWN_ENDINGS: Final = (".onnx", ".mlmodel", ".mlpackage", ".mlmodelc", ".xml")
