"""What each compute unit means to ONNX Runtime: its providers, the best first, and what each can be asked for.

Pure: nothing here looks at the device or imports the runtime, so every decision can be tested on any machine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from daemons.core.units import CPU_ONNX, GPU_COREML, GPU_ONNX, NEURAL_ENGINE_COREML
from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent

CPU_PROVIDER: Final = "CPUExecutionProvider"
CUDA_PROVIDER: Final = "CUDAExecutionProvider"
COREML_PROVIDER: Final = "CoreMLExecutionProvider"

AS_WRITTEN: Final = "as written"
"""Computes in the types that the model is written in."""


class Precision(NamedTuple):
    """What computing in full or reduced precision means to a provider."""

    narrowest: str
    """The narrowest floating-point type that may be computed in."""
    options: Mapping[str, str] = {}
    """Of the provider."""


class Placement(NamedTuple):
    """A provider that a unit may stand for."""

    unit: str
    provider: str
    precisions: Mapping[str | None, Precision]
    """By a job's `precision`; None is for one that doesn't say. What isn't here is refused."""
    options: Mapping[str, str] = {}
    with_cpu: bool = True
    """Whether nodes that the provider doesn't know may go to the CPU, as the runtime does with shape arithmetic."""
    memory: str | None = None
    """What the runtime calls the provider's own memory, where inputs can be put before a run."""
    gpu: str | None = None
    """Whose GPU it is, as `Facts.gpu` has it."""
    transfers: bool = False
    """Whether a run moves its inputs and outputs to and from another memory."""
    one_by_one: bool = False
    """Whether operators can't run side by side, and memory can't be planned ahead."""
    kernels: Mapping[str, str] | None = None
    """Session settings under which the provider runs each node as a kernel of its own; None if it always fuses them."""


_CPU: Final = Placement(
    CPU_ONNX, CPU_PROVIDER, {None: Precision(AS_WRITTEN), "full": Precision(AS_WRITTEN)}, with_cpu=False
)

# Without a word the runtime lets the tensor cores compute products of float32 in TF32, and old ones know no option.
_CUDA: Final = Placement(
    GPU_ONNX,
    CUDA_PROVIDER,
    {
        None: Precision("TF32"),
        "full": Precision(AS_WRITTEN, {"use_tf32": "0"}),
        "reduced": Precision("TF32", {"use_tf32": "1"}),
    },
    {"device_id": "0"},
    memory="cuda",
    gpu="nvidia",
    transfers=True,
    kernels={},
)
_MIGRAPHX: Final = Placement(
    GPU_ONNX,
    "MIGraphXExecutionProvider",
    {
        None: Precision(AS_WRITTEN),
        "full": Precision(AS_WRITTEN, {"migraphx_fp16_enable": "0"}),
        "reduced": Precision("float16", {"migraphx_fp16_enable": "1"}),
    },
    {"device_id": "0"},
    transfers=True,
)
_ROCM: Final = Placement(
    GPU_ONNX,
    "ROCMExecutionProvider",
    {None: Precision(AS_WRITTEN), "full": Precision(AS_WRITTEN)},
    {"device_id": "0"},
    transfers=True,
    kernels={},
)
_DIRECTML: Final = Placement(
    GPU_ONNX,
    "DmlExecutionProvider",
    {None: Precision(AS_WRITTEN), "full": Precision(AS_WRITTEN)},
    {"device_id": "0"},
    memory="dml",
    transfers=True,
    one_by_one=True,
    kernels={"ep.dml.disable_graph_fusion": "1"},
)

# An ML program says the type of each value, and Core ML keeps to it.
_COREML_GPU: Final = Placement(
    GPU_COREML,
    COREML_PROVIDER,
    {
        None: Precision(AS_WRITTEN),
        "full": Precision(AS_WRITTEN),
        "reduced": Precision("float16", {"AllowLowPrecisionAccumulationOnGPU": "1"}),
    },
    {"MLComputeUnits": "CPUAndGPU", "ModelFormat": "MLProgram"},
)
# The Neural Engine computes in float16 alone: an ML program of float32 never goes there, while a model in the older
# form leaves the types to Core ML.
_COREML_NEURAL_ENGINE: Final = Placement(
    NEURAL_ENGINE_COREML,
    COREML_PROVIDER,
    {None: Precision("float16"), "reduced": Precision("float16")},
    {"MLComputeUnits": "CPUAndNeuralEngine", "ModelFormat": "NeuralNetwork"},
)

