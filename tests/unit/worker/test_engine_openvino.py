"""OpenVINO behind the engine's interface: what it reports is read back, what it gets is what ONNX Runtime gets."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from daemons.core.units import CPU_ONNX
from daemons.worker.engines import openvino as engine_module
from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent, Wish, Wishes, refuse_unknown
from daemons.worker.engines.onnx import OnnxRuntimeEngine
from daemons.worker.engines.openvino import CPU_OPENVINO, OpenVinoEngine, places, precision_settings, settings
from daemons.worker.engines.tiny import TINY_ONNX
from daemons.worker.probe import probe_units
from tests.support.light_models import light_models
from tests.support.networks import NETWORKS

ov = pytest.importorskip("openvino", reason="the optional package openvino is not installed")

F = TensorProto.FLOAT


def tensor(name, shape, element=F):
    return helper.make_tensor_value_info(name, element, shape)


def a_model(nodes, inputs, outputs, weights=(), **metadata):
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    return model


def identity(element=F, shape=(2, 3)):
    return a_model(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", shape, element)], [tensor("y", shape, element)]
    )


@pytest.fixture(scope="module")
def engine():
    return OpenVinoEngine()


@pytest.fixture
def written(tmp_path):
    """Writes a model; its path."""

    def write(model, name="model.onnx"):
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return str(path)

    return write


@pytest.fixture
def load(engine, written):
    loaded = []

    def load(model, name="model.onnx", threads=1, **options):
        path = model if isinstance(model, str) else written(model, name)
        loaded.append(engine.load(path, CPU_OPENVINO, LoadOptions(threads, **options)))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


@pytest.fixture
def both(written, load):
    """The same file loaded by OpenVINO and by ONNX Runtime."""
    theirs = []

    def load_both(model):
        path = written(model) if not isinstance(model, str) else model
        theirs.append(OnnxRuntimeEngine().load(path, CPU_ONNX, LoadOptions(threads=1)))
        return load(path), theirs[-1]

    yield load_both
    for model in theirs:
        model.close()


def same_inputs(ours, theirs, seed=3, wishes=Wishes()):  # noqa: B008 (it can't be changed)
    one, other = ours.inputs(seed, wishes), theirs.inputs(seed, wishes)
    assert one.shapes == other.shapes
    assert list(one.values) == list(other.values)
    for name, value in one.values.items():
        assert (value.element, value.shape) == (other.values[name].element, other.values[name].shape)
        assert value.array.tobytes() == other.values[name].array.tobytes()
    return one, other


def test_a_model_runs(load):
    model = load(TINY_ONNX)
    made = model.inputs(seed=7)
    assert made.shapes == "a: 2 float32"
    np.testing.assert_array_equal(model.outputs(made.feed)["b"], made.values["a"].array * 2)


def test_facts_are_read_back(load):
    facts = load(str(light_models() / "light_squeezenet.onnx")).facts()
    assert facts.providers == ("OpenVINO CPU",)
    assert facts.provider_share == 1.0
    (provider, nodes), *others = facts.nodes
    assert (provider, others) == ("OpenVINO CPU", [])
    assert 26 <= nodes <= 152, "its convolutions at least, and no more than what was compiled"
    assert (facts.threads, facts.precision, facts.transfer, facts.compile_cache) == (1, "float32", None, None)
    assert facts.notes == ()


def test_constants_and_inputs_are_no_nodes_of_a_run(load):
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    model = a_model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor("x", [3])], [tensor("y", [3])], [weight])
    assert load(model).facts().nodes == (("OpenVINO CPU", 1),)


def test_more_threads_than_cores_are_told(load):
    facts = load(TINY_ONNX, threads=4096).facts()
    assert facts.threads < 4096
    assert f"OpenVINO runs in {facts.threads} threads, not 4096" in facts.notes[0]


def test_float64_is_computed_in_less_and_that_is_told(load):
    facts = load(identity(TensorProto.DOUBLE)).facts()
    assert facts.precision == "float32"
    assert facts.notes == ("OpenVINO computes the model's float64 in float32",)


def test_full_precision_is_the_default():
    """Left to itself OpenVINO computes in bfloat16 where it can, and would be compared with engines that don't."""
    for chosen in (settings(LoadOptions(), ["BF16", "FP32"]), settings(LoadOptions(precision="full"), ["BF16"])):
        assert chosen["INFERENCE_PRECISION_HINT"] == "f32"
        assert chosen["EXECUTION_MODE_HINT"] == "ACCURACY"


