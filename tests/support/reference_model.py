"""Builds the reference model of checkups: a small picture network, the same byte for byte wherever it is built.

``python -m tests.support.reference_model FILE`` writes it. A changed model is another model: it gets another name, and
devices begin another history with it.
"""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto, helper

CHANNELS = 32
BLOCKS = 3
CLASSES = 10


class _Graph:
    """Nodes and seeded weights, in the order in which they are made."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # its `random` gives the same in every version of Python
        self.proto = GraphProto(name="health")

    def weight(self, *shape: int, fan_in: int) -> str:
        """The name of a tensor of numbers from -a to a, so that what comes out is about as large as what goes in."""
        size, most = 1, (6 / fan_in) ** 0.5
        for length in shape:
            size *= length
        numbers = [(2 * self._random.random() - 1) * most for _ in range(size)]
        name = f"w{len(self.proto.initializer)}"
        data = struct.pack(f"<{size}f", *numbers)
        self.proto.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=shape, raw_data=data)
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The name of its output."""
        name = f"t{len(self.proto.node)}"
        node = self.proto.node.add(op_type=kind, input=inputs, output=[name], name=f"{kind}{len(self.proto.node)}")
        for key, value in attributes.items():
            attribute = node.attribute.add(name=key)
            if isinstance(value, int):
                attribute.type, attribute.i = AttributeProto.INT, value
            else:
                attribute.type = AttributeProto.INTS
                attribute.ints.extend(value)
        return name

    def convolution(self, found: str, of: int, stride: int = 1) -> str:
        """3 by 3, and as large as what it is made of where `stride` is 1."""
        weight, bias = self.weight(CHANNELS, of, 3, 3, fan_in=9 * of), self.weight(CHANNELS, fan_in=600)
        return self.node("Conv", found, weight, bias, pads=[1, 1, 1, 1], strides=[stride, stride], kernel_shape=[3, 3])


def build() -> bytes:
    """The model: convolutions with residual sums, then matrix products, and 10 numbers out of a picture.

    Nothing in it is of an open size, and every operator is one that all runtimes of the standard units know.
    """
    graph = _Graph(seed=1)
    found = graph.node("Relu", graph.convolution("picture", 3, stride=2))
    for _ in range(BLOCKS):
        inner = graph.node("Relu", graph.convolution(found, CHANNELS))
        found = graph.node("Relu", graph.node("Add", found, inner))
    found = graph.node("MaxPool", found, kernel_shape=[8, 8], strides=[8, 8])
    found = graph.node("Flatten", found, axis=1)
    wide = CHANNELS * 8 * 8
    found = graph.node("MatMul", found, graph.weight(wide, 16, fan_in=wide))
    found = graph.node("Relu", found)
    found = graph.node("Gemm", found, graph.weight(16, CLASSES, fan_in=16), graph.weight(CLASSES, fan_in=600))
    graph.proto.node[-1].output[0] = "scores"
    graph.proto.input.append(helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 128, 128]))
    graph.proto.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES]))
    model = ModelProto(ir_version=7, producer_name="benchfleet", graph=graph.proto)
    model.opset_import.append(OperatorSetIdProto(domain="", version=13))
    return bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(build())
