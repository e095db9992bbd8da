"""From ONNX Runtime's box to numpy, for the element types that numpy lacks as well."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from daemons.worker.bench.values import KINDS, Array
from daemons.worker.bench.widened import widened


def array_of(box: Any) -> Array:
    """The tensor in `box`, an OrtValue in this process's own memory; types that numpy lacks are widened."""
    element = box.data_type().removeprefix("tensor(").removesuffix(")")
    if element not in KINDS or KINDS[element].native:
        return np.array(box.numpy())
    kind, shape = KINDS[element], tuple(box.shape())
    size = -(-math.prod(shape) // kind.per_byte) * np.dtype(kind.dtype).itemsize
    return widened(np.frombuffer(ctypes.string_at(box.data_ptr(), size), dtype=kind.dtype), element, shape)