@pytest.mark.parametrize(
    ("capabilities", "hint"),
    [(["FP32", "BF16"], "bf16"), (["FP32", "FP16"], "f16"), (["FP16", "BF16"], "bf16"), (["FP32", "INT8"], "f32")],
)
def test_reduced_precision_is_what_the_processor_has(capabilities, hint):
    assert precision_settings("reduced", capabilities)["INFERENCE_PRECISION_HINT"] == hint


def test_reduced_precision_is_read_back(load, engine):
    facts = load(str(light_models() / "light_squeezenet.onnx"), precision="reduced").facts()
    narrower = {"BF16", "FP16"} & set(engine._capabilities)
    assert facts.precision in ({"bfloat16", "float16"} if narrower else {"float32"})
    assert bool(facts.notes) != bool(narrower)


def test_a_processor_without_reduced_precision_says_so(engine, load, monkeypatch):
    monkeypatch.setattr(engine, "_capabilities", ["FP32"])
    facts = load(TINY_ONNX, precision="reduced").facts()
    assert facts.precision == "float32"
    assert facts.notes == ("OpenVINO knows no reduced precision on this processor: it computes in float32",)


def test_a_precision_that_is_none_is_refused(load):
    with pytest.raises(EngineError, match="knows no precision 'half'; it knows full, reduced"):
        load(TINY_ONNX, precision="half")


@pytest.mark.parametrize("asked", [{"graph_optimization": "all"}, {"execution_mode": "parallel"}, {"io_binding": True}])
def test_options_that_it_lacks_are_refused(engine, asked):
    with pytest.raises(EngineError, match="OpenVINO has no"):
        refuse_unknown(engine, LoadOptions(**asked))


@pytest.mark.parametrize("name", sorted(path.stem for path in light_models().glob("*.onnx")))
def test_real_networks_get_the_inputs_that_onnx_runtime_gives_them(both, name):
    same_inputs(*both(str(light_models() / f"{name}.onnx")))


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor("image", ["batch", 3, "height", "width"])],
        [tensor("input_ids", ["batch", "sequence_length"], TensorProto.INT64)],
        [tensor("x", ["N", "past_sequence_length + 1", 4]), tensor("y", ["N", "past_sequence_length", 4])],
        [tensor("wave", ["B", "T"]), tensor("sample_rate", [], TensorProto.INT64)],
        [tensor("a", [None, "?", 3])],
        [tensor("a", ["foo"], TensorProto.BOOL), tensor("b", ["foo", 2], TensorProto.FLOAT16)],
        [tensor("a", ["N", 3], TensorProto.BFLOAT16)],
        [tensor("a", ["N", 3], TensorProto.UINT8), tensor("b", ["M", "N"], TensorProto.INT32)],
        [tensor("scale", []), tensor("a", [0, 2])],
    ],
    ids=lambda inputs: " ".join(one.name for one in inputs),
)
def test_named_dimensions_get_the_sizes_that_onnx_runtime_gives_them(both, inputs):
    """OpenVINO forgets the names; without the file's own an image would be one pixel large."""
    outputs = [helper.make_value_info(f"{one.name}_out", one.type) for one in inputs]
    nodes = [helper.make_node("Identity", [one.name], [f"{one.name}_out"]) for one in inputs]
    same_inputs(*both(a_model(nodes, inputs, outputs)))


def test_the_metadata_of_a_model_is_heeded_as_by_onnx_runtime(both):
    model = a_model(
        [helper.make_node("Relu", ["images"], ["y"])],
        [tensor("images", ["batch", 3, "height", "width"])],
        [tensor("y", None)],
        imgsz="[64, 96]",
    )
    one, _ = same_inputs(*both(model))
    assert one.shapes == "images: 1x3x64x96 float32"


def test_wishes_are_met_as_by_onnx_runtime(both):
    wishes = Wishes({"x": Wish(range=(-2.0, 2.0))}, batch_size=3)
    one, _ = same_inputs(*both(identity(shape=("batch", 5))), wishes=wishes)
    assert one.shapes == "x: 3x5 float32 in -2..2"


