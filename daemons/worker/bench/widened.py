"""Numbers that numpy has, from elements of types that it lacks: the way back from `daemons.worker.bench.narrow`."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from daemons.worker.bench.narrow import SMALL_FLOATS, SMALL_INTEGERS, magnitudes
from daemons.worker.bench.values import KINDS, Array

_E8M0_NAN = 0xFF
_INFINITE_CODES = {"float8e5m2": 0x7C}
"""The one small type that has infinities, and their bit pattern without the sign."""


def widened(stored: Array, element: str, shape: tuple[int, ...]) -> Array:
    """The elements of a tensor of `shape`, exactly: single-precision floats, or integers of eight bits.

    `stored` holds their bits as KINDS says: one unsigned number each, or bytes that several of them share.
    """
    if element == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(shape)
    codes = unpacked(stored, KINDS[element].per_byte, math.prod(shape)).reshape(shape)
    return _integers(codes, element) if element in SMALL_INTEGERS else numbers_by_code(element)[codes]


def unpacked(stored: Array, per_byte: int, count: int) -> Array:
    """Bit patterns, one a byte, of `count` elements; the first of those that share a byte has its lowest bits."""
    if per_byte == 1:
        return stored.reshape(-1)
    bits, flat = 8 // per_byte, stored.reshape(-1)
    codes = np.empty(flat.size * per_byte, dtype=np.uint8)
    for place in range(per_byte):
        codes[place::per_byte] = (flat >> np.uint8(bits * place)) & np.uint8(2**bits - 1)
    return codes[:count]


def _integers(codes: Array, element: str) -> Array:
    least, most = SMALL_INTEGERS[element]
    if least == 0:
        return codes
    numbers: Array = np.where(codes > most, codes.astype(np.int16) - (most - least + 1), codes).astype(np.int8)
    return numbers


@cache
def numbers_by_code(element: str) -> Array:
    """What each of the 256 bit patterns of a small float type stands for."""
    table = np.full(256, np.nan, dtype=np.float32)
    known = magnitudes(element)
    table[: known.size] = known
    if element == "float8e8m0":
        return table
    sign = SMALL_FLOATS[element].sign
    if element in _INFINITE_CODES:
        table[_INFINITE_CODES[element]] = np.inf
    table[sign : 2 * sign] = -table[:sign]
    if element.endswith("uz"):
        table[sign] = np.nan  # there is no negative zero: its pattern is the only NaN
    return table
