"""Seeded values of every ONNX tensor type: sensible numbers, never all zeros, no denormals.

The random bits come from SplitMix64 (Steele, Lea and Flood, 2014) over a counter, in numpy: the same on every machine
and in every version, while `numpy.random` would add 7 MB to each peak that is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CHUNK: Final = 1 << 14
"""Values are made in pieces of this many, so that making them needs next to no memory beyond their own."""

_WEYL: Final = 0x9E3779B97F4A7C15
_SMALLEST_FLOAT: Final = 0.0625
"""Floats are from here to below 1: a normal number in every float type that ONNX has."""


class Kind(NamedTuple):
    """How the elements of a tensor type are held in memory."""

    code: int
    """ONNX's number of the type (`TensorProto.DataType`)."""
    dtype: Any
    """What numpy holds them as; for a type that numpy lacks, unsigned numbers of the same width."""
    native: bool
    """Whether numpy has the type itself."""
    fill: Callable[[Array], Array]
    """From 64 random bits each to elements."""
    per_byte: int = 1
    """Elements that share one byte."""


def floats(bits: Array) -> Array:
    """Evenly spread over [0.0625, 1), exact in 24 bits."""
    unit = (bits >> np.uint64(40)).astype(np.float64) * 2.0**-24
    return unit * (1 - _SMALLEST_FLOAT) + _SMALLEST_FLOAT


def zeros_and_ones(bits: Array) -> Array:
    """0 or 1: safe as an index, a token and a mask."""
    return bits >> np.uint64(63)


def upper_halves(bits: Array) -> Array:
    """The upper 16 bits of single-precision floats, which is what a bfloat16 is."""
    return floats(bits).astype(np.float32).view(np.uint32) >> np.uint32(16)


def complex_numbers(bits: Array) -> Array:
    """Both parts like `floats`."""
    return floats(bits) + 1j * floats(bits << np.uint64(24))


def codes(first: int, count: int) -> Callable[[Array], Array]:
    """Bit patterns from `first` on: a range of a type that numpy lacks."""
    return lambda bits: np.uint64(first) + (bits >> np.uint64(32)) % np.uint64(count)


def nibbles(first: int, second: int) -> Callable[[Array], Array]:
    """Bytes of two four-bit elements, each one of two bit patterns."""
    return lambda bits: _choice(bits, 63, first, second) | (_choice(bits, 62, first, second) << np.uint64(4))


def crumbs(bits: Array) -> Array:
    """Bytes of four two-bit elements, each 0 or 1."""
    return (bits >> np.uint64(56)) & np.uint64(0b01010101)


def words(bits: Array) -> Array:
    """Short words, some of them equal."""
    return np.array([f"word{number}" for number in (bits >> np.uint64(62)).tolist()], dtype=object)


def _choice(bits: Array, bit: int, first: int, second: int) -> Array:
    return np.where((bits >> np.uint64(bit)) & np.uint64(1), np.uint64(second), np.uint64(first))


_INTEGERS: Final = {
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "uint32": 12,
    "uint64": 13,
}

KINDS: Final[dict[str, Kind]] = {
    "float": Kind(1, np.float32, native=True, fill=floats),
    "double": Kind(11, np.float64, native=True, fill=floats),
    "float16": Kind(10, np.float16, native=True, fill=floats),
    "bfloat16": Kind(16, np.uint16, native=False, fill=upper_halves),
    "bool": Kind(9, np.bool_, native=True, fill=zeros_and_ones),
    "string": Kind(8, np.object_, native=True, fill=words),
    "complex64": Kind(14, np.complex64, native=True, fill=complex_numbers),
    "complex128": Kind(15, np.complex128, native=True, fill=complex_numbers),
    # The patterns of the small floats below are those of normal numbers from 0.0625 to below 1.
    "float8e4m3fn": Kind(17, np.uint8, native=False, fill=codes(24, 32)),
    "float8e4m3fnuz": Kind(18, np.uint8, native=False, fill=codes(32, 32)),
    "float8e5m2": Kind(19, np.uint8, native=False, fill=codes(44, 16)),
    "float8e5m2fnuz": Kind(20, np.uint8, native=False, fill=codes(48, 16)),
    "float8e8m0": Kind(24, np.uint8, native=False, fill=codes(123, 4)),
    "float4e2m1": Kind(23, np.uint8, native=False, fill=nibbles(2, 3), per_byte=2),
    "uint4": Kind(21, np.uint8, native=False, fill=nibbles(0, 1), per_byte=2),
    "int4": Kind(22, np.uint8, native=False, fill=nibbles(0, 1), per_byte=2),
    "uint2": Kind(25, np.uint8, native=False, fill=crumbs, per_byte=4),
    "int2": Kind(26, np.uint8, native=False, fill=crumbs, per_byte=4),
    **{name: Kind(code, np.dtype(name), native=True, fill=zeros_and_ones) for name, code in _INTEGERS.items()},
}
"""By the name that stands in `tensor(NAME)`."""

INTEGERS: Final = frozenset(_INTEGERS)
FLOATS: Final = frozenset({"float", "double", "float16"})


def random_values(kind: Kind, shape: tuple[int, ...], seed: int, stream: int) -> Array:
    """Elements of `shape`, the same for the same `seed` and `stream`; one flat array of bytes if several share one."""
    count = -(-math.prod(shape) // kind.per_byte)
    out = np.empty(count, dtype=kind.dtype)
    begin = mixed((seed & _MASK) + 1) ^ mixed(stream + 1)
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        out[first:last] = kind.fill(random_bits(begin, first, last))
    return out if kind.per_byte > 1 else out.reshape(shape)


_MASK: Final = 2**64 - 1


def mixed(number: int) -> int:
    """One step of SplitMix64 in plain integers: neighbouring seeds give streams that have nothing in common."""
    state = (number * _WEYL) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def random_bits(begin: int, first: int, last: int) -> Array:
    """Numbers `first` to `last` of the stream of 64-bit words that starts at `begin`."""
    state = np.arange(first + 1, last + 1, dtype=np.uint64) * np.uint64(_WEYL) + np.uint64(begin)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed_state: Array = state ^ (state >> np.uint64(31))
    return mixed_state
