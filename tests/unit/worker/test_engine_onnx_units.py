"""Which provider a unit stands for on each platform, what it is asked for, and what is refused: decided without it."""

import subprocess
import sys

import pytest

from daemons.core.units import CPU_ONNX, GPU_COREML, GPU_ONNX, NEURAL_ENGINE_COREML, STANDARD_UNITS
from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent
from daemons.worker.engines.onnx_units import AS_WRITTEN, CANDIDATES, narrowest_type, placement_of, settled

CPU, CUDA, MIGRAPHX = "CPUExecutionProvider", "CUDAExecutionProvider", "MIGraphXExecutionProvider"
ROCM, DML, COREML = "ROCMExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider"
TENSORRT, AZURE = "TensorrtExecutionProvider", "AzureExecutionProvider"

LINUX_WHEEL = (AZURE, CPU)
NVIDIA_WHEEL = (TENSORRT, CUDA, CPU)
WINDOWS_WHEEL = (DML, CPU)
MAC_WHEEL = (COREML, AZURE, CPU)


def provider(unit, available, platform="linux"):
    return placement_of(unit, available, platform, "1.32.0").provider


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (NVIDIA_WHEEL, CUDA),
        ((MIGRAPHX, CPU), MIGRAPHX),
        ((MIGRAPHX, ROCM, CPU), MIGRAPHX),
        ((ROCM, CPU), ROCM),
        (WINDOWS_WHEEL, DML),
        ((DML, CUDA, CPU), CUDA),
    ],
)
def test_the_gpu_is_the_first_provider_of_ours_that_the_runtime_has(available, expected):
    assert provider(GPU_ONNX, available) == expected


@pytest.mark.parametrize("available", [LINUX_WHEEL, NVIDIA_WHEEL, WINDOWS_WHEEL, MAC_WHEEL])
def test_the_processor_is_everywhere(available):
    placement = placement_of(CPU_ONNX, available, "linux", "1.32.0")
    assert placement.provider == CPU
    assert not placement.with_cpu, "it would be listed twice"


@pytest.mark.parametrize("unit", [GPU_COREML, NEURAL_ENGINE_COREML])
def test_core_ml_is_where_its_provider_is(unit):
    assert provider(unit, MAC_WHEEL, "darwin") == COREML
    with pytest.raises(ProviderAbsent, match="Core ML needs a Mac"):
        provider(unit, NVIDIA_WHEEL, "linux")
    with pytest.raises(ProviderAbsent, match="Install the onnxruntime of PyPI"):
        provider(unit, LINUX_WHEEL, "darwin")


@pytest.mark.parametrize(
    ("platform", "told"),
    [
        ("linux", r"onnxruntime-gpu \(NVIDIA\) or onnxruntime-migraphx \(AMD\) in place of onnxruntime\.$"),
        ("win32", r"onnxruntime-gpu \(NVIDIA\) or onnxruntime-directml \(any GPU\) in place of onnxruntime\.$"),
        ("darwin", r"On a Mac the GPU is the unit GPU \(CoreML\)\.$"),
        ("freebsd", r"it has AzureExecutionProvider, CPUExecutionProvider\.$"),
    ],
)
def test_a_refusal_names_what_would_do_what_is_there_and_what_helps(platform, told):
    with pytest.raises(ProviderAbsent, match=told) as refusal:
        placement_of(GPU_ONNX, LINUX_WHEEL, platform, "1.32.0")
    assert f"{GPU_ONNX} needs one of {CUDA}, {MIGRAPHX}, {ROCM}, {DML}" in str(refusal.value)
    assert "ONNX Runtime 1.32.0 lacks; it has AzureExecutionProvider, CPUExecutionProvider." in str(refusal.value)


def test_a_strange_unit_is_refused():
    with pytest.raises(ProviderAbsent, match=r"doesn't serve NPU \(X\); it serves CPU \(ONNX\), GPU \(ONNX\)"):
        provider("NPU (X)", LINUX_WHEEL)


def of(unit, name, **wanted):
    placement = next(one for one in CANDIDATES[unit] if one.provider == name)
    options = LoadOptions(**wanted)
    return settled(placement, options), narrowest_type(placement, options)


