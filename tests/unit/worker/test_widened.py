"""What types that numpy lacks stand for, pattern by pattern as the package `ml_dtypes` has it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from daemons.worker.bench.narrow import narrowed, packed
from daemons.worker.bench.values import KINDS
from daemons.worker.bench.widened import widened

KNOWN = {
    "bfloat16": ml_dtypes.bfloat16,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8e5m2": ml_dtypes.float8_e5m2,
    "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8e8m0": ml_dtypes.float8_e8m0fnu,
    "float4e2m1": ml_dtypes.float4_e2m1fn,
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
    "int2": ml_dtypes.int2,
    "uint2": ml_dtypes.uint2,
}


def test_every_type_that_numpy_lacks_is_known():
    assert set(KNOWN) == {name for name, kind in KINDS.items() if not kind.native}


@pytest.mark.parametrize("element", KNOWN)
def test_every_bit_pattern_is_the_number_that_it_stands_for(element):
    kind = KINDS[element]
    codes = np.arange(2 ** (8 * np.dtype(kind.dtype).itemsize // kind.per_byte), dtype=kind.dtype)
    expected = codes.view(KNOWN[element]).astype(np.float32)
    found = widened(packed(codes, kind.per_byte), element, codes.shape)
    np.testing.assert_array_equal(found.astype(np.float32), expected)


@pytest.mark.parametrize("element", KNOWN)
def test_narrowing_and_widening_give_the_numbers_back(element):
    numbers = np.array([[1, 0, 1], [1, 1, 0]]) if element != "float8e8m0" else np.array([[1, 2, 4], [8, 0.5, 0.25]])
    found = widened(narrowed(numbers, element), element, numbers.shape)
    np.testing.assert_array_equal(found, numbers)


def test_a_last_byte_that_is_half_empty_holds_one_element():
    assert widened(np.array([0x21, 0x0F], np.uint8), "uint4", (3,)).tolist() == [1, 2, 15]
    assert widened(np.array([0x21, 0x0F], np.uint8), "int4", (3, 1)).tolist() == [[1], [2], [-1]]


@pytest.mark.parametrize("element", KNOWN)
def test_scalars_and_empty_tensors_keep_their_shape(element):
    kind = KINDS[element]
    assert widened(np.zeros(1, kind.dtype), element, ()).shape == ()
    assert widened(np.zeros(0, kind.dtype), element, (0, 3)).shape == (0, 3)
