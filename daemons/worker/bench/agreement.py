"""How far a model's outputs are from those of the CPU reference, output by output, element by element.

The reference is what the engine names, else ONNX Runtime's CPU provider with the graph as it is written. Both get the
same inputs, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from daemons.core.units import CPU_ONNX
from daemons.worker.bench.measure import Checked
from daemons.worker.engines.base import Engine, EngineError, LoadedModel, LoadOptions

Array = npt.NDArray[Any]

OF_LARGEST: Final = 1e-3
"""Outputs agree if no element is further off than this share of the reference's largest magnitude …"""
OF_ELEMENT: Final = 1e-2
"""… and this share of its own magnitude together: what half precision and reordered sums may make of a network."""


class Difference(NamedTuple):
    """Of one output, or of all of them the worst."""

    absolute: float
    """The largest, over all elements."""
    relative: float
    """The largest, each over the reference's magnitude, or over `OF_LARGEST` of its largest one where that is more."""
    psnr: float
    """Peak signal-to-noise ratio in dB: the reference's range over the root mean square of the differences."""
    agrees: bool


def check_outputs(path: str, engine: Engine, values: Mapping[str, Any], outputs: Mapping[str, Any]) -> Checked:
    """Columns and warnings. EngineError if there is nothing to compare with."""
    odd = tuple(strange_values(outputs))
    reference, name = reference_for(path, engine)
    try:
        expected = reference.outputs(reference.feed(values))
    finally:
        reference.close()
    found = {key: difference(outputs[key], expected[key]) for key in expected if key in outputs}
    missing = tuple(f"the output {key} is missing" for key in expected if key not in outputs)
    off = tuple(
        f"the output {key} differs from the reference's: {told(one)}" for key, one in found.items() if not one.agrees
    )
    return Checked(columns(found.values(), name), (*odd, *missing, *off))


def reference_for(path: str, engine: Engine) -> tuple[LoadedModel, str]:
    """The model to compare with, and what it is called."""
    own = engine.load_reference(path)
    if own is not None:
        return own, f"{engine.name} {engine.version()}, CPU"
    from daemons.worker.engines.onnx import OnnxRuntimeEngine  # noqa: PLC0415 (only where outputs are checked)

    runtime = OnnxRuntimeEngine()
    as_written = LoadOptions(graph_optimization="disabled")
    try:
        model = runtime.load(path, CPU_ONNX, as_written)
    except EngineError as error:
        raise EngineError(f"check_outputs: there is no reference to compare with: {error}") from error
    return model, f"{runtime.name} {runtime.version()}, CPU, graph as written"


def columns(found: Any, reference: str) -> dict[str, Any]:
    """The worst of all outputs, by CSV column name. An unlimited PSNR, of identical outputs, is left out."""
    worst = list(found)
    if not worst:
        return {"OutputReference": reference}
    figures = {
        "OutputMaxAbsDiff": max(one.absolute for one in worst),
        "OutputMaxRelDiff": max(one.relative for one in worst),
        "OutputPsnr": min(one.psnr for one in worst),
    }
    known = {name: max(value, 0.0) for name, value in figures.items() if math.isfinite(value)}
    return {**known, "OutputReference": reference}


def strange_values(outputs: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each output that holds what is no number."""
    for name, value in outputs.items():
        for array in parts_of(value):
            if array.dtype.kind in "fc" and not np.isfinite(array).all():
                nans, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
                yield f"the output {name} holds {nans:,} NaN and {infinite:,} infinite of {array.size:,} values"


def difference(value: Any, reference: Any) -> Difference:
    """Of one output. Sequences are compared part by part; what has another shape, or other words, is infinitely off."""
    ours, theirs = parts_of(value), parts_of(reference)
    if len(ours) != len(theirs):
        return _APART
    parts = [array_difference(one, other) for one, other in zip(ours, theirs, strict=True)]
    if not parts:
        return _SAME
    return Difference(
        absolute=max(part.absolute for part in parts),
        relative=max(part.relative for part in parts),
        psnr=min(part.psnr for part in parts),
        agrees=all(part.agrees for part in parts),
    )


def array_difference(value: Array, reference: Array) -> Difference:
    """Of two arrays."""
    if value.shape != reference.shape:
        return _APART
    if value.dtype.kind not in "biufc" or reference.dtype.kind not in "biufc":
        return _SAME if np.array_equal(value, reference) else _APART
    ours, theirs = _wide(value), _wide(reference)
    both = np.isfinite(ours) & np.isfinite(theirs)
    # Where both are the same infinity, or both no number, there is no difference; where one is, it can't be measured.
    if not (both | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all():
        return _APART
    return _finite_difference(ours[both], theirs[both])


def _finite_difference(ours: Array, theirs: Array) -> Difference:
    if not ours.size:
        return _SAME
    off, size = np.abs(ours - theirs), np.abs(theirs)
    largest = float(size.max())
    floor = OF_LARGEST * largest or 1.0
    noise, peak = float(np.sqrt(np.mean(off**2))), float(np.ptp(theirs.real)) or largest or 1.0
    return Difference(
        absolute=float(off.max()),
        relative=float((off / np.maximum(size, floor)).max()),
        psnr=20 * math.log10(peak / noise) if noise else math.inf,
        agrees=bool((off <= OF_LARGEST * largest + OF_ELEMENT * size).all()),
    )


def parts_of(value: Any) -> list[Array]:
    """An output as arrays: one for a tensor, several for a sequence or a map, none for an absent optional."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [part for key in sorted(value, key=str) for part in parts_of(value[key])]
    if isinstance(value, list | tuple):
        return [part for item in value for part in parts_of(item)]
    return [np.asarray(value)]


def told(one: Difference) -> str:
    """For people."""
    if not math.isfinite(one.absolute):
        return "another shape, or values that can't be compared"
    return f"by up to {one.absolute:.3g}, {one.relative:.2g} of the value, PSNR {one.psnr:.1f} dB"


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


_SAME: Final = Difference(0.0, 0.0, math.inf, agrees=True)
_APART: Final = Difference(math.inf, math.inf, -math.inf, agrees=False)
