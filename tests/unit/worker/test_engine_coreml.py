"""The engine for Core ML models: coremltools' real classes over a stand-in for the part that only macOS has."""

from __future__ import annotations

import inspect
import json
import platform
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("coremltools", reason="coremltools is not installed here")

import coremltools as ct
from coremltools.models import MLModel
from coremltools.models.compute_plan import (
    MLModelStructure,
    MLModelStructureNeuralNetwork,
    MLModelStructureNeuralNetworkLayer,
)

from daemons.core.units import CPU_ONNX, GPU_COREML, NEURAL_ENGINE_COREML
from daemons.worker.bench.placement import require_placement
from daemons.worker.engines import coreml
from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent, Wish, Wishes, refuse_unknown
from daemons.worker.engines.coreml import CoreMlEngine
from daemons.worker.engines.coreml_errors import MAX_DETAIL, sentence, shortened
from daemons.worker.engines.coreml_example import write_example
from daemons.worker.engines.coreml_features import Signature
from daemons.worker.engines.coreml_model import CoreMlModel, hints_for, require_precision
from daemons.worker.engines.coreml_plan import CPU, GPU, NEURAL_ENGINE
from tests.support.core_ml import Plan, become_a_mac, compiled, cpu, gpu, neural_engine

METADATA = json.dumps(
    [
        {
            "inputSchema": [{"name": "a", "type": "MultiArray", "dataType": "Float32", "shape": "[2]"}],
            "outputSchema": [{"name": "b", "type": "MultiArray", "dataType": "Float32", "shape": "[2]"}],
            "stateSchema": [],
            "modelType": {"name": "MLModelType_neuralNetwork"},
        }
    ]
)
needs_no_mac = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Core ML")


@pytest.fixture
def mac(monkeypatch):
    return become_a_mac(monkeypatch)


@pytest.fixture
def example(tmp_path):
    return write_example(str(tmp_path))


@pytest.fixture
def load(mac, example):
    def load(unit=GPU_COREML, path=example, precision=None):
        return CoreMlEngine().load(path, unit, LoadOptions(precision=precision))

    return load


def planned(**placed):
    layers = [MLModelStructureNeuralNetworkLayer(name, "add", ["a"], ["b"], None) for name in placed]
    return Plan(MLModelStructure(MLModelStructureNeuralNetwork(layers), None, None), placed)


def changed(path, change):
    """The model at `path` after `change` to its specification."""
    spec = ct.utils.load_spec(path)
    change(spec)
    ct.utils.save_spec(spec, path)
    return path


# Where there is no Core ML


@needs_no_mac
@pytest.mark.parametrize("unit", CoreMlEngine.units)
def test_elsewhere_the_units_are_absent_and_say_that_core_ml_needs_macos(unit):
    told = rf"Core ML needs macOS; this device runs {platform.system()}"
    with pytest.raises(ProviderAbsent, match=told):
        CoreMlEngine().probe(unit)
    with pytest.raises(ProviderAbsent, match=told):
        CoreMlEngine().load("m.mlpackage", unit, LoadOptions())
    with pytest.raises(ProviderAbsent, match=told):
        CoreMlEngine().load_reference("m.mlpackage")


