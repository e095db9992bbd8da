"""Numbers in the element types that numpy lacks: rounded to the nearest one, and packed where elements share a byte.

The formats are those of ONNX's `TensorProto.DataType`; in a byte the first element has the lowest bits.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from daemons.worker.bench.values import KINDS, Array


class SmallFloat(NamedTuple):
    """A float type of at most eight bits."""

    mantissa_bits: int
    bias: int
    codes: int
    """How many bit patterns without the sign stand for finite numbers."""
    sign: int
    """The sign's bit; 0 for a type without negative numbers."""


SMALL_FLOATS: Final = {
    "float8e4m3fn": SmallFloat(3, 7, 0x7F, 0x80),
    "float8e4m3fnuz": SmallFloat(3, 8, 0x80, 0x80),
    "float8e5m2": SmallFloat(2, 15, 0x7C, 0x80),
    "float8e5m2fnuz": SmallFloat(2, 16, 0x80, 0x80),
    "float4e2m1": SmallFloat(1, 1, 8, 8),
}
SMALL_INTEGERS: Final = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
_BFLOAT16_MOST: Final = float.fromhex("0x1.fep127")
_POWERS: Final = 255
"""float8e8m0 has these powers of two, from the -127th on, and nothing else."""


def limits_of(element: str) -> tuple[float, float]:
    """The least and the largest number of a type that numpy lacks."""
    if element in SMALL_INTEGERS:
        return SMALL_INTEGERS[element]
    if element == "bfloat16":
        return -_BFLOAT16_MOST, _BFLOAT16_MOST
    numbers = magnitudes(element)
    largest = float(numbers[-1])
    return (float(numbers[0]) if element == "float8e8m0" else -largest), largest


def narrowed(numbers: Array, element: str) -> Array:
    """`numbers`, which the type can hold, as elements of a type that numpy lacks; flat bytes where some share one."""
    if element == "bfloat16":
        return _upper_half(numbers)
    codes = _integer_codes(numbers, element) if element in SMALL_INTEGERS else _nearest_codes(numbers, element)
    return packed(codes, KINDS[element].per_byte)


def packed(codes: Array, per_byte: int) -> Array:
    """Bit patterns, one a byte, put together; the last byte is filled up with zeros."""
    if per_byte == 1:
        return codes
    bits, flat = 8 // per_byte, codes.reshape(-1)
    whole = np.zeros(-(-flat.size // per_byte) * per_byte, dtype=np.uint8)
    whole[: flat.size] = flat
    out = np.zeros(whole.size // per_byte, dtype=np.uint8)
    for place in range(per_byte):
        out |= whole[place::per_byte] << np.uint8(bits * place)
    return out


def _upper_half(numbers: Array) -> Array:
    """Rounded half to even, as the hardware does."""
    bits = numbers.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded = bits + np.uint64(0x7FFF) + ((bits >> np.uint64(16)) & np.uint64(1))
    halves: Array = (rounded >> np.uint64(16)).astype(np.uint16)
    return halves


def _integer_codes(numbers: Array, element: str) -> Array:
    mask = 2 ** (8 // KINDS[element].per_byte) - 1
    codes: Array = (numbers.astype(np.int64) & mask).astype(np.uint8)
    return codes


def _nearest_codes(numbers: Array, element: str) -> Array:
    known = magnitudes(element)
    codes = np.searchsorted((known[1:] + known[:-1]) / 2, np.abs(numbers)).astype(np.uint8)
    if element == "float8e8m0":
        return codes
    # There is no negative zero in some of the types: its pattern is their NaN.
    is_negative = (numbers < 0) & (codes > 0)
    return np.where(is_negative, codes | np.uint8(SMALL_FLOATS[element].sign), codes)


@cache
def magnitudes(element: str) -> Array:
    """The numbers of a small float type that are not negative, by bit pattern."""
    if element == "float8e8m0":
        powers: Array = np.exp2(np.arange(_POWERS, dtype=np.float64) - 127)
        return powers
    form = SMALL_FLOATS[element]
    codes = np.arange(form.codes)
    exponents, fractions = codes >> form.mantissa_bits, (codes & (2**form.mantissa_bits - 1)) / 2**form.mantissa_bits
    denormals, normals = fractions * 2.0 ** (1 - form.bias), (1 + fractions) * 2.0 ** (exponents - form.bias)
    numbers: Array = np.where(exponents == 0, denormals, normals)
    return numbers
