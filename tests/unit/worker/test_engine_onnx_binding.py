"""Inputs and outputs in a provider's memory: the real thing, the processor's own memory being the provider's."""

import types

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from daemons.core.units import CPU_ONNX
from daemons.worker.engines.base import EngineError, LoadOptions
from daemons.worker.engines.onnx import OnnxModel
from daemons.worker.engines.onnx_binding import Bound, is_bindable
from daemons.worker.engines.onnx_units import CANDIDATES

HERE = CANDIDATES[CPU_ONNX][0]._replace(memory="cpu", transfers=True)
F = TensorProto.FLOAT


def graph(nodes, inputs, outputs):
    made = helper.make_graph(nodes, "test", inputs, outputs)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def tensor(name, type_=F, shape=(2, 3)):
    return helper.make_tensor_value_info(name, type_, shape)


def identity(type_=F, shape=(2, 3)):
    return graph([helper.make_node("Identity", ["x"], ["y"])], [tensor("x", type_, shape)], [tensor("y", type_, shape)])


TWO_OUTPUTS = graph(
    [helper.make_node("Add", ["x", "n"], ["sum"]), helper.make_node("Shape", ["x"], ["shape"])],
    [tensor("x", shape=["batch", 3]), tensor("n", shape=[])],
    [tensor("sum", shape=["batch", 3]), tensor("shape", TensorProto.INT64, [2])],
)


def bound(model, **options):
    return OnnxModel(model, HERE, LoadOptions(threads=1, io_binding=True, **options))


def plain(model):
    return OnnxModel(model, HERE, LoadOptions(threads=1))


def test_outputs_are_those_of_a_run_without_it():
    ours, theirs = bound(TWO_OUTPUTS), plain(TWO_OUTPUTS)
    made = ours.inputs(seed=3)
    expected = theirs.outputs(theirs.feed(made.values))
    found = ours.outputs(made.feed)
    assert list(found) == ["sum", "shape"]
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("type_", ["FLOAT", "FLOAT16", "DOUBLE", "INT64", "INT8", "UINT16", "BOOL"])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_every_type_that_numpy_has_can_be_put_there(type_, shape):
    model = bound(identity(getattr(TensorProto, type_), shape))
    made = model.inputs(seed=0)
    np.testing.assert_array_equal(model.outputs(made.feed)["y"], made.values["x"].array)


def test_a_run_moves_nothing_and_is_whole_when_it_returns(monkeypatch):
    calls = []

    class Watched(ort.IOBinding):
        def __getattribute__(self, name):
            if not name.startswith("_"):
                calls.append(name)
            return super().__getattribute__(name)

    model = bound(identity())
    monkeypatch.setattr(model._session, "io_binding", lambda: Watched(model._session))
    feed = model.inputs(seed=0).feed
    assert calls == ["bind_ortvalue_input", "bind_output", "synchronize_inputs"]
    calls.clear()
    assert model.run(feed) is None
    assert calls == ["synchronize_outputs"]


def test_inputs_and_outputs_lie_in_the_memory_that_is_named():
    asked = []

    class Binding:
        def bind_ortvalue_input(self, name, box):
            asked.append((name, box.device_name()))

        def bind_output(self, name, memory, number):
            asked.append((name, memory, number))

        def synchronize_inputs(self):
            asked.append("synchronized")

    session = types.SimpleNamespace(io_binding=Binding, get_outputs=lambda: [types.SimpleNamespace(name="y")])
    Bound(session, plain(identity()).inputs(seed=0).values, "cpu")
    assert asked == [("x", "cpu"), ("y", "cpu", 0), "synchronized"]


def test_a_feed_outlives_the_arrays_that_it_was_made_of():
    model = bound(identity(shape=(64, 64)))
    made = model.inputs(seed=1)
    expected = made.values["x"].array.copy()
    feed = made.feed
    del made
    model._values = None
    np.full((64, 64), 7.0, np.float32)  # may take the place of what was let go of
    np.testing.assert_array_equal(model.outputs(feed)["y"], expected)


def test_the_same_feed_gives_the_same_outputs_each_time():
    model = bound(identity())
    feed = model.inputs(seed=0).feed
    first, second = (model.outputs(feed)["y"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first is not second


def test_inputs_that_the_model_refuses_are_told():
    model = bound(identity())
    values = {"x": plain(identity(shape=(7, 7))).inputs(seed=0).values["x"]}
    with pytest.raises(EngineError, match="refused its inputs"):
        model.run(model.feed(values))


def test_a_memory_that_is_not_there_is_told():
    nowhere = HERE._replace(memory="cuda")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this runtime has CUDA")
    with pytest.raises(EngineError, match="ONNX Runtime could not run the model"):
        OnnxModel(identity(), nowhere, LoadOptions(threads=1, io_binding=True)).inputs(seed=0)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (identity(TensorProto.BFLOAT16), r"the input x is tensor\(bfloat16\)"),
        (identity(TensorProto.STRING), r"the input x is tensor\(string\)"),
        (
            graph(
                [helper.make_node("SequenceConstruct", ["x"], ["y"])],
                [tensor("x")],
                [helper.make_tensor_sequence_value_info("y", F, None)],
            ),
            r"the output y is seq\(tensor\(float\)\)",
        ),
    ],
    ids=["bfloat16", "string", "sequence"],
)
def test_what_can_not_lie_there_is_refused_by_name(model, told):
    with pytest.raises(EngineError, match=f"io_binding: {told}.*Leave io_binding out"):
        bound(model)


@pytest.mark.parametrize("type_name", ["optional(tensor(float))", "map(int64,tensor(float))", "sparse_tensor(float)"])
def test_what_is_no_tensor_is_not_bindable(type_name):
    assert not is_bindable(type_name)