@pytest.mark.parametrize("network", NETWORKS)
def test_random_networks_agree_with_onnx_runtime(both, tmp_path, network):
    ours, theirs = both(str(NETWORKS[network](tmp_path / "network.onnx", seed=5)))
    one, other = same_inputs(ours, theirs)
    found, expected = ours.outputs(one.feed)["y"], theirs.outputs(other.feed)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


ELEMENTS = [
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.BOOL,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT64,
    TensorProto.FLOAT8E4M3FN,
    TensorProto.FLOAT8E5M2,
]


@pytest.mark.parametrize("element", ELEMENTS, ids=[TensorProto.DataType.Name(element) for element in ELEMENTS])
@pytest.mark.parametrize("shape", [(2, 3), ()], ids=["matrix", "scalar"])
def test_every_element_type_goes_in_and_comes_out(load, element, shape):
    model = load(identity(element, shape))
    made = model.inputs(seed=1)
    given, found = made.values["x"], model.outputs(made.feed)["y"]
    assert found.shape == shape
    if found.dtype == given.array.dtype:
        np.testing.assert_array_equal(found, given.array)
    else:
        assert found.dtype == np.float32
        assert ((found >= 0.0625) & (found < 1)).all(), "what the bit patterns of floats stand for"


def test_words_go_in_and_come_out(load):
    flatten = helper.make_node("Flatten", ["x"], ["y"])
    model = load(
        a_model([flatten], [tensor("x", [2, 3], TensorProto.STRING)], [tensor("y", [2, 3], TensorProto.STRING)])
    )
    made = model.inputs(seed=1)
    assert model.outputs(made.feed)["y"].tolist() == made.values["x"].array.tolist()


@pytest.mark.parametrize("element", [TensorProto.INT4, TensorProto.UINT4])
def test_four_bits_are_packed_as_onnx_has_them(load, element):
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT32)
    model = load(a_model([cast], [tensor("x", [5], element)], [tensor("y", [5], TensorProto.INT32)]))
    made = model.inputs(seed=1)
    packed = made.values["x"].array
    expected = [byte >> shift & 15 for byte in packed.tolist() for shift in (0, 4)][:5]
    assert 0 < sum(expected) < 5
    assert model.outputs(made.feed)["y"].tolist() == expected


def test_a_type_that_openvino_lacks_is_a_sentence(load):
    with pytest.raises(EngineError, match="an operator or a type that OpenVINO doesn't have"):
        load(identity(TensorProto.COMPLEX64))


def test_outputs_are_not_changed_by_the_next_run(load):
    model = load(TINY_ONNX)
    first = model.outputs(model.inputs(seed=1).feed)["b"]
    before = first.copy()
    second = model.outputs(model.inputs(seed=2).feed)["b"]
    assert (first == before).all()
    assert (first != second).any()


def test_inputs_are_not_changed_by_a_run(load):
    nodes = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])]
    model = load(a_model(nodes, [tensor("x", [4, 4])], [tensor("y", [4, 4])]))
    made = model.inputs(seed=1, wishes=Wishes({"x": Wish(range=(-1.0, 1.0))}))
    before = made.values["x"].array.copy()
    model.run(made.feed)
    np.testing.assert_array_equal(made.values["x"].array, before)


def test_the_feed_keeps_its_values_alive(load):
    model = load(identity(shape=(1000, 1000)))
    feed = model.feed(dict(model.inputs(seed=1).values))
    expected = model.outputs(feed)["y"]
    for _ in range(3):
        model.inputs(seed=2)
    np.testing.assert_array_equal(model.outputs(feed)["y"], expected)


def test_values_that_can_not_be_written_to_are_taken(load):
    model = load(TINY_ONNX)
    values = dict(model.inputs(seed=1).values)
    values["a"].array.flags.writeable = False
    np.testing.assert_array_equal(model.outputs(model.feed(values))["b"], values["a"].array * 2)


def test_an_input_without_values_is_an_error(load):
    """OpenVINO would run with whatever is in its memory."""
    with pytest.raises(EngineError, match="no values: a"):
        load(TINY_ONNX).feed({})


def test_an_input_without_influence_needs_no_place(both):
    """OpenVINO leaves it out of the compiled model, but the model has it all the same."""
    node = helper.make_node("CastLike", ["x", "like"], ["y"])
    inputs = [tensor("x", [2]), tensor("like", [1], TensorProto.FLOAT16)]
    ours, theirs = both(a_model([node], inputs, [tensor("y", [2], TensorProto.FLOAT16)]))
    one, other = same_inputs(ours, theirs)
    np.testing.assert_array_equal(ours.outputs(one.feed)["y"], theirs.outputs(other.feed)["y"])


