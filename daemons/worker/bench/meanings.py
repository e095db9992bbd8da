"""Values for inputs whose name says what they hold: a length, a rate, positions, a mask, a count, a picture's size.

Everything else gets random values (`daemons.worker.bench.values`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from daemons.worker.bench.values import INTEGERS, KINDS, Array

SAMPLE_RATE_HZ: Final = 16_000

_RATE: Final = re.compile(r"sampl\w*_?rate|(^|_)sr$")
_POSITION: Final = re.compile(r"position|(^|_)pos(_ids)?$|cache_?pos")
_MASK: Final = re.compile(r"mask")
_SIZE: Final = re.compile(r"(size|shape|sizes)$")
_LENGTH: Final = re.compile(r"len(gth)?s?($|_)|n_?frames|num_?(frames|samples|tokens)|seq_?lens")
_LEAST: Final = re.compile(r"(^|_)min")
_COUNT: Final = re.compile(r"^(num|max|n|k|top_?k)($|_)")


def is_sample_rate(name: str) -> bool:
    """Whether an input of this name holds the sample rate of a sound."""
    return _RATE.search(name.lower()) is not None


class Tensor(NamedTuple):
    """An input whose shape is settled."""

    name: str
    element: str
    """As it stands in `tensor(…)`."""
    shape: tuple[int, ...]


def meant_values(tensor: Tensor, all_tensors: Mapping[str, Tensor]) -> Array | None:
    """What an input of this name holds; None if its name doesn't say."""
    name = tensor.name.lower()
    if tensor.element == "bool":
        return full(tensor, "padding" not in name) if _MASK.search(name) else None
    if tensor.element not in INTEGERS:
        return full(tensor, SAMPLE_RATE_HZ) if tensor.element in {"float", "double"} and _RATE.search(name) else None
    return meant_integers(tensor, name, all_tensors)


def meant_integers(tensor: Tensor, name: str, all_tensors: Mapping[str, Tensor]) -> Array | None:
    """The same for whole numbers."""
    if _RATE.search(name):
        return full(tensor, SAMPLE_RATE_HZ)
    if _POSITION.search(name):
        return positions(tensor)
    if _MASK.search(name):
        return full(tensor, 1)
    if _SIZE.search(name) and tensor.shape[-1:] == (2,):
        return picture_size(tensor, all_tensors)
    if _LEAST.search(name):
        return full(tensor, 1)
    if _LENGTH.search(name):
        return full(tensor, longest(tensor, all_tensors))
    return full(tensor, 1) if _COUNT.search(name) and len(tensor.shape) < 2 else None


def full(tensor: Tensor, value: Any) -> Array:
    """One value everywhere, as large as the type allows."""
    dtype = np.dtype(KINDS[tensor.element].dtype)
    if dtype.kind in "iu":
        value = min(value, int(np.iinfo(dtype).max))
    return np.full(tensor.shape, value, dtype=dtype)


def positions(tensor: Tensor) -> Array:
    """0, 1, 2, … along the last axis; a lone position is 0."""
    dtype = KINDS[tensor.element].dtype
    if not tensor.shape:
        return np.zeros((), dtype=dtype)
    return np.ascontiguousarray(np.broadcast_to(np.arange(tensor.shape[-1]).astype(dtype), tensor.shape))


def longest(tensor: Tensor, all_tensors: Mapping[str, Tensor]) -> int:
    """The length of the longest sequence among the inputs: their second dimension, or the last where that is sound."""
    lengths = [length_of(other) for other in all_tensors.values() if other.name != tensor.name]
    return max([1, *lengths])


def length_of(tensor: Tensor) -> int:
    """How long a sequence this input holds; 0 if it holds none."""
    if len(tensor.shape) == 1:
        return tensor.shape[0]
    if len(tensor.shape) == 2:
        return tensor.shape[1]
    if len(tensor.shape) == 3:
        # Spectra come as (batch, bins, frames), features as (batch, frames, width): the bins are the smaller number.
        return tensor.shape[2] if tensor.shape[1] in {40, 64, 80, 128} else tensor.shape[1]
    return 0


def picture_size(tensor: Tensor, all_tensors: Mapping[str, Tensor]) -> Array | None:
    """Height and width of the first picture among the inputs."""
    for other in all_tensors.values():
        if len(other.shape) == 4:
            channels_last = other.shape[3] in {1, 3, 4} and other.shape[1] not in {1, 3, 4}
            pair = other.shape[1:3] if channels_last else other.shape[2:4]
            values = np.array(pair).astype(KINDS[tensor.element].dtype)
            return np.ascontiguousarray(np.broadcast_to(values, tensor.shape))
    return None
