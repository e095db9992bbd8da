"""Whether a model's outputs are those of the CPU reference, for the same inputs, byte for byte.

The reference is what the engine names, else ONNX Runtime's CPU provider with the graph as it is written. Outputs agree
if no element is further off than the tolerance of the narrowest type that may have been computed in: what the engine
reports, and what the model's own weights and inputs are of. What doesn't agree, and what can't be compared, is a
warning: the times were measured all the same, and whoever reads them is to know.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np

from daemons.core.units import CPU_ONNX
from daemons.worker.bench.differences import Difference, Tolerance, difference, parts_of, worst
from daemons.worker.bench.measure import Checked
from daemons.worker.engines.base import Engine, EngineError, LoadedModel, LoadOptions
from daemons.worker.engines.onnx_signature import read_signature

FULL: Final = Tolerance(of_largest=1e-4, of_element=1e-3)
"""Single precision, in another order: networks of 16 to 150 layers were off by 2e-7 to 4e-6 of the largest value."""
HALF: Final = Tolerance(of_largest=1e-2, of_element=1e-2)
"""Types with 11 significant bits, against the 24 of single precision."""
COARSE: Final = Tolerance(of_largest=5e-2, of_element=5e-2)
"""bfloat16, with 8 bits, and quantized models: the same networks in bfloat16 were off by 3e-3 to 2e-2."""

TOLERANCES: Final = {
    **dict.fromkeys(("float64", "double", "float32", "float", "as written"), FULL),
    **dict.fromkeys(("TF32", "float16"), HALF),
    "bfloat16": COARSE,
}
"""By the name of a floating-point type, as engines report it and as ONNX calls it."""
QUANTIZED: Final = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2"})
"""Types of weights that say that a model computes with so few bits."""


def check_outputs(
    path: str, engine: Engine, precision: str | None, values: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Checked:
    """Columns and warnings; `precision` is what the engine reports of its own, `values` the inputs of `outputs`."""
    odd = tuple(strange_values(outputs))
    try:
        reference, name = reference_for(path, engine)
        try:
            tolerance = tolerance_of(precision, types_in(path, values))
            figures, warnings = compared(reference, tolerance, values, outputs)
        finally:
            reference.close()
    except (EngineError, MemoryError) as error:
        return Checked({}, (*odd, f"the outputs were not checked: {str(error) or 'out of memory'}"))
    return Checked({**figures, "OutputReference": f"{name}; tolerance {tolerance}"}, (*odd, *warnings))


def compared(
    reference: LoadedModel, tolerance: Tolerance, values: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Checked:
    """What running the reference with the same inputs tells of `outputs`."""
    feed = reference.feed(values)
    expected = reference.outputs(feed)
    found = {name: difference(outputs[name], expected[name], tolerance) for name in expected if name in outputs}
    missing = [f"the reference has an output {name}, which is missing" for name in expected if name not in outputs]
    off = [told(name, one, tolerance) for name, one in found.items() if not one.agrees]
    if off and is_random(expected, reference.outputs(feed), tolerance):
        off.append("two runs of the reference differ as well: the model draws random numbers")
    figures = columns(worst([*found.values()])) if found else {}
    return Checked({**figures, "OutputsAgree": not missing and not off}, (*missing, *off))


def tolerance_of(precision: str | None, types: Collection[str]) -> Tolerance:
    """The widest tolerance of all types that may have a part; half precision, where the engine doesn't tell its own."""
    used = [HALF if precision is None else TOLERANCES.get(precision, COARSE)]
    used += [TOLERANCES[name] for name in types if name in TOLERANCES]
    return max([*used, *(COARSE for name in types if name in QUANTIZED or name.startswith("float8"))])


def types_in(path: str, values: Mapping[str, Any]) -> set[str]:
    """The element types of the inputs and, where an ONNX file tells, of the weights."""
    inputs = {value.element for value in values.values()} - QUANTIZED
    if not path.lower().endswith(".onnx"):
        return inputs
    return inputs | read_signature(path).weights


def reference_for(path: str, engine: Engine) -> tuple[LoadedModel, str]:
    """The model to compare with, and what it is called."""
    own = engine.load_reference(path)
    if own is not None:
        return own, f"{engine.name} {engine.version()}, CPU"
    from daemons.worker.engines.onnx import OnnxRuntimeEngine  # noqa: PLC0415 (only where outputs are checked)

    runtime = OnnxRuntimeEngine()
    model = runtime.load(path, CPU_ONNX, LoadOptions(graph_optimization="disabled"))
    return model, f"{runtime.name} {runtime.version()}, CPU, graph as written"


def is_random(first: Mapping[str, Any], second: Mapping[str, Any], tolerance: Tolerance) -> bool:
    """Whether two runs with the same inputs disagree."""
    return not all(difference(first[name], second[name], tolerance).agrees for name in first)


def columns(found: Difference) -> dict[str, float]:
    """The figures by CSV column name. One that is infinite is left out; a PSNR below 0 dB is 0."""
    figures = {
        "OutputMaxAbsDiff": found.absolute,
        "OutputMaxRelDiff": found.relative,
        "OutputPsnr": max(found.psnr, 0.0),
    }
    return {name: value for name, value in figures.items() if math.isfinite(value)} if not found.why else {}


def strange_values(outputs: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each output that holds what is no number."""
    for name, value in outputs.items():
        arrays = [array for array in parts_of(value) if array.dtype.kind in "fc"]
        nans = sum(int(np.isnan(array).sum()) for array in arrays)
        infinite = sum(int(np.isinf(array).sum()) for array in arrays)
        if nans or infinite:
            total = sum(array.size for array in arrays)
            yield f"the output {name} holds {nans:,} NaN and {infinite:,} infinite of {total:,} values"


def told(name: str, one: Difference, tolerance: Tolerance) -> str:
    """The warning about an output that doesn't agree."""
    if one.why:
        return f"the output {name} can't be compared with the reference's: {one.why}"
    return (
        f"the output {name} differs from the reference's by up to {one.absolute:.3g}, {one.relative:.2g} of the value, "
        f"PSNR {one.psnr:.1f} dB; the tolerance is {tolerance}"
    )
