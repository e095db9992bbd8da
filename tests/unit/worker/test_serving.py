"""Which engine runs a model on a unit, of all of them or of those that a package brings."""

from __future__ import annotations

import pytest

from daemons.worker.engines.serving import ONNX_RUNTIME_ALONE, NotItsPackage, NotServed, Serves, engine_for

ONNX = Serves("o:O", "ONNX Runtime", (".onnx",), ("onnxruntime", "onnxruntime-gpu"))
COREML = Serves("c:C", "Core ML", (".mlmodel", ".mlpackage"), ("coremltools",))
SERVING = {"CPU (ONNX)": [ONNX], "GPU (CoreML)": [ONNX, COREML]}


@pytest.mark.parametrize(
    ("unit", "name", "package", "engine"),
    [
        ("CPU (ONNX)", "m.onnx", None, ONNX),
        ("CPU (ONNX)", "m", None, ONNX),
        ("GPU (CoreML)", "M.MLPackage/", None, COREML),
        ("GPU (CoreML)", "m.onnx", "onnxruntime", ONNX),
        ("GPU (CoreML)", "m.mlpackage", "CoreMLTools", COREML),
        ("GPU (CoreML)", "m", "coremltools", COREML),
        ("CPU (ONNX)", "m.onnx", "ONNXRuntime_GPU", ONNX),
    ],
)
def test_the_engine_for_a_model(unit, name, package, engine):
    assert engine_for(SERVING, unit, name, package) is engine


@pytest.mark.parametrize(
    ("unit", "name", "package", "told"),
    [
        ("GPU (ONNX)", "m.onnx", None, "no engine here serves GPU (ONNX); served are CPU (ONNX), GPU (CoreML)."),
        ("GPU (ONNX)", "m.onnx", "onnxruntime-gpu", "no engine here serves GPU (ONNX)"),
        ("CPU (ONNX)", "m.mlpackage", None, "on this device GPU (CoreML) would."),
        ("CPU (ONNX)", "m.xml", None, "no unit of this device does."),
        ("GPU (CoreML)", "m.mlpackage", "onnxruntime", "ONNX Runtime, which comes from onnxruntime, doesn't run"),
    ],
)
def test_a_model_that_nothing_runs(unit, name, package, told):
    with pytest.raises(NotServed) as refusal:
        engine_for(SERVING, unit, name, package)
    assert told in str(refusal.value)


def test_a_package_that_no_engine_of_the_unit_comes_from_is_told_with_those_that_they_do_come_from():
    with pytest.raises(NotItsPackage) as refusal:
        engine_for(SERVING, "GPU (CoreML)", "m.onnx", "openvino")
    assert str(refusal.value) == (
        "GPU (CoreML) is served by ONNX Runtime, from onnxruntime or onnxruntime-gpu; by Core ML, from coremltools; "
        "no engine for it comes from openvino."
    )


def test_the_engine_that_is_always_there_comes_from_onnxruntime():
    assert engine_for(ONNX_RUNTIME_ALONE, "CPU (ONNX)", "m.onnx", "onnxruntime").name == "ONNX Runtime"
