"""Models of a few bytes that ask for more than anybody has: of time, of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto, helper


def endless() -> bytes:
    """Loops inside native code for longer than anyone lives."""
    number, flag = TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Add", ["a", "i"], ["b"])],
        "body",
        [helper.make_tensor_value_info(*one, []) for one in (("i", number), ("go", flag), ("a", number))],
        [helper.make_tensor_value_info(*one, []) for one in (("goes", flag), ("b", number))],
    )
    return model(
        [helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)],
        [helper.make_tensor_value_info("x", number, [])],
        [helper.make_tensor_value_info("y", number, [])],
        [helper.make_tensor("count", number, [], [2**62])],
    )


def greedy(gigabytes: int) -> bytes:
    """Asks for so much memory."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [gigabytes * 2**10, 2**20 // 4])
    return model(
        [helper.make_node("ConstantOfShape", ["shape"], ["big"]), helper.make_node("Add", ["big", "x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        [shape],
    )


def model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], initializers: Sequence[Any]) -> bytes:
    """A model's bytes."""
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(made.SerializeToString())
