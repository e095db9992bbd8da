"""What is made of Core ML's plans. Core ML is on Macs; here its part is played, and what is asked of it is seen."""

import sys
import types
from pathlib import Path

import onnxruntime as ort
import pytest

from daemons.core.units import GPU_COREML, NEURAL_ENGINE_COREML
from daemons.worker.bench.placement import require_placement
from daemons.worker.engines import onnx_coreml
from daemons.worker.engines.base import EngineError, Facts, LoadOptions, ProviderAbsent
from daemons.worker.engines.onnx import OnnxRuntimeEngine
from daemons.worker.engines.onnx_coreml import judged, require_device
from daemons.worker.engines.onnx_proof import Proof, Subject, proof_of
from daemons.worker.engines.onnx_units import CANDIDATES

CPU, COREML = "CPUExecutionProvider", "CoreMLExecutionProvider"


def subject(unit=GPU_COREML):
    return Subject("model.onnx", CANDIDATES[unit][0], LoadOptions(threads=1), (COREML, CPU), None)


def facts(proof):
    return Facts(proof.providers, proof.nodes, notes=proof.notes)


def test_the_plan_counts_instead_of_what_core_ml_took():
    plans = [{"Core ML GPU": 30, "Core ML CPU": 2}, {"Core ML GPU": 10}]
    proof = judged(subject(), {COREML: 50, CPU: 8}, plans)
    assert proof == Proof(("Core ML GPU", "Core ML CPU", CPU), (("Core ML GPU", 40), ("Core ML CPU", 2), (CPU, 8)))
    assert facts(proof).provider_share == 0.8


def test_a_model_that_core_ml_keeps_on_the_processor_has_no_share():
    """It was asked for the Neural Engine, it took every node, and it runs none of them there."""
    proof = judged(subject(NEURAL_ENGINE_COREML), {COREML: 5}, [{"Core ML CPU": 7}])
    assert proof.providers == ("Core ML Neural Engine", "Core ML CPU")
    assert facts(proof).provider_share == 0.0
    with pytest.raises(ProviderAbsent, match=r"Core ML Neural Engine took only 0\.0%.*Core ML CPU 7"):
        require_placement(facts(proof), NEURAL_ENGINE_COREML, "majority")


def test_a_model_of_which_core_ml_took_nothing_needs_no_plan():
    proof = judged(subject(), {CPU: 5}, [])
    assert proof == Proof((COREML, CPU), ((CPU, 5),))
    assert facts(proof).provider_share == 0.0


@pytest.mark.parametrize(
    ("nodes", "plans", "told"),
    [
        ({COREML: 5}, [None], "macOS gives no plan of it"),
        ({COREML: 5}, [{"Core ML GPU": 3}, None], "macOS gives no plan of it"),
        ({COREML: 5}, [], "keeps no compiled model"),
        ({}, [{"Core ML GPU": 3}], "doesn't tell which nodes it gave to Core ML"),
    ],
)
def test_without_a_whole_plan_the_share_is_unknown(nodes, plans, told):
    proof = judged(subject(), nodes, plans)
    assert proof.providers == (COREML, CPU)
    assert proof.nodes == ()
    assert facts(proof).provider_share is None
    with pytest.raises(ProviderAbsent, match=f"nothing proves.*Core ML GPU.*{told}.*placement: any"):
        require_placement(facts(proof), GPU_COREML, "majority")
    require_placement(facts(proof), GPU_COREML, "any")


class Part:
    def __init__(self, ep_name, count):
        self.ep_name, self._count = ep_name, count

    def get_nodes(self):
        return [None] * self._count