@needs_no_mac
def test_elsewhere_coremltools_is_not_imported_to_find_that_out():
    script = """
import sys
from daemons.worker.engines.coreml import CoreMlEngine
engine = CoreMlEngine()
engine.version()
for unit in engine.units:
    try: engine.probe(unit)
    except Exception as error: print(error)
print("coremltools" in sys.modules, "numpy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.count("needs macOS") == 2
    assert done.stdout.endswith("False False\n")


@needs_no_mac
def test_elsewhere_the_version_is_that_of_coremltools_if_it_is_there(monkeypatch):
    assert CoreMlEngine().version() == ct.__version__
    monkeypatch.setattr(CoreMlEngine, "packages", ("no-such-distribution",))
    assert CoreMlEngine().version() == "not installed"


# On a Mac


def test_the_engine_on_a_mac(mac):
    engine = CoreMlEngine()
    assert engine.version() == ct.__version__
    assert engine.units == (GPU_COREML, NEURAL_ENGINE_COREML)
    refuse_unknown(engine, LoadOptions(precision="reduced"))
    with pytest.raises(EngineError, match="Core ML has no threads to set"):
        refuse_unknown(engine, LoadOptions(threads=2))


@pytest.mark.parametrize(("unit", "compute_units"), [(GPU_COREML, "CPU_AND_GPU"), (NEURAL_ENGINE_COREML, "CPU_AND_NE")])
def test_a_model_is_loaded_for_the_devices_of_its_unit_and_no_others(mac, load, example, unit, compute_units):
    load(unit)
    (native,) = mac.made
    assert (native.path, native.compute_units, native.hints) == (example, compute_units, {})


def test_the_reference_is_the_same_model_on_the_cpu_alone(mac, example):
    reference = CoreMlEngine().load_reference(example)
    assert mac.made[0].compute_units == "CPU_ONLY"
    assert reference.facts().providers == (CPU,)
    assert reference.outputs(reference.inputs(seed=0).feed)["b"].shape == (2,)


def test_a_model_runs_and_its_figures_are_those_of_the_model(mac, load):
    model = load()
    made = model.inputs(seed=7)
    assert made.shapes == "a: 2 float32"
    np.testing.assert_array_equal(model.run(made.feed)["b"], made.values["a"].array * 2)
    assert list(model.outputs(made.feed)) == ["b"]
    assert model.first_run_ns is None, "nothing was guessed, so the first run is still to come"
    assert mac.made[0].seen[0][1] is None, "the model has no state"
    assert model.feed(made.values).data.keys() == made.feed.data.keys()


def test_the_feed_is_the_same_for_every_run(mac, load):
    """coremltools changes what it is given: half precision would be turned into floats inside the first timed run."""
    model = load()
    feed = model.inputs(seed=0).feed
    before = {name: (id(array), array.dtype) for name, array in feed.data.items()}
    model.run(feed)
    assert {name: (id(array), array.dtype) for name, array in feed.data.items()} == before


def test_wishes_reach_the_model(load):
    model = load()
    assert model.inputs(0, Wishes({"a": Wish(value=0.5)})).feed.data["a"].tolist() == [0.5, 0.5]
    with pytest.raises(EngineError, match=r"inputs\.c: the model has no such input"):
        model.inputs(0, Wishes({"c": Wish(value=0.5)}))


def test_a_shape_that_the_model_does_not_name_never_reaches_core_ml(mac, load, example):
    def change(spec):
        sizes = spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges.add()
        sizes.lowerBound, sizes.upperBound = 1, 8

    model = load(path=changed(example, change))
    assert model.inputs(0, Wishes({"a": Wish(shape=(8,))})).shapes == "a: 8 float32"
    seen = len(mac.made[0].seen)
    with pytest.raises(EngineError, match=r"takes a shape in \[1\.\.8\], and not \[9\]"):
        model.inputs(0, Wishes({"a": Wish(shape=(9,))}))
    assert len(mac.made[0].seen) == seen


def test_closing_lets_go_of_what_core_ml_compiled_and_may_happen_twice(mac, load):
    """The compiled model is deleted when coremltools' object goes."""
    gone = []

    class Watched(mac):
        def __del__(self):
            gone.append(self.path)

    model = load()
    model._model.__proxy__ = Watched("x", "CPU_AND_GPU", "", {}, None)
    mac.made.clear()
    model.close()
    assert gone == ["x"]
    model.close()


# Compiled models


def test_a_compiled_model_is_loaded_as_it_is(mac, load, example, tmp_path):
    path = compiled(example, tmp_path, METADATA)
    model = load(NEURAL_ENGINE_COREML, path)
    assert (mac.made[0].path, mac.made[0].compute_units) == (path, "CPU_AND_NE")
    made = model.inputs(seed=1)
    assert made.shapes == "a: 2 float32"
    np.testing.assert_array_equal(model.outputs(made.feed)["b"], made.values["a"].array * 2)


