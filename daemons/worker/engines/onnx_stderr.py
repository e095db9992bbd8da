"""What ONNX Runtime says on stderr alone: why it leaves a provider out and goes on without it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from typing import Final

import onnxruntime as ort

from daemons.worker.engines.onnx_units import Placement
from daemons.worker.engines.tiny import TINY_ONNX

STDERR: Final = 2
MAX_BYTES: Final = 2**16


def words_about(placement: Placement) -> str:
    """What the runtime says while it looks for the placement's provider."""
    provider = (placement.provider, dict(placement.options))
    return said_during(lambda: ort.InferenceSession(TINY_ONNX, providers=[provider], enable_fallback=0))


def said_during(action: Callable[[], object]) -> str:
    """What native libraries write to stderr during `action`, whatever becomes of it; the first part of very much."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(STDERR)
        os.dup2(file.fileno(), STDERR)
        try:
            with contextlib.suppress(Exception):
                action()
        finally:
            os.dup2(before, STDERR)
            os.close(before)
        file.seek(0)
        return file.read(MAX_BYTES).decode(errors="replace")
