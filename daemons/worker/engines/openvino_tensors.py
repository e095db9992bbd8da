"""Between OpenVINO's tensors, ports and names of types and those that benchfleet's engines have in common."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import Value
from daemons.worker.bench.values import KINDS, Array
from daemons.worker.bench.widened import widened
from daemons.worker.engines.base import EngineError
from daemons.worker.engines.onnx_signature import Signature
from daemons.worker.engines.openvino_import import ov

ELEMENTS: Final = {
    "f32": "float",
    "f64": "double",
    "f16": "float16",
    "bf16": "bfloat16",
    "boolean": "bool",
    "string": "string",
    "u4": "uint4",
    "i4": "int4",
    "f8e4m3": "float8e4m3fn",
    "f8e5m2": "float8e5m2",
    "f8e8m0": "float8e8m0",
    "f4e2m1": "float4e2m1",
    **{f"{sign[0]}{bits}": f"{sign}{bits}" for sign in ("int", "uint") for bits in (8, 16, 32, 64)},
}
"""OpenVINO's name of an element type → ONNX's."""


def own_signature(compiled: Any) -> Signature:
    """The signature of a model as OpenVINO has it."""
    return Signature(
        tuple(Spec(name_of(port), f"tensor({element_of(port)})", dims_of(port)) for port in compiled.inputs),
        tuple(map(name_of, compiled.outputs)),
        {},
    )


def name_of(port: Any) -> str:
    """The name of an input or output; one without a name has that of its node."""
    return str(min(port.names) if port.names else port.node.friendly_name)


def names_of(port: Any) -> set[str]:
    """All names of an input. One that is also an output may have kept its own as its node's alone."""
    return {*port.names, str(port.node.friendly_name)}


def element_of(port: Any) -> str:
    """The element type of an input or output in ONNX's words."""
    name = port.element_type.get_type_name()
    return ELEMENTS.get(name, str(name))


def dims_of(port: Any) -> tuple[int | None, ...]:
    """The dimensions of an input; None for one that is open."""
    return tuple(dim.get_length() if dim.is_static else None for dim in port.partial_shape)


def tensor(name: str, value: Value) -> Any:
    """A value in OpenVINO's box, over the same memory. EngineError for what has no place there."""
    types = {element: kind for kind, element in ELEMENTS.items()}
    if value.is_sequence or value.element not in types:
        what = "sequences" if value.is_sequence else value.element
        raise EngineError(f"OpenVINO takes no {what}, which the input {name} is.")
    if value.element == "string":
        return ov.Tensor(value.array.astype(np.str_))
    array = np.require(value.array, requirements=["C_CONTIGUOUS", "WRITEABLE"])
    if KINDS[value.element].native:
        return ov.Tensor(array, shared_memory=True)
    return ov.Tensor(array, list(value.shape), getattr(ov.Type, types[value.element]))


def array_of(box: Any) -> Array:
    """A copy of what is in OpenVINO's box."""
    element = element_of(box)
    if element == "string":
        return np.array(box.str_data, dtype=object)
    if element not in KINDS or KINDS[element].native:
        return np.array(box.data)
    return widened(box.data.view(KINDS[element].dtype), element, tuple(box.shape))