@pytest.mark.parametrize(
    ("unit", "name", "precision", "options", "narrowest"),
    [
        (CPU_ONNX, CPU, None, {}, AS_WRITTEN),
        (CPU_ONNX, CPU, "full", {}, AS_WRITTEN),
        (GPU_ONNX, CUDA, None, {"device_id": "0"}, "TF32"),
        (GPU_ONNX, CUDA, "full", {"device_id": "0", "use_tf32": "0"}, AS_WRITTEN),
        (GPU_ONNX, CUDA, "reduced", {"device_id": "0", "use_tf32": "1"}, "TF32"),
        (GPU_ONNX, MIGRAPHX, None, {"device_id": "0"}, AS_WRITTEN),
        (GPU_ONNX, MIGRAPHX, "full", {"device_id": "0", "migraphx_fp16_enable": "0"}, AS_WRITTEN),
        (GPU_ONNX, MIGRAPHX, "reduced", {"device_id": "0", "migraphx_fp16_enable": "1"}, "float16"),
        (GPU_ONNX, ROCM, "full", {"device_id": "0"}, AS_WRITTEN),
        (GPU_ONNX, DML, None, {"device_id": "0"}, AS_WRITTEN),
        (GPU_COREML, COREML, None, {"MLComputeUnits": "CPUAndGPU", "ModelFormat": "MLProgram"}, AS_WRITTEN),
        (
            GPU_COREML,
            COREML,
            "reduced",
            {"MLComputeUnits": "CPUAndGPU", "ModelFormat": "MLProgram", "AllowLowPrecisionAccumulationOnGPU": "1"},
            "float16",
        ),
        (
            NEURAL_ENGINE_COREML,
            COREML,
            None,
            {"MLComputeUnits": "CPUAndNeuralEngine", "ModelFormat": "NeuralNetwork"},
            "float16",
        ),
    ],
)
def test_what_the_provider_is_asked_for(unit, name, precision, options, narrowest):
    placement, type_ = of(unit, name, precision=precision)
    assert placement.options == options
    assert type_ == narrowest


@pytest.mark.parametrize(
    ("unit", "name", "precision", "told"),
    [
        (CPU_ONNX, CPU, "reduced", r"computes in the types that the model is written in and has no reduced.*say full"),
        (GPU_ONNX, ROCM, "reduced", r"has no reduced precision \(ROCMExecutionProvider\)"),
        (GPU_ONNX, DML, "reduced", r"has no reduced precision \(DmlExecutionProvider\)"),
        (NEURAL_ENGINE_COREML, COREML, "full", r"computes in float16 and has no full precision.*say reduced\.$"),
    ],
)
def test_a_precision_that_the_provider_does_not_have_is_refused(unit, name, precision, told):
    with pytest.raises(EngineError, match=told):
        of(unit, name, precision=precision)


@pytest.mark.parametrize(
    ("unit", "name", "memory"),
    [(GPU_ONNX, CUDA, "cuda"), (GPU_ONNX, DML, "dml")],
)
def test_inputs_can_lie_in_these_memories(unit, name, memory):
    placement, _ = of(unit, name, io_binding=True)
    assert placement.memory == memory


@pytest.mark.parametrize(
    ("unit", "name"),
    [(CPU_ONNX, CPU), (GPU_ONNX, MIGRAPHX), (GPU_ONNX, ROCM), (GPU_COREML, COREML), (NEURAL_ENGINE_COREML, COREML)],
)
def test_where_inputs_can_not_be_put_beforehand_the_option_is_refused(unit, name):
    with pytest.raises(EngineError, match=f"io_binding.*runs on {name} here.*leave io_binding out"):
        of(unit, name, io_binding=True)


def test_directml_runs_one_operator_at_a_time():
    with pytest.raises(EngineError, match="execution_mode: DmlExecutionProvider runs one operator at a time"):
        of(GPU_ONNX, DML, execution_mode="parallel")
    of(GPU_ONNX, DML, execution_mode="sequential")
    of(GPU_ONNX, CUDA, execution_mode="parallel")


def test_only_gpus_with_a_memory_of_their_own_move_data():
    moving = {one.provider for unit in STANDARD_UNITS for one in CANDIDATES[unit] if one.transfers}
    assert moving == {CUDA, MIGRAPHX, ROCM, DML}
    assert {one.provider for one in CANDIDATES[GPU_ONNX] if one.gpu == "nvidia"} == {CUDA}


def test_only_providers_that_run_kernels_are_counted_by_them():
    """MIGraphX and Core ML make one node of many; DirectML does, too, unless it is told not to."""
    counted = {one.provider: one.kernels for unit in STANDARD_UNITS for one in CANDIDATES[unit]}
    assert {name for name, settings in counted.items() if settings is not None} == {CUDA, ROCM, DML}
    assert counted[DML] == {"ep.dml.disable_graph_fusion": "1"}


def test_the_decision_needs_no_runtime():
    code = "import daemons.worker.engines.onnx_units, sys; print('onnxruntime' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