def test_a_compiled_model_without_its_metadata_asks_for_its_source(load, example, tmp_path):
    with pytest.raises(EngineError, match=r"no metadata\.json.*send the \.mlpackage"):
        load(path=compiled(example, tmp_path, None))


def test_a_compiled_model_that_core_ml_refuses_is_told(mac, load, example, tmp_path, monkeypatch):
    monkeypatch.setattr(mac, "fails", RuntimeError('{ NSLocalizedDescription = "Failed to load the model"; }'))
    with pytest.raises(EngineError, match=r"Core ML could not load the model\. \(Core ML: Failed to load the model\)"):
        load(path=compiled(example, tmp_path, METADATA))


# A state


@pytest.fixture
def stateful(example):
    return changed(example, lambda spec: spec.description.state.add(name="cache"))


def test_runs_share_the_state_that_their_inputs_came_with_and_a_comparison_has_a_fresh_one(mac, load, stateful):
    model = load(path=stateful)
    made = model.inputs(seed=0)
    model.run(made.feed)
    model.run(made.feed)
    model.outputs(made.feed)
    assert [state for _, state in mac.made[0].seen] == ["state 1", "state 1", "state 2"]


def test_a_macos_that_knows_no_state_is_told(mac, load, stateful, monkeypatch):
    monkeypatch.setattr(sys.modules[MLModel.__module__], "_macos_version", lambda: (14, 5))
    with pytest.raises(EngineError, match="This macOS is too old"):
        load(path=stateful).inputs(seed=0)


# What ran where


def test_the_plan_tells_how_much_the_units_own_device_takes(mac, load, example, monkeypatch):
    monkeypatch.setattr(mac, "plan", planned(one=cpu(), two=neural_engine(), three=neural_engine()))
    facts = load(NEURAL_ENGINE_COREML).facts()
    assert facts.providers == (NEURAL_ENGINE, CPU)
    assert facts.nodes == ((NEURAL_ENGINE, 2), (CPU, 1))
    assert facts.provider_share == pytest.approx(2 / 3)
    assert (facts.precision, facts.notes, facts.transfer, facts.compile_cache) == ("float16", (), None, None)
    assert mac.planned == (f"{example}.compiled.mlmodelc", "CPU_AND_NE")
    require_placement(facts, NEURAL_ENGINE_COREML, "majority")


def test_a_model_that_core_ml_puts_on_the_cpu_falls_short_of_its_unit(mac, load, monkeypatch):
    monkeypatch.setattr(mac, "plan", planned(one=cpu(), two=cpu()))
    facts = load().facts()
    assert facts.provider_share == 0.0
    assert facts.precision is None
    with pytest.raises(ProviderAbsent, match=r"Core ML GPU took only 0\.0% .*Core ML CPU 2"):
        require_placement(facts, GPU_COREML, "majority")


def test_a_third_device_is_told_too(mac, load, monkeypatch):
    monkeypatch.setattr(mac, "plan", planned(one=gpu(), two=neural_engine()))
    assert load().facts().providers == (GPU, CPU, NEURAL_ENGINE)


def test_without_a_plan_nothing_is_proved(mac, load, monkeypatch):
    monkeypatch.setattr(mac, "plan", RuntimeError("MLComputePlan is only available on macOS >= 14.4"))
    facts = load().facts()
    assert facts.providers == (GPU, CPU)
    assert facts.nodes == ()
    assert "no compute plan" in facts.notes[0]
    with pytest.raises(ProviderAbsent, match="nothing proves that the model ran on GPU"):
        require_placement(facts, GPU_COREML, "majority")
    require_placement(facts, GPU_COREML, "any")


def test_a_compiled_models_plan_is_that_of_its_own_folder(mac, load, example, tmp_path, monkeypatch):
    monkeypatch.setattr(mac, "plan", planned(one=gpu()))
    path = compiled(example, tmp_path, METADATA)
    assert load(path=path).facts().provider_share == 1.0
    assert mac.planned == (path, "CPU_AND_GPU")


# Precision


