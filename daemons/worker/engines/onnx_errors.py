"""What ONNX Runtime's messages mean, in sentences for the person who sent the model."""

from __future__ import annotations

import re
from typing import Final

MAX_DETAIL: Final = 300

_PREFIX: Final = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_SOURCE: Final = re.compile(
    r"\S+\.(?:cc|h|cpp|cu):\d+\s+"
    r"(?:[\w:<>&*~, ]*?onnxruntime::[^()]*\([^()]*\)(?:::<lambda\(\)>)?(?: const)?(?: \[with [^\]]*\])?\s*)?"
)
_OWN_PATH: Final = re.compile(r"Load model (?:from )?.*? failed[:.]\s*|(?<=Failed to load library )\S*[/\\]")
_OF_THE_HOST: Final = re.compile(r" ; GPU=-?\d+ ; hostname=.*", re.DOTALL)

_MEANINGS: Final = (
    (r"File doesn't exist", "The model's file is not there."),
    (r"protobuf parsing failed|InvalidProtobuf|No graph was found|ModelProto does not have a graph",
     "The file is not an ONNX model, or it was cut off."),
    (r"Unsupported model IR version|IR_VERSION|ir_version",
     "The model's IR version is newer than the installed ONNX Runtime knows; update onnxruntime on this device."),
    (r"Opset \d+ is under development|only \*guarantees\* support for models stamped",
     "The model's opset is newer than the installed ONNX Runtime knows; update onnxruntime on this device."),
    (r"external data|External data|external_data|model_path.*(weights|data)|GetExtDataFromTensorProto",
     "The model's weights are in a file of their own (external data) that is missing; send both together as a zip."),
    (r"CUDA failure 209|no kernel image is available",
     "The GPU is of a generation that this ONNX Runtime was not built for."),
    (r"887A0005|887A0006|887A0007|GPU device instance has been suspended",
     "The GPU was reset while the model ran; its driver gave up."),
    (r"bad_alloc|Failed to allocate memory|BFCArena|out of memory|OOM|MemoryError|cannot allocate",
     "The device ran out of memory."),
    (r"(?:CUDA|HIP|CUDNN|CUBLAS|CUFFT|MIOPEN|HIPBLAS|ROCBLAS) failure",
     "The GPU or its libraries failed."),
    (r"Error compiling model|Failed to create MLModel|Error [Cc]reating MLModel|Saving the CoreML model failed",
     "Core ML could not compile the model."),
    (r"Error executing model|output_features has no value", "Core ML could not run the model."),
    (r"Unknown option|Invalid MIGraphX EP option|unknown provider option|Failed to find key",
     "The installed ONNX Runtime doesn't know an option that this unit needs; update it on this device."),
    (r"Could not find an implementation|NOT_IMPLEMENTED|kernel is not implemented",
     "The model uses an operator that this execution provider doesn't have."),
    (r"is not a registered function/op|No Op registered|No opset import for domain|Fatal error: \S+ is not a",
     "The model uses an operator that ONNX Runtime doesn't know."),
    (r"INVALID_GRAPH|InvalidGraph|Load model .* failed|ShapeInferenceError|is not a graph input",
     "The model's graph is not valid."),
    (r"Invalid rank for input|Got invalid dimensions|Unexpected input data type|INVALID_ARGUMENT",
     "The model refused its inputs."),
)  # fmt: skip
_PATTERNS: Final = tuple((re.compile(pattern), text) for pattern, text in _MEANINGS)

_ABSENCES: Final = (
    (r"(libcuda\.so\S*): cannot open shared object|\b(nvcuda\.dll)",
     "there is no NVIDIA driver ({0} is missing)."),
    (r"((?:libcu|libnv)\w+\.so\S*): cannot open shared object",
     "the library {0} is missing; install CUDA and cuDNN, for example with `pip install onnxruntime-gpu[cuda,cudnn]`."),
    (r"((?:libmigraphx|libamd|libhip|libroc|libMIOpen|librccl|libhsa)\w*\.so\S*): cannot open shared object",
     "the library {0} is missing; install ROCm and MIGraphX in the versions that this ONNX Runtime was built for."),
    (r"(\S+\.so\S*): cannot open shared object|which depends on \"([^\"]+)\" which is missing",
     "the library {0} is missing."),
    (r"CUDA failure 35\b|driver version is insufficient",
     "the NVIDIA driver is older than the CUDA that this ONNX Runtime needs, or is not running; update it."),
    (r"CUDA failure 100\b|no CUDA-capable device", "there is no NVIDIA GPU that its driver knows."),
    (r"HIP failure 100\b|no ROCm-capable device", "there is no AMD GPU that its driver knows."),
    (r"dml_provider_factory|DXCoreCreateAdapterFactory|887A0004|INVALID_DISPLAY_ADAPTER",
     "DirectML found no GPU that it can use."),
    (r"does not have Apple Neural Engine", "this Mac has no Neural Engine."),
    (r"CoreML EP is not supported on this platform|requires macos", "this version of macOS is too old for it."),
)  # fmt: skip
_REASONS: Final = tuple((re.compile(pattern), text) for pattern, text in _ABSENCES)
_LEFT_TO_CPU: Final = "fallback to CPU EP has been explicitly disabled"

_OTHERWISE: Final = {
    "load": "ONNX Runtime could not load the model.",
    "run": "ONNX Runtime could not run the model.",
}


def sentence(error: Exception, doing: str) -> str:
    """Why `doing` (``load`` or ``run``) failed, followed by the runtime's own words."""
    said = f"{type(error).__name__}: {error}"
    meaning = next((text for pattern, text in _PATTERNS if pattern.search(said)), _OTHERWISE[doing])
    detail = shortened(str(error))
    return f"{meaning} (ONNX Runtime: {detail})" if detail else meaning


def absence(said: str) -> str | None:
    """Why an execution provider can't start, if that is what the runtime's words say."""
    for pattern, text in _REASONS:
        if match := pattern.search(said):
            return text.format(next((group for group in match.groups() if group), ""))
    return None


def is_left_to_cpu(said: str) -> bool:
    """Whether the runtime refuses a session because a node would be on the CPU, which was forbidden."""
    return _LEFT_TO_CPU in said


def shortened(text: str) -> str:
    """The runtime's words without error codes, places in its source and paths of this device, on one line."""
    plain = _OF_THE_HOST.sub("", _OWN_PATH.sub("", _PREFIX.sub("", text.strip())))
    plain = " ".join(_SOURCE.sub("", plain).split())
    return plain if len(plain) <= MAX_DETAIL else plain[: MAX_DETAIL - 1].rstrip() + "…"
