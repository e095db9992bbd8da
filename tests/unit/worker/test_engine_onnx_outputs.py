"""What ONNX Runtime puts out in types that numpy lacks is handed out as the numbers that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from daemons.core.units import CPU_ONNX
from daemons.worker.engines.base import LoadOptions
from daemons.worker.engines.onnx import OnnxRuntimeEngine

SIXTEENTHS = np.array([[0.5, 1.0, 1.5], [2.0, 0.25, 3.0]], np.float32)
WHOLE = np.array([[0, 1, 1], [1, 0, 1]], np.float32)


def cast_to(element, numbers, tmp_path):
    info = [helper.make_tensor_value_info("x", TensorProto.FLOAT, numbers.shape)]
    outputs = [helper.make_tensor_value_info("y", element, numbers.shape)]
    graph = helper.make_graph([helper.make_node("Cast", ["x"], ["y"], to=element)], "test", info, outputs)
    path = tmp_path / "cast.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=11)
    path.write_bytes(model.SerializeToString())
    model = OnnxRuntimeEngine().load(str(path), CPU_ONNX, LoadOptions(threads=1))
    made = model.inputs(seed=1).values
    return model.outputs(model.feed({"x": made["x"]._replace(array=numbers)}))["y"]


@pytest.mark.parametrize(
    "element", [TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.FLOAT16]
)
@pytest.mark.parametrize("shape", [(2, 3), (6,), (3, 1, 2)])
def test_floats(tmp_path, element, shape):
    np.testing.assert_array_equal(cast_to(element, SIXTEENTHS.reshape(shape), tmp_path), SIXTEENTHS.reshape(shape))


@pytest.mark.parametrize("element", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2])
@pytest.mark.parametrize("size", [6, 5])
def test_integers_that_share_bytes(tmp_path, element, size):
    numbers = WHOLE.reshape(-1)[:size]
    np.testing.assert_array_equal(cast_to(element, numbers, tmp_path), numbers)


def test_a_scalar(tmp_path):
    assert cast_to(TensorProto.BFLOAT16, np.array(1.5, np.float32), tmp_path) == np.float32(1.5)
