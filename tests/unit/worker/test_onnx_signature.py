"""What is read from an ONNX file without a runtime is what ONNX Runtime reports of it."""

from __future__ import annotations

import os

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from daemons.worker.bench.guesses import Spec
from daemons.worker.engines import onnx_signature
from daemons.worker.engines.base import EngineError
from daemons.worker.engines.onnx_signature import read_signature
from tests.support.light_models import light_models

F = TensorProto.FLOAT


def saved(path, inputs, *, weights=(), outputs=("y",), sparse=(), **metadata):
    info = [helper.make_tensor_value_info(name, F, None) for name in outputs]
    nodes = [helper.make_node("Identity", [inputs[0].name], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "test", inputs, info, list(weights), sparse_initializer=list(sparse))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return str(path)


def reported(path):
    """The same from ONNX Runtime."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = tuple(Spec(one.name, one.type, tuple(one.shape)) for one in session.get_inputs())
    return inputs, tuple(one.name for one in session.get_outputs()), session.get_modelmeta().custom_metadata_map


def tensor(name="x", shape=(), element=F):
    return helper.make_tensor_value_info(name, element, shape)


@pytest.mark.parametrize("path", sorted(light_models().glob("*.onnx")), ids=lambda path: path.stem)
def test_real_networks(path):
    found = read_signature(str(path))
    assert (found.inputs, found.outputs, found.metadata) == reported(str(path))


@pytest.mark.parametrize(
    "shape",
    [
        (),
        None,
        (0, 2),
        (None, 3),
        ("", 3),
        ("batch", "?", "seq + 1", "größe"),
        (2**40, 1),
        (-1, 3),
        ("a" * 300,),
    ],
    ids=str,
)
def test_dimensions(tmp_path, shape):
    path = saved(tmp_path / "m.onnx", [tensor(shape=shape)])
    assert read_signature(path).inputs == reported(path)[0]


@given(st.lists(st.one_of(st.integers(0, 2**62), st.text(max_size=5), st.none()), max_size=6))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_dimensions(tmp_path, shape):
    path = saved(tmp_path / "m.onnx", [tensor(shape=shape)])
    assert read_signature(path).inputs[0].shape == tuple(None if dim == "" else dim for dim in shape)


def of_optional(inner):
    return helper.make_value_info("x", helper.make_optional_type_proto(inner))


def test_types(tmp_path):
    plain, words = helper.make_tensor_type_proto(F, [2]), helper.make_tensor_type_proto(TensorProto.STRING, None)
    infos = [
        tensor("x", [2], TensorProto.BFLOAT16),
        tensor("x", [2], TensorProto.INT4),
        helper.make_tensor_sequence_value_info("x", TensorProto.INT64, [None]),
        of_optional(plain),
        of_optional(words),
        of_optional(helper.make_sequence_type_proto(plain)),
    ]
    told = [read_signature(saved(tmp_path / "m.onnx", [info])).inputs[0] for info in infos]
    assert [one.type for one in told] == [
        "tensor(bfloat16)",
        "tensor(int4)",
        "seq(tensor(int64))",
        "optional(tensor(float))",
        "optional(tensor(string))",
        "optional(seq(tensor(float)))",
    ]
    assert [one.shape for one in told] == [(2,), (2,), (), (), (), ()]


def test_an_initializer_feeds_an_input(tmp_path):
    weight = numpy_helper.from_array(np.ones((2, 2), np.float16), "w")
    path = saved(tmp_path / "m.onnx", [tensor("x", ["n"]), tensor("w", [2, 2])], weights=[weight])
    found = read_signature(path)
    assert found.inputs == (Spec("x", "tensor(float)", ("n",)),)
    assert found.weights == {"float16"}


def test_a_sparse_initializer_feeds_an_input(tmp_path):
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "")
    sparse = helper.make_sparse_tensor(values, places, [2])
    path = saved(tmp_path / "m.onnx", [tensor(), tensor("w", [2])], sparse=[sparse])
    assert [one.name for one in read_signature(path).inputs] == ["x"]


def test_outputs_and_metadata(tmp_path):
    path = saved(tmp_path / "m.onnx", [tensor()], outputs=("b", "a"), imgsz="[640, 640]", empty="")
    found = read_signature(path)
    assert (found.inputs, found.outputs, found.metadata) == reported(path)
    assert found.metadata == {"imgsz": "[640, 640]", "empty": ""}


def test_weights_are_stepped_over(tmp_path, monkeypatch):
    """What is read is what is needed: a model of 8 MB costs some kilobytes."""
    weight = numpy_helper.from_array(np.zeros(2**21, np.float32), "w")
    path = saved(tmp_path / "m.onnx", [tensor()], weights=[weight])
    reads = []
    real = onnx_signature._Reader.__init__

    class Counting:
        def __init__(self, file):
            self._file = file

        def seek(self, *where):
            return self._file.seek(*where)

        def read(self, size):
            reads.append(size)
            return self._file.read(size)

    monkeypatch.setattr(onnx_signature._Reader, "__init__", lambda self, file: real(self, Counting(file)))
    read_signature(path)
    assert sum(reads) < 2000


def test_a_large_model_is_read_wherever_its_fields_are(tmp_path):
    """A ModelProto may have its graph after a file's first 4 GB; a sparse file stands in for it."""
    path = tmp_path / "m.onnx"
    small = helper.make_model(helper.make_graph([], "g", [tensor("x", ["n"])], []), ir_version=9)
    gap = 5 * 2**30
    with path.open("wb") as file:
        file.write(b"\x3a" + varint(gap + 2 + 2**6) + b"\x4a" + varint(gap))
        file.seek(gap, os.SEEK_CUR)
        rest = small.graph.SerializeToString()
        file.write(rest + b"\x52" + varint(10) + b"x" * 10)
    head = path.stat().st_size - 1 - len(varint(gap + 2 + 2**6))
    with path.open("r+b") as file:
        file.write(b"\x3a" + varint(head))
    assert read_signature(str(path)).inputs == (Spec("x", "tensor(float)", ("n",)),)


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


@pytest.mark.parametrize("content", [b"\x0f", b"\x3a\xff", b"\x3a" + b"\xff" * 12, b"\x0b\x01", b"\x3a\x02\x08"])
def test_what_is_no_model_is_an_error(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(EngineError, match="not an ONNX model, or it was cut off"):
        read_signature(str(tmp_path / "m.onnx"))


def refusal_of(path):
    try:
        read_signature(str(path))
    except EngineError as error:
        return str(error)
    return ""


def test_types_without_end_are_an_error(tmp_path):
    inner = b""
    for _ in range(2000):
        inner = b"\x4a" + varint(len(inner) + 1 + len(varint(len(inner)))) + b"\x0a" + varint(len(inner)) + inner
    info = b"\x12" + varint(len(inner)) + inner
    graph = b"\x5a" + varint(len(info)) + info
    (tmp_path / "m.onnx").write_bytes(b"\x3a" + varint(len(graph)) + graph)
    assert "RecursionError" in refusal_of(tmp_path / "m.onnx")


@given(st.binary(max_size=60))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_end_in_a_signature_or_a_sentence(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    assert str(tmp_path) not in refusal_of(tmp_path / "m.onnx")


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_model_ends_in_a_signature_or_a_sentence(tmp_path, data):
    content = bytearray((light_models() / "light_squeezenet.onnx").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "m.onnx").write_bytes(content)
    assert str(tmp_path) not in refusal_of(tmp_path / "m.onnx")


def test_a_missing_file_is_an_error_without_its_path(tmp_path):
    with pytest.raises(EngineError, match=r"can't be read \(FileNotFoundError\)") as refusal:
        read_signature(str(tmp_path / "gone.onnx"))
    assert str(tmp_path) not in str(refusal.value)


def test_the_package_onnx_agrees_on_the_field_numbers():
    numbers = {field.name: field.number for field in onnx.GraphProto.DESCRIPTOR.fields}
    assert {name: numbers[name] for name in ("initializer", "input", "output", "sparse_initializer")} == {
        "initializer": 5,
        "input": 11,
        "output": 12,
        "sparse_initializer": 15,
    }
