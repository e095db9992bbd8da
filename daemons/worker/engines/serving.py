"""Which engine runs which model on which unit. Knows what engines say of themselves, and imports none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

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


Serving = Mapping[str, Sequence[Serves]]
"""Unit → the engines that serve it, the preferred one first."""

ONNX_RUNTIME_ALONE: Final[Serving] = {
    CPU_ONNX: (Serves(ONNX_RUNTIME, "ONNX Runtime", (".onnx", ".ort"), ("onnxruntime",)),)
}
"""What is there without looking: the engine that benchfleet depends on, on the unit that every device has."""


class NotServed(Exception):
    """No engine here runs this model on this unit; the text says which would."""


def engine_for(serving: Serving, unit: str, file_name: str) -> Serves:
    """The engine for a model of this name on `unit`. NotServed if there is none.

    A name whose ending nobody claims goes to the unit's first engine: an ONNX model may be called anything.
    """
    here = serving.get(unit, ())
    if not here:
        raise NotServed(f"no engine here serves {unit}; served are {', '.join(serving) or 'no units at all'}.")
    own = next((one for one in here if one.claims(file_name)), None)
    if own is not None:
        return own
    others = [other for other, engines in serving.items() for one in engines if one.claims(file_name)]
    ending = next((kind for kind in _KNOWN_ENDINGS if file_name.lower().rstrip("/").endswith(kind)), None)
    if not others and ending is None:
        return here[0]
    instead = f"on this device {' and '.join(dict.fromkeys(others))} would" if others else "no unit of this device does"
    raise NotServed(f"{unit} doesn't run models like {file_name}; {instead}.")


_KNOWN_ENDINGS: Final = (".onnx", ".mlmodel", ".mlpackage", ".mlmodelc", ".xml")