def test_an_input_that_is_handed_on_has_a_place(both):
    """OpenVINO knows it by the output's name alone."""
    node = helper.make_node("Dropout", ["x"], ["y"])
    ours, theirs = both(a_model([node], [tensor("x", [2, 3])], [tensor("y", [2, 3])]))
    one, _ = same_inputs(ours, theirs)
    np.testing.assert_array_equal(ours.outputs(one.feed)["y"], one.values["x"].array)


def test_places():
    assert places(["a", "b"], [{"b"}, {"a", "z"}]) == {"a": 1, "b": 0}
    assert places(["a", "b"], [{"b"}]) == {"b": 0}
    assert places(["a", "b", "c"], [{"y"}, {"b"}, {"z"}]) == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(EngineError, match="lost the names of inputs: which of a, b are left"):
        places(["a", "b"], [{"y"}])


def test_outputs_have_the_names_and_the_order_of_the_file(load):
    nodes = [helper.make_node("Relu", ["x"], ["z"]), helper.make_node("Identity", ["z"], ["a"])]
    model = load(a_model(nodes, [tensor("x", [2])], [tensor("z", [2]), tensor("a", [2])]))
    assert list(model.outputs(model.inputs(seed=1).feed)) == ["z", "a"]


@pytest.fixture
def own_kind(written, tmp_path):
    """A model of OpenVINO's own kind: `y = x + (1, 2, 3)`."""
    weight = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    path = written(a_model([add], [tensor("x", ["batch", 3])], [tensor("y", ["batch", 3])], [weight]))
    ov.save_model(ov.Core().read_model(path), tmp_path / "own.xml", compress_to_fp16=False)
    return tmp_path / "own.xml"


def test_its_own_kind_of_model_runs(load, own_kind):
    model = load(str(own_kind))
    made = model.inputs(seed=1)
    assert made.shapes == "x: 1x3 float32"
    np.testing.assert_allclose(model.outputs(made.feed)["y"], made.values["x"].array + np.array([1, 2, 3]))


def test_its_own_kind_has_a_reference_and_onnx_has_none(engine, own_kind, written):
    reference = engine.load_reference(str(own_kind))
    assert reference.facts().precision == "float32"
    reference.close()
    assert engine.load_reference(written(TINY_ONNX)) is None


def test_a_model_that_remembers_starts_afresh_with_every_run(engine, tmp_path):
    """Else each run would have a longer past to work on than the one before."""
    op, variable = ov.opset13, ov.op.util.VariableInfo()
    x = op.parameter([1], np.float32, name="x")
    variable.data_shape, variable.data_type, variable.variable_id = ov.PartialShape([1]), ov.Type.f32, "sum"
    memory = ov.op.util.Variable(variable)
    total = op.add(op.read_value(op.constant(np.zeros(1, np.float32)), memory), x)
    model = ov.Model([op.result(total)], [op.assign(total, memory)], [x], "counts")
    ov.save_model(model, tmp_path / "counts.xml")
    loaded = engine.load(str(tmp_path / "counts.xml"), CPU_OPENVINO, LoadOptions(threads=1))
    made = loaded.inputs(seed=1)
    first, second = (next(iter(loaded.outputs(made.feed).values())) for _ in range(2))
    assert first == second == made.values["x"].array
    loaded.close()


def damage(own_kind, how):
    weights = own_kind.with_suffix(".bin")
    text = own_kind.read_text()
    match how:
        case "no weights":
            weights.unlink()
        case "weights cut off":
            weights.write_bytes(weights.read_bytes()[:5])
        case "cut off":
            own_kind.write_text(text[: len(text) // 2])
        case "operator":
            own_kind.write_text(text.replace('type="Add"', 'type="Nonsense"'))
        case "version":
            own_kind.write_text(text.replace('version="11"', 'version="99"', 1))
        case "empty":
            own_kind.write_text("")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no weights", "weights are missing: send the .xml and its .bin"),
        ("weights cut off", "not those of the .xml, or the file was cut off"),
        ("cut off", "was cut off"),
        ("operator", "operator or a type that OpenVINO doesn't have.*Nonsense"),
        ("version", "not an OpenVINO model"),
        ("empty", "not an OpenVINO model"),
    ],
)
def test_what_is_wrong_with_its_own_kind_is_told_in_a_sentence(load, own_kind, how, told):
    damage(own_kind, how)
    with pytest.raises(EngineError, match=told) as refusal:
        load(str(own_kind))
    assert str(own_kind.parent) not in str(refusal.value)


