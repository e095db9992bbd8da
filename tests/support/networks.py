"""Small networks with seeded random weights, which show what a coarse sum makes of a model; constant ones don't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Nodes and weights of a graph, in the order in which they are made."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def constant(self, array: Any) -> str:
        """The name of a weight with these values."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        """Normally distributed."""
        return self.constant((self._random.standard_normal(shape) * scale).astype(np.float32))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The name of its output."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def save(self, path: Path, inputs: list[Any], output: str) -> Path:
        """The network, with `y` as its output."""
        self._nodes.append(helper.make_node("Identity", [output], ["y"]))
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        graph = helper.make_graph(self._nodes, "network", inputs, outputs, self._weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        return path


def convolutional(path: Path, seed: int = 0, layers: int = 8, channels: int = 16) -> Path:
    """Pictures through residual blocks of convolution and normalization to 10 numbers."""
    net = Builder(seed)
    found = net.node("Conv", "x", net.weight(channels, 3, 3, 3, scale=0.27), pads=[1, 1, 1, 1], strides=[2, 2])
    for _ in range(layers):
        scale = (2 / (9 * channels)) ** 0.5
        block = net.node("Conv", found, net.weight(channels, channels, 3, 3, scale=scale), pads=[1, 1, 1, 1])
        ones = net.constant(np.ones(channels, np.float32))
        mean, offset = net.weight(channels, scale=0.1), net.weight(channels, scale=0.1)
        block = net.node("BatchNormalization", block, ones, offset, mean, ones)
        found = net.node("Relu", net.node("Add", found, block))
    found = net.node("Flatten", net.node("GlobalAveragePool", found))
    found = net.node("Gemm", found, net.weight(channels, 10, scale=channels**-0.5), net.weight(10))
    return net.save(path, [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])], found)


def transformer(path: Path, seed: int = 0, layers: int = 3, width: int = 64, heads: int = 4) -> Path:
    """Tokens through attention, layer normalization and softmax to a number for each of 50 words."""
    net = Builder(seed)

    def linear(found: str, wide: int, out: int) -> str:
        return net.node("Add", net.node("MatMul", found, net.weight(wide, out, scale=wide**-0.5)), net.weight(out))

    def normalized(found: str) -> str:
        ones = net.constant(np.ones(width, np.float32))
        return net.node("LayerNormalization", found, ones, net.weight(width, scale=0.1), axis=-1)

    def split(found: str, order: list[int]) -> str:
        shape = net.constant(np.array([0, 0, heads, width // heads], np.int64))
        return net.node("Transpose", net.node("Reshape", linear(found, width, width), shape), perm=order)

    found = net.node("Gather", net.weight(50, width), "ids")
    for _ in range(layers):
        inner = normalized(found)
        query, key, value = split(inner, [0, 2, 1, 3]), split(inner, [0, 2, 3, 1]), split(inner, [0, 2, 1, 3])
        scaled = net.node("Mul", net.node("MatMul", query, key), net.constant(np.float32((width // heads) ** -0.5)))
        mixed = net.node("MatMul", net.node("Softmax", scaled, axis=-1), value)
        mixed = net.node("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = net.node("Reshape", mixed, net.constant(np.array([0, 0, width], np.int64)))
        found = net.node("Add", found, linear(mixed, width, width))
        inner = net.node("Relu", linear(normalized(found), width, 4 * width))
        found = net.node("Add", found, linear(inner, 4 * width, width))
    tokens = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "sequence"])
    return net.save(path, [tokens], linear(normalized(found), width, 50))


def recurrent(path: Path, seed: int = 0, width: int = 32) -> Path:
    """Sound through an LSTM."""
    net = Builder(seed)
    weights = [net.weight(1, 4 * width, 8, scale=0.2), net.weight(1, 4 * width, width, scale=0.2)]
    found = net.node("LSTM", "x", *weights, net.weight(1, 8 * width, scale=0.1), hidden_size=width)
    return net.save(path, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [20, "batch", 8])], found)


NETWORKS = {"convolutional": convolutional, "transformer": transformer, "recurrent": recurrent}
