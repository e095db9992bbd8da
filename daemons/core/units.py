"""Compute units: what a job asks to run on, by the names that the REST API and the CSV use."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta

CPU_ONNX: Final = "CPU (ONNX)"
GPU_ONNX: Final = "GPU (ONNX)"
GPU_COREML: Final = "GPU (CoreML)"
NEURAL_ENGINE_COREML: Final = "Neural Engine (CoreML)"

STANDARD_UNITS: Final = (CPU_ONNX, GPU_ONNX, GPU_COREML, NEURAL_ENGINE_COREML)
"""The units that every benchfleet knows. A device's engine plug-ins may offer more."""

UnitName = Annotated[
    str,
    Meta(
        pattern=r"^[^()\x00-\x1f\x7f]{1,40} \([^()\x00-\x1f\x7f]{1,40}\)$",
        extra={"allowed": "a compute unit such as `CPU (ONNX)`"},
    ),
]

_SHAPE = re.compile(r"[^()\x00-\x1f\x7f]{1,40} \([^()\x00-\x1f\x7f]{1,40}\)")


def is_unit_name(name: str) -> bool:
    """Whether `name` has the shape of a compute unit, ``HARDWARE (ENGINE)``, such as ``CPU (OpenVINO)``."""
    return _SHAPE.fullmatch(name) is not None
