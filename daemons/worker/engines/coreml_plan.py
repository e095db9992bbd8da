"""Where Core ML means to run the parts of a model: its compute plan, counted by device.

The plan is what Core ML intends with the compute units that the model is loaded for; macOS tells nothing of what has
run. Walking a plan and counting is pure; coremltools is imported when a plan is asked for and not before, since an
engine that runs .onnx models measures without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from daemons.core.units import GPU_COREML, NEURAL_ENGINE_COREML

CPU: Final = "Core ML CPU"
GPU: Final = "Core ML GPU"
NEURAL_ENGINE: Final = "Core ML Neural Engine"
UNKNOWN_DEVICE: Final = "another Core ML device"

OWN_DEVICE: Final = {GPU_COREML: GPU, NEURAL_ENGINE_COREML: NEURAL_ENGINE}
"""Compute unit → the device that it stands for."""

COMPUTE_UNITS: Final = {GPU_COREML: "CPU_AND_GPU", NEURAL_ENGINE_COREML: "CPU_AND_NE"}
"""Compute unit → the name of coremltools' own. Core ML always keeps the CPU for what the other can't do."""

_DEVICES: Final = {
    "MLCPUComputeDevice": CPU,
    "MLGPUComputeDevice": GPU,
    "MLNeuralEngineComputeDevice": NEURAL_ENGINE,
}


def planned_devices(compiled_path: str, unit: str) -> dict[str, int] | None:
    """Device → how many operations of the compiled model (an .mlmodelc folder) Core ML means to run on it.

    Constants, and operations of which the plan tells nothing, don't count. None where there is no plan: before macOS
    14.4, or where Core ML makes none of this model.
    """
    try:
        from coremltools import ComputeUnit  # noqa: PLC0415 (see above)
        from coremltools.models.compute_plan import MLComputePlan  # noqa: PLC0415

        plan = MLComputePlan.load_from_path(compiled_path, compute_units=ComputeUnit[COMPUTE_UNITS[unit]])
    except (ImportError, RuntimeError, ValueError):
        return None
    return counted(plan) or None


def counted(plan: Any) -> dict[str, int]:
    """Device → how many operations `plan`, a coremltools `MLComputePlan`, prefers it for."""
    counts: dict[str, int] = {}
    for usage in _usages(plan.model_structure, plan):
        if usage is not None:
            device = device_label(usage.preferred_compute_device)
            counts[device] = counts.get(device, 0) + 1
    return counts


def device_label(device: Any) -> str:
    """What a coremltools `MLComputeDevice` is called in a row."""
    return _DEVICES.get(type(device).__name__, UNKNOWN_DEVICE)


def _usages(structure: Any, plan: Any) -> Iterator[Any]:
    """The plan for each operation or layer of a model and, where it is a pipeline, of the models in it."""
    if structure.program is not None:
        for function in structure.program.functions.values():
            yield from _usages_in_block(function.block, plan)
    if structure.neuralnetwork is not None:
        for layer in structure.neuralnetwork.layers:
            yield plan.get_compute_device_usage_for_neuralnetwork_layer(layer)
    if structure.pipeline is not None:
        for _name, part in structure.pipeline.sub_models:
            yield from _usages(part, plan)


def _usages_in_block(block: Any, plan: Any) -> Iterator[Any]:
    for operation in block.operations:
        if not _is_constant(operation.operator_name):
            yield plan.get_compute_device_usage_for_mlprogram_operation(operation)
        for inner in operation.blocks:
            yield from _usages_in_block(inner, plan)


def _is_constant(operator_name: str) -> bool:
    """Whether it is evaluated before anything runs: ``const``, ``ios16.constexpr_lut_to_dense``."""
    name = operator_name.rpartition(".")[2]
    return name == "const" or name.startswith("constexpr_")
