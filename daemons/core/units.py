"""Compute units: what a job asks to run on, by the names that the REST API and the CSV use."""

from __future__ import annotations

import re
from typing import Final

CPU_ONNX: Final = "CPU (ONNX)"
GPU_ONNX: Final = "GPU (ONNX)"
GPU_COREML: Final = "GPU (CoreML)"
NEURAL_ENGINE_COREML: Final = "Neural Engine (CoreML)"

STANDARD_UNITS: Final = (CPU_ONNX, GPU_ONNX, GPU_COREML, NEURAL_ENGINE_COREML)
"""The units that every benchfleet knows. A device's engine plug-ins may offer more."""

UNIT_NAME: Final = r"[^()\x00-\x1f\x7f]{1,40} \([^()\x00-\x1f\x7f]{1,40}\)"
"""What the name of a compute unit looks like: ``HARDWARE (ENGINE)``, as a regular expression."""

_SHAPE = re.compile(UNIT_NAME)


def is_unit_name(name: str) -> bool:
    """Whether `name` has the shape of a compute unit, ``HARDWARE (ENGINE)``, such as ``CPU (OpenVINO)``."""
    return _SHAPE.fullmatch(name) is not None
