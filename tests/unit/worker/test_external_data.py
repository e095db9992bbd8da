"""References of a model to other files: all are found, and none leads out of the model's folder."""

from __future__ import annotations

import os

import onnx
import pytest
from onnx import TensorProto, helper

from daemons.runtime.background import Stop, Stopped
from daemons.worker import external_data
from daemons.worker.external_data import ExternalDataRefused, check, locations


def external(location: str, name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(*, nodes=(), initializer=(), sparse=()) -> onnx.GraphProto:
    made = helper.make_graph(list(nodes), "g", [], [], list(initializer))
    made.sparse_initializer.extend(sparse)
    return made


def sparse(location: str, part: str = "values") -> onnx.SparseTensorProto:
    made = onnx.SparseTensorProto(dims=[4])
    getattr(made, part).CopyFrom(external(location))
    return made


def constant(**attribute) -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Constant")
    for name, value in attribute.items():
        made = node.attribute.add(name=name)
        held = getattr(made, name)
        held.extend(value) if isinstance(value, list) else held.CopyFrom(value)
    return node


def model(made: onnx.GraphProto | None = None, **parts) -> bytes:
    whole = onnx.ModelProto(ir_version=8, graph=made or graph())
    for name, value in parts.items():
        getattr(whole, name).extend(value)
    return whole.SerializeToString()


@pytest.fixture
def write(tmp_path):
    def put(content: bytes):
        (tmp_path / "m.onnx").write_bytes(content)
        return tmp_path / "m.onnx"

    return put


PLACES = {
    "initializer": lambda at: model(graph(initializer=[external(at)])),
    "sparse values": lambda at: model(graph(sparse=[sparse(at)])),
    "sparse indices": lambda at: model(graph(sparse=[sparse(at, "indices")])),
    "attribute's tensor": lambda at: model(graph(nodes=[constant(t=external(at))])),
    "attribute's tensors": lambda at: model(graph(nodes=[constant(tensors=[external(at)])])),
    "attribute's sparse tensor": lambda at: model(graph(nodes=[constant(sparse_tensor=sparse(at))])),
    "attribute's sparse tensors": lambda at: model(graph(nodes=[constant(sparse_tensors=[sparse(at)])])),
    "nested graph": lambda at: model(graph(nodes=[constant(g=graph(initializer=[external(at)]))])),
    "nested graphs": lambda at: model(graph(nodes=[constant(graphs=[graph(nodes=[constant(t=external(at))])])])),
    "function's node": lambda at: model(functions=[onnx.FunctionProto(name="f", node=[constant(t=external(at))])]),
    "function's attribute": lambda at: model(
        functions=[onnx.FunctionProto(name="f", attribute_proto=[onnx.AttributeProto(name="t", t=external(at))])]
    ),
    "training's graph": lambda at: model(
        training_info=[onnx.TrainingInfoProto(initialization=graph(initializer=[external(at)]))]
    ),
    "training's algorithm": lambda at: model(
        training_info=[onnx.TrainingInfoProto(algorithm=graph(initializer=[external(at)]))]
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_reference_is_found_wherever_a_model_can_have_one(write, place):
    assert locations(write(PLACES[place]("w.bin")), Stop()) == ["w.bin"]


def test_a_model_without_references_has_none_and_the_word_alone_is_none(write):
    weights = helper.make_tensor("location", TensorProto.FLOAT, [4], [1.0] * 4)
    assert locations(write(model(graph(initializer=[weights]))), Stop()) == []


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


LOCATION = field(1, b"location") + field(2, b"w.bin")
TENSOR = field(13, LOCATION)


@pytest.mark.parametrize(
    "content",
    [
        field(7, field(5, TENSOR)),  # without data_location, which may stand in a second piece of the message
        field(7, b"") + field(7, field(5, TENSOR)),  # a message in two pieces is one
        field(7, field(5, bytes([13 << 3 | 2, 0x80 | len(LOCATION), 0]) + LOCATION)),  # a length that is padded
        field(7, field(5, b"\xea\x80\x80\x80\x10" + bytes([len(LOCATION)]) + LOCATION)),  # a tag beyond 32 bits
        field(7, field(5, field(13, field(1, b"other") + LOCATION))),  # the last of two keys counts
        field(7, field(5, field(13, LOCATION + field(1, b"other")))),
    ],
)
def test_what_can_be_read_in_two_ways_is_read_as_a_reference(write, content):
    assert locations(write(content), Stop()) == ["w.bin"]


@pytest.mark.parametrize(
    "content",
    [
        b"<html><script>window.location='/login'</script></html>",
        b"\x3b location \x3c",  # a group
        field(7, b"\x2a\x7f location"),  # longer than what it is in
        b"\x00\x00 location",
        b"location" + b"\xff" * 20,
    ],
)
def test_what_mentions_locations_and_cannot_be_read_is_refused(write, content):
    with pytest.raises(ExternalDataRefused, match="not an ONNX model"):
        locations(write(content), Stop())


def test_what_is_no_model_and_mentions_none_is_left_to_the_runtime_to_refuse(write):
    assert locations(write(b"not a model at all"), Stop()) == []
    assert locations(write(b""), Stop()) == []


def test_the_word_is_found_across_the_pieces_in_which_a_file_is_read(write, monkeypatch):
    content = field(7, field(5, TENSOR))
    for size in range(1, 12):
        monkeypatch.setattr(external_data, "SEARCHED_BYTES", size)
        assert locations(write(content), Stop()) == ["w.bin"]


def test_deep_nesting_and_endless_fields_are_refused(write, monkeypatch):
    nested = TENSOR
    for _ in range(60):
        nested = long_field(1, long_field(5, long_field(6, nested)))
    monkeypatch.setattr(external_data, "MAX_DEPTH", 150)
    with pytest.raises(ExternalDataRefused, match="nested more than"):
        locations(write(long_field(7, nested)), Stop())
    monkeypatch.setattr(external_data, "MAX_FIELDS", 1000)
    with pytest.raises(ExternalDataRefused, match="too many"):
        locations(write(b"\x08\x01" * 1001 + TENSOR), Stop())


def long_field(number: int, content: bytes) -> bytes:
    size, length = b"", len(content)
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def test_weights_are_stepped_over_and_not_read(write, monkeypatch):
    raw = TensorProto(name="big", data_type=TensorProto.FLOAT, raw_data=b"\x08" * 10**6)
    monkeypatch.setattr(external_data, "MAX_FIELDS", 50)
    assert locations(write(model(graph(initializer=[raw, external("w.bin")]))), Stop()) == ["w.bin"]


def test_a_model_that_came_alone_may_refer_to_nothing_and_the_sentence_says_what_to_do(write, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"x" * 16)
    with pytest.raises(ExternalDataRefused, match=r"'w\.bin'.*as a zip"):
        check(write(model(graph(initializer=[external("w.bin")]))), None, Stop())


def test_a_plain_file_of_the_models_own_is_allowed_also_in_a_folder(write, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("w.bin", "sub/w.bin", "sub/../w.bin", "./w.bin"):
        (tmp_path / name).write_bytes(b"x" * 16)
        check(write(model(graph(initializer=[external(name)]))), tmp_path, Stop())


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("/etc/passwd", "not relative"),
        ("\\\\server\\share", "not relative"),
        ("C:/windows/win.ini", "not relative"),
        ("c:w.bin", "not relative"),
        ("../outside.bin", "outside"),
        ("sub/../../outside.bin", "outside"),
        (".", "outside"),
        ("..", "outside"),
        ("", "no name"),
        ("w\x00.bin", "no name"),
        ("w\n.bin", "no name"),
        ("*/_ORT_MEM_ADDR_/*", "no name"),
        ("missing.bin", "no such file"),
        ("m.onnx/w.bin", "no such file"),
        ("x" * 300, "no such file"),
        ("sub", "no regular file"),
        ("pipe", "no regular file"),
        ("link.bin", "symbolic link"),
        ("linked/w.bin", "symbolic link"),
        ("hard.bin", "2 hard links"),
    ],
)
def test_any_other_location_is_refused_by_name(write, tmp_path, location, why):
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    (home / "*" / "_ORT_MEM_ADDR_" / "*").write_bytes(b"x" * 16)
    os.mkfifo(home / "pipe")
    (tmp_path / "outside.bin").write_bytes(b"x" * 16)
    (home / "sub" / "w.bin").write_bytes(b"x" * 16)
    (home / "link.bin").symlink_to(home / "sub" / "w.bin")
    (home / "linked").symlink_to(home / "sub")
    (home / "hard.bin").hardlink_to(tmp_path / "outside.bin")
    made = write(model(graph(initializer=[external(location)])))
    with pytest.raises(ExternalDataRefused, match=why) as caught:
        check(made.rename(home / "m.onnx"), home, Stop())
    assert repr(location)[:50] in str(caught.value)


def test_the_check_ends_when_it_is_no_longer_wanted(write):
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped):
        check(write(model(graph(initializer=[external("w.bin")]))), None, stop)
