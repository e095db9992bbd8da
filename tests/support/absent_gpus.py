"""ONNX Runtime as it is where a GPU's libraries are installed and the GPU isn't. Loaded by name in a real process."""

from __future__ import annotations

import onnxruntime as ort

from daemons.worker.engines.onnx import OnnxRuntimeEngine


class ListsCuda(OnnxRuntimeEngine):
    """Lists CUDA and leaves it out of every session with no more than a warning, as onnxruntime-gpu really does."""

    def __init__(self) -> None:
        ort.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
