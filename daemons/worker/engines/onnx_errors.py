"""What ONNX Runtime's messages mean, in sentences for the person who sent the model."""

from __future__ import annotations

import re
from typing import Final

MAX_DETAIL: Final = 300

_PREFIX: Final = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_SOURCE: Final = re.compile(
    r"\S+\.(?:cc|h|cpp|cu):\d+\s+"
    r"(?:[\w:<>&*~ ]*?onnxruntime::[^()]*\([^()]*\)(?:::<lambda\(\)>)?(?: const)?(?: \[with [^\]]*\])?\s*)?"
)
_OWN_PATH: Final = re.compile(r"Load model (?:from )?.*? failed[:.]\s*")

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
    (r"bad_alloc|Failed to allocate memory|BFCArena|out of memory|OOM|MemoryError|cannot allocate",
     "The device ran out of memory."),
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


def shortened(text: str) -> str:
    """The runtime's words without error codes, places in its source and paths of this device, on one line."""
    plain = _OWN_PATH.sub("", _PREFIX.sub("", text.strip()))
    plain = " ".join(_SOURCE.sub("", plain).split())
    return plain if len(plain) <= MAX_DETAIL else plain[: MAX_DETAIL - 1].rstrip() + "…"