def external(location):
    tensor_ = numpy_helper.from_array(np.ones(3, np.float32), "w")
    tensor_.ClearField("raw_data")
    tensor_.data_location = TensorProto.EXTERNAL
    tensor_.external_data.add(key="location", value=location)
    return a_model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor("x", [3])], [tensor("y", [3])], [tensor_])


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (b"this is no model", "not an ONNX model, or it was cut off"),
        (b"", "not an ONNX model, or it was cut off"),
        (identity().SerializeToString()[:-9], "was cut off"),
        (
            a_model([helper.make_node("Nonsense", ["x"], ["y"])], [tensor("x", [1])], [tensor("y", [1])]),
            "operator or a type that OpenVINO doesn't have.*Nonsense",
        ),
        (
            a_model([helper.make_node("Add", ["x", "gone"], ["y"])], [tensor("x", [1])], [tensor("y", [1])]),
            "graph is not valid",
        ),
        (identity(shape=None), "doesn't say how many dimensions"),
        (external("gone.bin"), "external data.*missing"),
    ],
    ids=["text", "empty", "cut off", "operator", "graph", "rank", "external data"],
)
def test_what_can_not_be_loaded_is_told_in_a_sentence(load, model, told, tmp_path, capfd):
    with pytest.raises(EngineError, match=told) as refusal:
        load(model)
    assert str(tmp_path) not in str(refusal.value), "where this device keeps its models is nobody's business"
    assert ".cpp" not in str(refusal.value)
    assert capfd.readouterr() == ("", ""), "asked to read anything, OpenVINO tries all that it knows, and tells"


def test_a_missing_file_is_told(engine, tmp_path):
    for name in ("gone.onnx", "gone.xml"):
        with pytest.raises(EngineError, match=r"^The model's file is not there\.$"):
            engine.load(str(tmp_path / name), CPU_OPENVINO, LoadOptions())


def test_an_onnx_model_may_be_called_anything(load):
    assert load(TINY_ONNX, name="weights").inputs(seed=1).shapes == "a: 2 float32"


def product():
    multiply = helper.make_node("MatMul", ["x", "z"], ["y"])
    return a_model([multiply], [tensor("x", ["a", "b"]), tensor("z", ["c", "d"])], [tensor("y", None)])


@pytest.mark.parametrize("threads", [1, 2])
def test_inputs_that_a_model_refuses_are_told(load, threads):
    """With one thread, OpenVINO's `infer` gives empty outputs instead."""
    model = load(product(), threads=threads)
    with pytest.raises(EngineError, match=r"The model refuses the inputs.*The model refused its inputs") as refusal:
        model.inputs(1, Wishes({"x": Wish(shape=(2, 3)), "z": Wish(shape=(2, 3))}))
    assert ".cpp" not in str(refusal.value)


def test_a_refusal_leaves_a_process_that_goes_on(tmp_path):
    """Where `infer` has hidden what went wrong, the next model takes the process down."""
    (tmp_path / "product.onnx").write_bytes(product().SerializeToString())
    code = """
import sys
from daemons.worker.engines.base import EngineError, LoadOptions, Wish, Wishes
from {0} import CPU_OPENVINO, OpenVinoEngine
engine = OpenVinoEngine()
for threads in (1, 2):
    model = engine.load(sys.argv[1], CPU_OPENVINO, LoadOptions(threads))
    try:
        model.inputs(1, Wishes({{"x": Wish((2, 3)), "z": Wish((2, 3))}}))
    except EngineError:
        model.close()
    del model
    engine.probe(CPU_OPENVINO)
    print(threads)
"""
    assert in_a_process(code.format(engine_module.__name__), tmp_path / "product.onnx") == ["1", "2"]


def test_sequences_are_refused(load):
    with pytest.raises(EngineError, match="operator or a type"):
        load(
            a_model(
                [helper.make_node("SequenceAt", ["x", "i"], ["y"])],
                [helper.make_tensor_sequence_value_info("x", F, [2]), tensor("i", [], TensorProto.INT64)],
                [tensor("y", [2])],
            )
        )


