"""ONNX Runtime behind the engine's interface: what it reports is read back, what it refuses is told in sentences."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from daemons.core.units import CPU_ONNX, GPU_ONNX, STANDARD_UNITS
from daemons.worker.engines import onnx as engine_module
from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent, Wish, Wishes, refuse_unknown
from daemons.worker.engines.onnx import OnnxRuntimeEngine, threads_started
from daemons.worker.engines.onnx_units import AS_WRITTEN, CANDIDATES, Placement, Precision
from daemons.worker.engines.tiny import TINY_ONNX

F = TensorProto.FLOAT


def a_model(nodes, inputs, outputs, *, opset=21, ir_version=10, initializers=(), domain=""):
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=ir_version)


def tensor(name, type_, shape):
    return helper.make_tensor_value_info(name, type_, shape)


def identity(type_=F, shape=(2, 3), **more):
    node = helper.make_node("Identity", ["x"], ["y"])
    return a_model([node], [tensor("x", type_, shape)], [tensor("y", type_, shape)], **more)


@pytest.fixture
def engine():
    return OnnxRuntimeEngine()


@pytest.fixture
def load(engine, tmp_path):
    loaded = []

    def load(model, threads=1, **options):
        path = tmp_path / f"{len(loaded)}.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        loaded.append(engine.load(str(path), CPU_ONNX, LoadOptions(threads, **options)))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


def test_the_tiny_model_is_what_onnx_itself_would_write():
    model = a_model(
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [tensor("a", F, [2])],
        [tensor("b", F, [2])],
        opset=13,
        ir_version=7,
    )
    model.graph.name = "tiny"
    assert model.SerializeToString() == TINY_ONNX
    onnx.checker.check_model(onnx.load_from_string(TINY_ONNX))


def test_a_model_runs_and_its_figures_are_those_of_the_model(load):
    model = load(TINY_ONNX)
    made = model.inputs(seed=7)
    assert made.shapes == "a: 2 float32"
    np.testing.assert_array_equal(model.run(made.feed)[0], made.feed["a"] * 2)


def test_facts_are_read_back(load):
    facts = load(TINY_ONNX, threads=2).facts()
    assert facts.providers == ("CPUExecutionProvider",)
    assert facts.provider_share == 1.0
    assert facts.threads == 2


def test_threads_that_the_runtime_chose_are_counted(load, monkeypatch):
    counts = iter([5, 8])
    monkeypatch.setattr(engine_module, "thread_count", lambda: next(counts))
    assert load(TINY_ONNX, threads=None).facts().threads == 4, "three new ones and the caller's own"


def test_the_seed_decides_over_every_byte(load):
    model = load(identity(shape=(64, 64)))
    first, same, other = (model.inputs(seed).feed["x"].tobytes() for seed in (1, 1, 2))
    assert first == same
    assert first != other


@pytest.mark.parametrize("unit", [unit for unit in STANDARD_UNITS if unit != CPU_ONNX])
def test_a_unit_whose_provider_the_runtime_lacks_is_neither_probed_nor_loaded(engine, unit):
    if any(one.provider in ort.get_available_providers() for one in CANDIDATES[unit]):
        pytest.skip(f"this ONNX Runtime has a provider for {unit}")
    for attempt in (engine.probe, lambda unit: engine.load("model.onnx", unit, LoadOptions())):
        with pytest.raises(ProviderAbsent, match=r"needs .*ExecutionProvider.*it has .*CPUExecutionProvider"):
            attempt(unit)


def test_the_engine_serves_the_standard_units(engine):
    assert set(engine.units) == set(STANDARD_UNITS)
    assert engine.units[0] == CPU_ONNX, "what every device has is what a job without a unit gets"
    engine.probe(CPU_ONNX)


@pytest.fixture
def unit_of(monkeypatch):
    """Makes `GPU (ONNX)` stand for another provider."""

    def unit_of(provider, **more):
        placement = Placement(GPU_ONNX, provider, {None: Precision("float8")}, **more)
        monkeypatch.setitem(CANDIDATES, GPU_ONNX, (placement,))
        return GPU_ONNX

    return unit_of


def test_a_provider_that_takes_no_node_has_no_share(engine, tmp_path, unit_of):
    if "AzureExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this build of ONNX Runtime has no second provider")
    (tmp_path / "m.onnx").write_bytes(TINY_ONNX)
    model = engine.load(str(tmp_path / "m.onnx"), unit_of("AzureExecutionProvider"), LoadOptions(threads=1))
    facts = model.facts()
    assert facts.provider_share == 0.0
    assert facts.providers == ("AzureExecutionProvider", "CPUExecutionProvider")
    assert facts.nodes == (("CPUExecutionProvider", 1),)
    with pytest.raises(ProviderAbsent, match="doesn't take every node"):
        engine.probe(GPU_ONNX)


def test_a_unit_that_is_not_served_is_an_error(engine):
    with pytest.raises(ProviderAbsent, match=r"doesn't serve NPU \(X\)"):
        engine.probe("NPU (X)")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"io_binding": True}, r"io_binding: CPU \(ONNX\) runs on CPUExecutionProvider here.*leave io_binding out"),
        ({"precision": "reduced"}, r"precision: CPU \(ONNX\) computes in the types that the model is written in"),
    ],
)
def test_the_processor_refuses_what_it_can_not_do(load, options, told):
    with pytest.raises(EngineError, match=told):
        load(TINY_ONNX, **options)


def test_the_processor_computes_as_the_model_is_written(load):
    for precision in (None, "full"):
        facts = load(TINY_ONNX, precision=precision).facts()
        assert facts.precision == AS_WRITTEN
        assert facts.transfer is None, "nothing crosses a bus"
        assert facts.gpu is None


def test_what_a_placement_says_of_itself_stands_in_the_facts(engine, tmp_path, unit_of):
    (tmp_path / "m.onnx").write_bytes(TINY_ONNX)
    unit = unit_of("CPUExecutionProvider", with_cpu=False, transfers=True, gpu="nvidia", memory="cpu")
    facts = {
        binding: engine.load(str(tmp_path / "m.onnx"), unit, LoadOptions(io_binding=binding)).facts()
        for binding in (None, True)
    }
    assert {facts[None].gpu, facts[None].precision} == {"nvidia", "float8"}
    assert (facts[None].transfer, facts[True].transfer) == ("included", "excluded")


def test_threads_of_a_driver_are_not_taken_for_those_of_an_operator():
    gpu, cpu = CANDIDATES[GPU_ONNX][0], CANDIDATES[CPU_ONNX][0]
    assert threads_started(11, gpu, LoadOptions()) is None
    assert threads_started(11, cpu, LoadOptions()) == 12
    assert threads_started(6, cpu, LoadOptions(execution_mode="parallel")) == 4


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (b"this is no model", "not an ONNX model"),
        (b"", "not an ONNX model"),
        (identity().SerializeToString()[:-9], "not an ONNX model"),
        (identity(opset=99), "opset is newer"),
        (identity(ir_version=99), "IR version is newer"),
        (
            a_model(
                [helper.make_node("Own", ["x"], ["y"], domain="com.own")], [tensor("x", F, [1])], [tensor("y", F, [1])]
            ),
            "operator that ONNX Runtime doesn't know.*com.own",
        ),
        (
            a_model([helper.make_node("Nonsense", ["x"], ["y"])], [tensor("x", F, [1])], [tensor("y", F, [1])]),
            "operator that ONNX Runtime doesn't know.*Nonsense",
        ),
        (identity(TensorProto.INT4, opset=21), "execution provider doesn't have.*Identity"),
        (
            a_model([helper.make_node("Add", ["x", "gone"], ["y"])], [tensor("x", F, [1])], [tensor("y", F, [1])]),
            "graph is not valid",
        ),
    ],
    ids=["text", "empty", "cut off", "opset", "ir", "domain", "operator", "kernel", "graph"],
)
def test_what_can_not_be_loaded_is_told_in_a_sentence(load, model, told, tmp_path):
    with pytest.raises(EngineError, match=told) as refusal:
        load(model)
    assert str(tmp_path) not in str(refusal.value), "where this device keeps its models is nobody's business"
    assert "[ONNXRuntimeError]" not in str(refusal.value)


def test_missing_external_data_is_told(load):
    weight = helper.make_tensor("w", F, [64], np.ones(64, np.float32))
    model = a_model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [tensor("x", F, [64])],
        [tensor("y", F, [64])],
        initializers=[weight],
    )
    outside = model.graph.initializer[0]
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "256")):
        entry = outside.external_data.add()
        entry.key, entry.value = key, value
    with pytest.raises(EngineError, match=r"external data.*missing"):
        load(model)


def test_memory_that_is_not_there_is_told(load):
    node = helper.make_node("ConstantOfShape", ["shape"], ["y"])
    model = load(a_model([node], [tensor("shape", TensorProto.INT64, [2])], [tensor("y", F, ["a", "b"])]))
    with pytest.raises(EngineError, match="ran out of memory"):
        model.run({"shape": np.array([2**31, 2**13], np.int64)})


def test_the_file_that_is_not_there_is_told(engine, tmp_path):
    with pytest.raises(EngineError, match="file is not there"):
        engine.load(str(tmp_path / "gone.onnx"), CPU_ONNX, LoadOptions())


def test_refused_inputs_are_told(load):
    with pytest.raises(EngineError, match="refused its inputs"):
        load(identity()).run({"x": np.zeros((7, 7, 7), np.float32)})


@pytest.mark.parametrize(
    "type_", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT16", "STRING", "BOOL"]
)
def test_types_with_and_without_a_numpy_form_are_fed_and_run(load, type_):
    model = load(identity(getattr(TensorProto, type_)))
    made = model.inputs(seed=0)
    (output,) = model.run(made.feed)
    assert tuple(output.shape() if callable(output.shape) else output.shape) == (2, 3)


@pytest.mark.parametrize(("type_", "expected"), [("INT4", {0, 1}), ("UINT4", {0, 1})])
def test_elements_that_share_a_byte_are_fed(load, type_, expected):
    node = helper.make_node("Cast", ["x"], ["y"], to=F)
    model = load(a_model([node], [tensor("x", getattr(TensorProto, type_), [3, 5])], [tensor("y", F, [3, 5])]))
    (output,) = model.run(model.inputs(seed=0).feed)
    assert set(np.unique(output.numpy())) == expected


def test_a_float8_input_holds_normal_numbers_below_one(load):
    node = helper.make_node("Cast", ["x"], ["y"], to=F)
    for type_ in ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "BFLOAT16"):
        model = load(a_model([node], [tensor("x", getattr(TensorProto, type_), [50])], [tensor("y", F, [50])]))
        values = model.run(model.inputs(seed=0).feed)[0].numpy()
        assert values.min() >= 0.0625, type_
        assert values.max() < 1, type_


def test_a_sequence_is_fed(load):
    sequence = helper.make_tensor_sequence_value_info("s", F, None)
    model = load(
        a_model([helper.make_node("SequenceLength", ["s"], ["n"])], [sequence], [tensor("n", TensorProto.INT64, [])])
    )
    made = model.inputs(seed=0)
    assert model.run(made.feed)[0] == 1
    assert "a sequence of one" in made.shapes


def test_real_networks_of_the_package_run(engine):
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_squeezenet.onnx"
    model = engine.load(str(path), CPU_ONNX, LoadOptions())
    made = model.inputs(seed=0)
    assert made.shapes == "data_0: 1x3x224x224 float32"
    assert model.run(made.feed)[0].shape == (1, 1000, 1, 1)
    assert model.first_run_ns is None, "nothing was guessed, so the first run is still to come"
    model.close()


def test_a_run_that_the_inputs_needed_is_timed(load):
    model = load(identity(shape=("batch", 3)))
    model.inputs(seed=0)
    assert model.first_run_ns is not None
    assert model.first_run_ns > 0


@pytest.mark.parametrize(
    ("wanted", "level"),
    [
        ("disabled", "ORT_DISABLE_ALL"),
        ("basic", "ORT_ENABLE_BASIC"),
        ("extended", "ORT_ENABLE_EXTENDED"),
        ("all", "ORT_ENABLE_ALL"),
    ],
)
def test_the_graph_optimization_reaches_the_runtime(load, wanted, level):
    options = load(TINY_ONNX, graph_optimization=wanted)._session.get_session_options()
    assert options.graph_optimization_level == getattr(ort.GraphOptimizationLevel, level)


@pytest.mark.parametrize(("wanted", "mode"), [("sequential", "ORT_SEQUENTIAL"), ("parallel", "ORT_PARALLEL")])
def test_the_execution_mode_reaches_the_runtime(load, wanted, mode):
    options = load(TINY_ONNX, execution_mode=wanted)._session.get_session_options()
    assert options.execution_mode == getattr(ort.ExecutionMode, mode)
    assert options.inter_op_num_threads == 0, "how many operators run side by side is the runtime's choice"


def test_without_a_word_the_runtimes_defaults_stand(load):
    options, plain = load(TINY_ONNX)._session.get_session_options(), ort.SessionOptions()
    assert options.graph_optimization_level == plain.graph_optimization_level
    assert options.execution_mode == plain.execution_mode


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"graph_optimization": "most"}, "no graph_optimization 'most'; it knows disabled, basic, extended, all"),
        ({"execution_mode": "both"}, "no execution_mode 'both'; it knows sequential, parallel"),
    ],
)
def test_options_that_the_runtime_does_not_know_are_refused(load, options, told):
    with pytest.raises(EngineError, match=told):
        load(TINY_ONNX, **options)


def test_the_parallel_mode_counts_the_threads_of_one_operator(load):
    parallel, sequential = load(TINY_ONNX, None, execution_mode="parallel"), load(TINY_ONNX, None)
    assert parallel.facts().threads == sequential.facts().threads


def test_an_engine_is_not_asked_for_what_it_would_ignore(engine):
    refuse_unknown(engine, LoadOptions(2, "all", "parallel"))

    class Other(OnnxRuntimeEngine):
        name = "Other"
        options = frozenset({"threads"})

    refuse_unknown(Other(), LoadOptions(threads=2))
    with pytest.raises(EngineError, match=r"Other has no execution_mode to set \(asked for: parallel\)"):
        refuse_unknown(Other(), LoadOptions(execution_mode="parallel"))


def test_wishes_reach_a_real_model(load, tmp_path):
    model = load(identity(shape=("batch", 3)))
    assert model.inputs(0, Wishes(batch_size=5)).feed["x"].shape == (5, 3)
    made = model.inputs(0, Wishes({"x": Wish(shape=(2, 3), value=0.5)}))
    assert made.feed["x"].tolist() == [[0.5] * 3] * 2
    assert made.shapes == "x: 2x3 float32 = 0.5"
    np.savez(tmp_path / "x.npz", x=np.ones((4, 3), np.float16))
    made = model.inputs(0, Wishes(arrays_path=str(tmp_path / "x.npz")))
    assert made.feed["x"].dtype == np.float32
    assert made.shapes == "x: 4x3 float32 from the file"


def test_a_shape_that_a_real_model_refuses_is_told_with_its_answer(load):
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [7, 13])
    model = load(a_model([node], [tensor("x", F, ["a", "b"])], [tensor("y", F, [7, 13])], initializers=[shape]))
    with pytest.raises(EngineError, match=r"Its inputs are x: tensor\(float\) \[a, b\].*Input shape:\{13,8\}"):
        model.inputs(0, Wishes({"x": Wish(shape=(13, 8))}))
    assert model.inputs(0, Wishes({"x": Wish(shape=(13, 7))})).shapes == "x: 13x7 float32"
    assert model.first_run_ns is not None


@pytest.mark.parametrize("type_", ["BFLOAT16", "FLOAT8E4M3FN", "INT4", "STRING", "BOOL", "FLOAT16"])
def test_values_of_every_kind_are_what_the_model_sees(load, type_):
    value = {"STRING": "word", "BOOL": True}.get(type_, 3)
    node = helper.make_node("Cast", ["x"], ["y"], to=F) if type_ not in {"STRING", "BOOL"} else None
    code = getattr(TensorProto, type_)
    model = load(identity(code) if node is None else a_model([node], [tensor("x", code, [3])], [tensor("y", F, [3])]))
    (output,) = model.run(model.inputs(0, Wishes({"x": Wish(value=value)})).feed)
    assert set(np.asarray(output.numpy() if hasattr(output, "numpy") else output).reshape(-1).tolist()) == {value}