def test_reduced_precision_reaches_core_ml_on_the_gpu_whatever_the_file(mac, load, example, tmp_path):
    for path in (example, compiled(example, tmp_path, METADATA)):
        load(GPU_COREML, path, "reduced")
        assert mac.made[-1].hints == {"allowLowPrecisionAccumulationOnGPU": "True"}


def test_the_neural_engine_always_computes_in_half_precision(mac, load):
    load(NEURAL_ENGINE_COREML, precision="reduced")
    assert mac.made[0].hints == {}
    with pytest.raises(EngineError, match=r"computes in float16.*can't be had on Neural Engine \(CoreML\)"):
        load(NEURAL_ENGINE_COREML, precision="full")


def test_full_precision_is_kept_by_ml_programs_alone(load):
    with pytest.raises(EngineError, match="a model of the kind neuralNetwork by itself"):
        load(GPU_COREML, precision="full")
    assert hints_for(GPU_COREML, "full") is None
    require_precision(GPU_COREML, "full", Signature((), (), is_stateful=False, model_type="mlProgram"))


def test_a_macos_without_the_option_is_told(load, monkeypatch):
    monkeypatch.setattr(sys.modules[MLModel.__module__], "_macos_version", lambda: (14, 5))
    with pytest.raises(EngineError, match="This macOS is too old for what the model or the job asks for"):
        load(GPU_COREML, precision="reduced")


# Refusals


def test_what_core_ml_refuses_is_told_in_its_words_without_folders(mac, load, tmp_path, monkeypatch):
    monkeypatch.setattr(
        mac, "fails", RuntimeError(f'Error compiling model: "bad layer in {tmp_path}/example.mlmodel".')
    )
    with pytest.raises(EngineError, match=r"could not compile the model.*bad layer in example\.mlmodel") as refusal:
        load()
    assert str(tmp_path) not in str(refusal.value)
    assert "You will not be able" not in str(refusal.value), "coremltools' warning tells nothing more"


def test_a_specification_that_is_too_new_is_told(mac, load, monkeypatch):
    monkeypatch.setattr(mac, "newest_specification", 3)
    with pytest.raises(EngineError, match=r"specification version 4, which this macOS doesn't know yet"):
        load()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"this is no model"),
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
    ],
    ids=["text", "cut off"],
)
def test_a_file_that_is_no_core_ml_model_is_told(load, example, tmp_path, spoil):
    spoil(tmp_path / "example.mlmodel")
    with pytest.raises(EngineError, match="not a Core ML model, or it was cut off"):
        load(path=example)


def test_a_package_that_is_none_or_a_file_that_is_gone_is_told(load, tmp_path):
    (tmp_path / "Net.mlpackage").mkdir()
    with pytest.raises(EngineError, match="not a Core ML model, or it was cut off") as refusal:
        load(path=str(tmp_path / "Net.mlpackage"))
    assert str(tmp_path) not in str(refusal.value)
    with pytest.raises(EngineError, match="A file of the model is not there"):
        load(path=str(tmp_path / "gone.mlmodel"))


def test_a_run_that_fails_is_told(mac, load, monkeypatch):
    model = load()
    feed = model.inputs(seed=0).feed
    words = '{ NSLocalizedDescription = "MultiArray shape (3) does not match the shape (2) specified"; }'

    def refuse(data):
        raise RuntimeError(words)

    monkeypatch.setattr(mac, "answers", staticmethod(refuse))
    with pytest.raises(EngineError, match=r"The model refused its inputs\. \(Core ML: MultiArray shape \(3\)"):
        model.run(feed)


def test_a_unit_that_is_not_served_is_an_error(mac):
    with pytest.raises(ProviderAbsent, match=r"doesn't serve CPU \(ONNX\); it serves GPU \(CoreML\), Neural"):
        CoreMlEngine().probe(CPU_ONNX)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("No module named 'PIL'", "needs Pillow"),
        ("std::bad_alloc", "ran out of memory"),
        ("value type not convertible", "refused its inputs"),
        ("something else", "Core ML could not run the model"),
    ],
)
def test_meanings_of_messages(words, told):
    assert told in sentence(RuntimeError(words), "run")