def test_other_units_are_refused(engine, written):
    with pytest.raises(ProviderAbsent, match=r"doesn't serve CPU \(ONNX\)"):
        engine.load(written(TINY_ONNX), CPU_ONNX, LoadOptions())
    with pytest.raises(ProviderAbsent, match="doesn't serve"):
        engine.probe("GPU (OpenVINO)")


def test_its_unit_can_be_probed_here(engine):
    engine.probe(CPU_OPENVINO)


def test_without_the_package_it_says_what_to_install(monkeypatch, written):
    monkeypatch.setattr(engine_module, "ov", None)
    monkeypatch.setattr(engine_module, "why_absent", "No module named 'openvino'")
    engine = OpenVinoEngine()
    assert engine.version() == "not installed"
    for attempt in (
        lambda: engine.probe(CPU_OPENVINO),
        lambda: engine.load(written(TINY_ONNX), CPU_OPENVINO, LoadOptions()),
    ):
        with pytest.raises(
            ProviderAbsent, match=r"needs the package openvino \(No module.*pip install 'benchfleet\[openvino\]'"
        ):
            attempt()


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """The engine under an entry point, for the processes that are started from here on."""
    info = tmp_path / "listed-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: listed\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[benchfleet.engines]\nlisted = {engine_module.__name__}:OpenVinoEngine\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("listed")
async def test_a_worker_offers_its_unit():
    probe = await probe_units()
    assert CPU_OPENVINO in probe.units
    serves = probe.serving[CPU_OPENVINO][0]
    assert (serves.name, serves.file_types, serves.packages) == ("OpenVINO", (".onnx", ".xml"), ("openvino",))
    assert probe.units.index(CPU_ONNX) < probe.units.index(CPU_OPENVINO), "a device's default unit is the first"


async def test_a_worker_without_the_package_says_what_to_install(listed):
    (listed / "openvino").mkdir()
    (listed / "openvino/__init__.py").write_text("raise ImportError('there is none')")
    probe = await probe_units()
    assert CPU_OPENVINO not in probe.units
    assert "OpenVINO" not in probe.engines
    assert "needs the package openvino (there is none); install it" in probe.problems[CPU_OPENVINO]


def test_the_project_lists_the_engine_and_the_package_as_an_extra():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"{engine_module.__name__}:OpenVinoEngine" in project["entry-points"]["benchfleet.engines"].values()
    assert [one.partition(">")[0] for one in project["optional-dependencies"]["openvino"]] == ["openvino"]
    assert not any(one.startswith("openvino") for one in project["dependencies"])


def test_the_version_is_that_of_the_package(engine):
    assert ov.__version__.startswith(engine.version())
    assert "-" not in engine.version()


def in_a_process(code, *arguments):
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_measuring_process_imports_no_more_than_it_measures_with():
    """OpenVINO's converter would bring in its telemetry, HTTP and subprocesses."""
    code = "import daemons.worker.bench.child, {0} as e, sys; e.OpenVinoEngine(); print(*sys.modules)"
    loaded = set(in_a_process(code.format(engine_module.__name__)))
    assert "openvino" in loaded
    assert not {"asyncio", "msgspec", "socket", "subprocess", "openvino_telemetry", "openvino.tools", "onnx"} & loaded
    assert not {"onnxruntime", "importlib.metadata"} & loaded


def test_what_is_left_out_can_be_imported_later():
    code = "import {0}, sys; print('openvino.tools.ovc' in sys.modules); import openvino.tools.ovc"
    assert in_a_process(code.format(engine_module.__name__)) == ["False"]


def test_closing_gives_the_memory_back_and_may_be_repeated(load):
    model = load(TINY_ONNX)
    model.close()
    model.close()


def test_the_same_weights_may_be_loaded_again(engine, written):
    path = written(TINY_ONNX)
    for _ in range(3):
        model = engine.load(path, CPU_OPENVINO, LoadOptions(threads=1))
        model.run(model.inputs(seed=1).feed)
        model.close()


def test_a_weight_is_no_input_though_the_file_lists_it_as_one(load):
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    model = a_model([add], [tensor("x", ["n", 3]), tensor("w", [3])], [tensor("y", ["n", 3])], [weight])
    assert list(load(model).inputs(seed=1).values) == ["x"]
