"""Small ONNX models, each with what it computes written out in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

OPSET: Final = 17
IR_VERSION: Final = 8
"""Both old enough for every runtime that is in use."""

FLOATS: Final = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}


class Model(NamedTuple):
    """A model and what it stands for."""

    name: str
    content: bytes
    """An ONNX file."""
    compute: Callable[[Arrays], dict[str, Array]]
    """Input arrays → output arrays, in the model's order."""
    floats: tuple[str, ...] = ()
    """The inputs that may be any number."""


def tensor(name: str, shape: list[int | str | None], element: int = TensorProto.FLOAT) -> Any:
    """An input or output."""
    return helper.make_tensor_value_info(name, element, shape)


def content_of(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Mapping[str, Array]) -> bytes:
    """The file of a model."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "conformance", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def one_node(kind: str, inputs: list[Any], output: Any, compute: Callable[[Arrays], Array], **more: Any) -> Model:
    """A model of a single operator, whose output is `y`."""
    weights = more.pop("weights", {})
    node = helper.make_node(kind, [*(one.name for one in inputs), *weights], ["y"], **more)
    content = content_of([node], inputs, [output], weights)
    floats = tuple(one.name for one in inputs if one.type.tensor_type.elem_type in FLOATS)
    return Model(kind, content, lambda given: {"y": compute(given)}, floats)


def softmax(array: Array) -> Array:
    """Over the last axis."""
    powers = np.exp(array - array.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def convolution(picture: Array, kernel: Array) -> Array:
    """Of one picture by kernels of 3 by 3 without padding."""
    height, width = picture.shape[2] - 2, picture.shape[3] - 2
    places = [(row, column) for row in range(3) for column in range(3)]
    return sum(
        (
            np.einsum("nchw,oc->nohw", picture[:, :, r : r + height, c : c + width], kernel[:, :, r, c])
            for r, c in places
        ),
        np.zeros((1, kernel.shape[0], height, width), picture.dtype),
    )


_KERNEL: Final = np.linspace(-1, 1, 2 * 3 * 9, dtype=np.float32).reshape(2, 3, 3, 3)
_WEIGHT: Final = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)

ADD: Final = one_node("Add", [tensor("a", [2, 3]), tensor("b", [2, 3])], tensor("y", [2, 3]), lambda x: x["a"] + x["b"])
"""What every engine that takes .onnx must have."""

OPEN: Final = one_node("Neg", [tensor("x", ["batch", 4])], tensor("y", ["batch", 4]), lambda x: -x["x"])
"""With an open dimension."""

TWO_OUTPUTS: Final = Model(
    "two outputs",
    content_of(
        [helper.make_node("Relu", ["x"], ["z"]), helper.make_node("Mul", ["z", "z"], ["a"])],
        [tensor("x", [5])],
        [tensor("z", [5]), tensor("a", [5])],
        {},
    ),
    lambda x: {"z": np.maximum(x["x"], 0), "a": np.maximum(x["x"], 0) ** 2},
    ("x",),
)


def _typed(kind: str, element: int, compute: Callable[[Array, Array], Array]) -> Model:
    inputs = [tensor("a", [2, 3], element), tensor("b", [2, 3], element)]
    found = one_node(kind, inputs, tensor("y", [2, 3], element), lambda x: compute(x["a"], x["b"]))
    return found._replace(name=f"{kind} of {TensorProto.DataType.Name(element).lower()}")


OTHERS: Final = (
    one_node("MatMul", [tensor("x", [2, 4])], tensor("y", [2, 3]), lambda x: x["x"] @ _WEIGHT, weights={"w": _WEIGHT}),
    one_node(
        "Conv",
        [tensor("x", [1, 3, 6, 7])],
        tensor("y", [1, 2, 4, 5]),
        lambda x: convolution(x["x"], _KERNEL),
        weights={"w": _KERNEL},
    ),
    one_node("Softmax", [tensor("x", [2, 8])], tensor("y", [2, 8]), lambda x: softmax(x["x"]), axis=-1),
    one_node("Transpose", [tensor("x", [2, 3])], tensor("y", [3, 2]), lambda x: x["x"].T),
    one_node("ReduceMean", [tensor("x", [2, 3])], tensor("y", [2]), lambda x: x["x"].mean(-1), axes=[1], keepdims=0),
    one_node("Exp", [tensor("x", [])], tensor("y", []), lambda x: np.exp(x["x"])),
    one_node("ArgMax", [tensor("x", [3, 5])], tensor("y", [3, 1], TensorProto.INT64), lambda x: argmax(x["x"]), axis=1),
    one_node("Not", [tensor("x", [4], TensorProto.BOOL)], tensor("y", [4], TensorProto.BOOL), lambda x: ~x["x"]),
    _typed("Add", TensorProto.INT64, np.add),
    _typed("Mul", TensorProto.INT32, np.multiply),
    _typed("Add", TensorProto.FLOAT16, np.add),
    _typed("Add", TensorProto.DOUBLE, np.add),
    TWO_OUTPUTS,
)
"""What an engine computes rightly or refuses."""


def argmax(array: Array) -> Array:
    """The place of the largest in each row."""
    return np.asarray(array.argmax(axis=1, keepdims=True))