def test_core_mls_words_are_kept_short():
    assert shortened('{ NSLocalizedDescription = "a \\"b\\"";\n NSUnderlyingError = "c"; }') == 'a \\"b\\"'
    assert len(shortened("x" * 5000)) == MAX_DETAIL


# Probes


@pytest.mark.parametrize("unit", CoreMlEngine.units)
def test_a_probe_really_runs_a_model_on_the_unit(mac, unit):
    CoreMlEngine().probe(unit)
    (native,) = mac.made
    assert len(native.seen) == 1
    assert native.compute_units == {GPU_COREML: "CPU_AND_GPU", NEURAL_ENGINE_COREML: "CPU_AND_NE"}[unit]


def test_a_mac_without_a_neural_engine_does_not_offer_it(mac, monkeypatch):
    monkeypatch.setattr(mac, "devices", (cpu(), gpu()))
    with pytest.raises(ProviderAbsent, match="Core ML has only Core ML CPU, Core ML GPU on this Mac"):
        CoreMlEngine().probe(NEURAL_ENGINE_COREML)
    assert mac.made == []
    CoreMlEngine().probe(GPU_COREML)


def test_before_macos_14_the_processor_tells_of_the_neural_engine(mac, monkeypatch):
    monkeypatch.setattr(mac, "devices", RuntimeError("MLComputeDevice is only available on macOS >= 14.0"))
    monkeypatch.setattr(coreml.platform, "machine", lambda: "x86_64")
    with pytest.raises(ProviderAbsent, match="Intel"):
        CoreMlEngine().probe(NEURAL_ENGINE_COREML)
    CoreMlEngine().probe(GPU_COREML)
    monkeypatch.setattr(coreml.platform, "machine", lambda: "arm64")
    CoreMlEngine().probe(NEURAL_ENGINE_COREML)


def test_coremltools_without_its_compiled_part_is_told(mac, monkeypatch):
    monkeypatch.setattr(sys.modules[MLModel.__module__], "_MLModelProxy", None)
    with pytest.raises(EngineError, match="install its wheel for macOS"):
        CoreMlEngine().probe(GPU_COREML)


# The example and coremltools' own interface


def test_the_example_is_a_model_that_coremltools_reads_back(tmp_path):
    spec = ct.utils.load_spec(CoreMlEngine().example(str(tmp_path)))
    assert spec.WhichOneof("Type") == "neuralNetwork"
    assert [one.name for one in (*spec.description.input, *spec.description.output)] == ["a", "b"]
    assert [layer.WhichOneof("layer") for layer in spec.neuralNetwork.layers] == ["add"]


def test_what_is_called_of_coremltools_has_these_parameters():
    """A renamed one must be found here, and not on somebody's Mac."""
    hints = {"allowLowPrecisionAccumulationOnGPU": True}
    for kind in (ct.models.MLModel, ct.models.CompiledMLModel):
        inspect.signature(kind).bind("m", compute_units=ct.ComputeUnit.CPU_AND_NE, optimization_hints=hints)
        inspect.signature(kind.predict).bind(None, {}, state=None)
        inspect.signature(kind.make_state).bind(None)
    inspect.signature(MLModel.get_compiled_model_path).bind(None)
    inspect.signature(MLModel.get_available_compute_devices).bind()
    plan = ct.models.compute_plan.MLComputePlan
    inspect.signature(plan.load_from_path).bind("m.mlmodelc", compute_units=ct.ComputeUnit.CPU_AND_GPU)


@needs_no_mac
def test_what_is_read_of_coremltools_loaded_model_is_there(example):
    """Its own way to the specification copies the weights, and to Core ML's words there is none."""
    model = MLModel(example)
    assert model.__proxy__ is None
    assert model._framework_error is None
    assert model._spec == model.get_spec()


def test_the_model_is_imported_with_the_engine_on_a_mac(mac, monkeypatch):
    """Importing coremltools takes a second, which must not stand in the first load."""
    seen = []
    monkeypatch.setattr(coreml, "import_coremltools", lambda: seen.append(True))
    CoreMlEngine()
    assert seen == [True]
    assert CoreMlModel.__module__ in sys.modules
