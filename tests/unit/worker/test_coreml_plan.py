"""Core ML's compute plan, counted by device: over coremltools' own structures, with what a Mac would say of each."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("coremltools", reason="coremltools is not installed here")

from coremltools.models import compute_plan as structures

from daemons.core.units import GPU_COREML, NEURAL_ENGINE_COREML
from daemons.worker.engines.coreml_plan import CPU, GPU, NEURAL_ENGINE, UNKNOWN_DEVICE, counted, planned_devices
from tests.support import core_ml
from tests.support.core_ml import Plan, become_a_mac, cpu, gpu, neural_engine


def operation(name, *blocks):
    return structures.MLModelStructureProgramOperation({}, name, [], list(blocks), None)


def block(*operations):
    return structures.MLModelStructureProgramBlock([], list(operations), [])


def program(*operations, **more):
    functions = {"main": operations, **more}
    made = {name: structures.MLModelStructureProgramFunction([], block(*inside)) for name, inside in functions.items()}
    return structures.MLModelStructure(None, structures.MLModelStructureProgram(made), None)


def network(*names):
    layers = [structures.MLModelStructureNeuralNetworkLayer(name, "activation", [], [], None) for name in names]
    return structures.MLModelStructure(structures.MLModelStructureNeuralNetwork(layers), None, None)


def pipeline(**parts):
    return structures.MLModelStructure(None, None, structures.MLModelStructurePipeline(list(parts.items())))


@pytest.fixture
def mac(monkeypatch):
    return become_a_mac(monkeypatch)


def test_operations_are_counted_by_the_device_that_core_ml_prefers(mac):
    placed = {"ios16.conv": neural_engine(), "ios16.relu": neural_engine(), "ios16.topk": cpu(), "ios16.mul": gpu()}
    plan = Plan(program(*map(operation, placed)), placed)
    assert counted(plan) == {NEURAL_ENGINE: 2, CPU: 1, GPU: 1}


def test_constants_and_what_the_plan_knows_nothing_of_do_not_count(mac):
    names = ("const", "ios16.const", "ios18.constexpr_lut_to_dense", "ios16.constant_pad", "ios16.unplanned")
    plan = Plan(program(*map(operation, names)), {name: cpu() for name in names[:-1]})
    assert counted(plan) == {CPU: 1}


def test_loops_conditionals_and_every_function_are_walked(mac):
    inner = block(operation("ios16.conv"), operation("ios16.cond", block(operation("ios16.conv")), block()))
    structure = program(
        operation("ios16.while_loop", inner, block(operation("ios16.less"))), again=[operation("ios16.conv")]
    )
    placed = {"ios16.conv": gpu(), "ios16.less": cpu(), "ios16.while_loop": cpu()}
    assert counted(Plan(structure, placed)) == {GPU: 3, CPU: 2}


def test_the_layers_of_a_neural_network_are_counted(mac):
    assert counted(Plan(network("a", "b", "c"), {"a": gpu(), "b": gpu()})) == {GPU: 2}


def test_the_models_in_a_pipeline_are_counted_together(mac):
    structure = pipeline(first=network("a"), second=pipeline(deep=program(operation("ios16.conv"))), tree=pipeline())
    assert counted(Plan(structure, {"a": cpu(), "ios16.conv": gpu()})) == {CPU: 1, GPU: 1}


def test_a_device_that_nobody_knows_is_not_taken_for_the_units_own(mac):
    plan = Plan(network("a"), {"a": object()})
    assert counted(plan) == {UNKNOWN_DEVICE: 1}


@pytest.mark.parametrize(("unit", "compute_units"), [(GPU_COREML, "CPU_AND_GPU"), (NEURAL_ENGINE_COREML, "CPU_AND_NE")])
def test_the_plan_is_made_for_the_devices_of_the_unit(mac, monkeypatch, unit, compute_units):
    monkeypatch.setattr(mac, "plan", Plan(network("a"), {"a": gpu()}))
    assert planned_devices("/somewhere/m.mlmodelc", unit) == {GPU: 1}
    assert mac.planned == ("/somewhere/m.mlmodelc", compute_units)


@pytest.mark.parametrize(
    "plan",
    [
        RuntimeError("MLComputePlan is only available on macOS >= 14.4"),
        Plan(structures.MLModelStructure(None, None, None)),
        Plan(network("a")),
    ],
    ids=["an old macOS", "no operations", "nothing planned"],
)
def test_where_there_is_no_plan_nothing_is_said(mac, monkeypatch, plan):
    monkeypatch.setattr(mac, "plan", plan)
    assert planned_devices("m.mlmodelc", GPU_COREML) is None


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac makes plans")
def test_without_core_ml_there_is_no_plan():
    assert planned_devices("m.mlmodelc", GPU_COREML) is None


def test_counting_imports_coremltools_only_for_a_plan():
    """An engine that measures .onnx models imports this module, and coremltools would stand in its peaks."""
    script = "import sys, daemons.worker.engines.coreml_plan; print('coremltools' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_stand_in_has_what_the_real_one_is_asked_for():
    """Made without it, the real classes refuse: they want their compiled part."""
    for made in (core_ml.cpu, core_ml.gpu, core_ml.neural_engine):
        with pytest.raises(TypeError):
            made()