CANDIDATES: Final[dict[str, tuple[Placement, ...]]] = {
    CPU_ONNX: (_CPU,),
    GPU_ONNX: (_CUDA, _MIGRAPHX, _ROCM, _DIRECTML),
    GPU_COREML: (_COREML_GPU,),
    NEURAL_ENGINE_COREML: (_COREML_NEURAL_ENGINE,),
}
"""Unit → the providers that would do, the first one there is taken."""

_GPU_WHEELS: Final = {
    "linux": "Install onnxruntime-gpu (NVIDIA) or onnxruntime-migraphx (AMD) in place of onnxruntime.",
    "win32": "Install onnxruntime-gpu (NVIDIA) or onnxruntime-directml (any GPU) in place of onnxruntime.",
    "darwin": f"On a Mac the GPU is the unit {GPU_COREML}.",
}


def placement_of(unit: str, available: Collection[str], platform: str, version: str) -> Placement:
    """The provider for `unit` in a runtime of `version` that has the providers `available`, on Python's `platform`.

    ProviderAbsent says what would do, what is there and what would help.
    """
    candidates = CANDIDATES.get(unit)
    if candidates is None:
        raise ProviderAbsent(f"ONNX Runtime doesn't serve {unit}; it serves {', '.join(CANDIDATES)}.")
    found = next((one for one in candidates if one.provider in available), None)
    if found is None:
        wanted = ("one of " if candidates[1:] else "") + ", ".join(one.provider for one in candidates)
        raise ProviderAbsent(
            f"{unit} needs {wanted}, which the installed ONNX Runtime {version} lacks; "
            f"it has {', '.join(available)}. {what_would_help(unit, platform)}".rstrip()
        )
    return found


def what_would_help(unit: str, platform: str) -> str:
    """A sentence for the owner of a device whose runtime lacks the unit's providers."""
    if unit == GPU_ONNX:
        return _GPU_WHEELS.get(platform, "")
    if unit not in (GPU_COREML, NEURAL_ENGINE_COREML):
        return ""
    return "Install the onnxruntime of PyPI." if platform == "darwin" else "Core ML needs a Mac."


def settled(placement: Placement, wanted: LoadOptions) -> Placement:
    """The placement with the provider's options for what is wanted. EngineError if it can't be had there."""
    refuse_impossible(placement, wanted)
    precision = placement.precisions.get(wanted.precision)
    if precision is None:
        raise EngineError(no_such_precision(placement, str(wanted.precision)))
    return placement._replace(options={**placement.options, **precision.options})


def refuse_impossible(placement: Placement, wanted: LoadOptions) -> None:
    """EngineError for an option that the provider would ignore."""
    if wanted.io_binding and placement.memory is None:
        raise EngineError(
            f"io_binding: {placement.unit} runs on {placement.provider} here, where ONNX Runtime can't put inputs "
            "and outputs beforehand; leave io_binding out of the job."
        )
    if wanted.execution_mode == "parallel" and placement.one_by_one:
        raise EngineError(
            f"execution_mode: {placement.provider} runs one operator at a time; leave it out of the job or say "
            "sequential."
        )


def no_such_precision(placement: Placement, precision: str) -> str:
    """The sentence for a precision that the provider doesn't have."""
    narrowest = placement.precisions[None].narrowest
    others = " or ".join(str(name) for name in placement.precisions if name is not None)
    how = "the types that the model is written in" if narrowest == AS_WRITTEN else narrowest
    return (
        f"precision: {placement.unit} computes in {how} and has no {precision} precision ({placement.provider}); "
        f"leave it out of the job or say {others}."
    )


def narrowest_type(placement: Placement, wanted: LoadOptions) -> str:
    """The narrowest floating-point type that a settled placement may compute in."""
    return placement.precisions[wanted.precision].narrowest