@pytest.fixture
def core_ml(monkeypatch):
    """A runtime that leaves two compiled parts in its cache, and macOS that has a plan for each."""
    seen = types.SimpleNamespace(options=None, settings=None, planned=[])

    def make_session(_model, placement, _options, settings):
        seen.options, seen.settings = placement.options, settings
        for part in ("0_dynamic_mlprogram", "1_dynamic_mlprogram"):
            (Path(placement.options["ModelCacheDirectory"]) / "key" / part / "model/compiled_model.mlmodelc").mkdir(
                parents=True
            )
        return types.SimpleNamespace(
            get_provider_graph_assignment_info=lambda: [Part(COREML, 4), Part(CPU, 1), Part(COREML, 2)]
        )

    def planned_devices(path, unit):
        seen.planned.append((Path(path).is_dir(), Path(path).parts[-3], unit))
        return {"Core ML GPU": 3}

    monkeypatch.setattr(onnx_coreml, "make_session", make_session)
    monkeypatch.setattr(onnx_coreml, "planned_devices", planned_devices)
    return seen


def test_each_part_that_the_runtime_compiled_is_asked_about(core_ml):
    proof = proof_of(subject())
    assert proof == Proof(("Core ML GPU", CPU), (("Core ML GPU", 6), (CPU, 1)))
    assert core_ml.planned == [
        (True, "0_dynamic_mlprogram", GPU_COREML),
        (True, "1_dynamic_mlprogram", GPU_COREML),
    ]
    assert core_ml.settings == {"session.record_ep_graph_assignment_info": "1"}


def test_the_cache_is_the_proofs_own_and_gone_afterwards(core_ml):
    proof_of(subject())
    folder = core_ml.options["ModelCacheDirectory"]
    assert {**core_ml.options, "ModelCacheDirectory": ""} == {
        "MLComputeUnits": "CPUAndGPU",
        "ModelFormat": "MLProgram",
        "ModelCacheDirectory": "",
    }
    assert not Path(folder).exists()


def test_a_runtime_that_knows_no_cache_leaves_the_share_unknown(monkeypatch):
    def refuses(*_arguments, **_more):
        raise EngineError("Unknown option: ModelCacheDirectory")

    monkeypatch.setattr(onnx_coreml, "make_session", refuses)
    proof = proof_of(subject())
    assert "Unknown option: ModelCacheDirectory" in proof.notes[0]
    assert facts(proof).provider_share is None


@pytest.mark.parametrize(("alone", "share"), [(True, 1.0), (False, None)])
def test_a_runtime_without_a_record_is_asked_whether_core_ml_takes_all(core_ml, monkeypatch, alone, share):
    monkeypatch.setattr(onnx_coreml, "node_counts", lambda _session: ())
    monkeypatch.setattr(onnx_coreml, "is_alone", lambda _subject: alone)
    assert facts(proof_of(subject())).provider_share == share


@pytest.fixture
def devices(monkeypatch):
    """A coremltools that knows these devices."""

    def devices(*names):
        module = types.ModuleType("coremltools.models.compute_device")
        found = [type(name, (), {})() for name in names]
        module.MLComputeDevice = types.SimpleNamespace(get_all_compute_devices=lambda: found)
        for name in ("coremltools", "coremltools.models"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return devices


def test_a_device_that_macos_does_not_know_is_absent(devices):
    devices("MLCPUComputeDevice", "MLGPUComputeDevice")
    require_device(GPU_COREML)
    with pytest.raises(ProviderAbsent, match=r"Neural Engine \(CoreML\): Core ML knows no such device here"):
        require_device(NEURAL_ENGINE_COREML)


def test_a_probe_asks_for_the_device_first(devices, monkeypatch):
    """A tiny model proves nothing by itself: Core ML would keep it on the processor of any Mac."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [COREML, CPU])
    devices("MLCPUComputeDevice")
    with pytest.raises(ProviderAbsent, match="knows no such device here; it knows MLCPUComputeDevice"):
        OnnxRuntimeEngine().probe(NEURAL_ENGINE_COREML)


def test_where_nobody_knows_the_devices_the_run_decides(devices, monkeypatch):
    devices()
    require_device(GPU_COREML)
    monkeypatch.setitem(sys.modules, "coremltools.models.compute_device", None)
    require_device(GPU_COREML)
