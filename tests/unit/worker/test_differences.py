"""How far two outputs are apart: figures that can be worked out by hand, and what holds for all of them."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daemons.worker.bench import differences
from daemons.worker.bench.differences import SAME, Tolerance, array_difference, difference, parts_of

TOLERANCE = Tolerance(1e-2, 1e-2)
FLOATS = npst.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
    elements=st.floats(-100, 100, width=16),
)
ANYTHING = npst.arrays(
    st.sampled_from([np.float32, np.float64, np.complex64, np.int64, np.uint8, np.bool_]),
    npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)


def off(value, reference, tolerance=TOLERANCE):
    return difference(np.asarray(value), np.asarray(reference), tolerance)


def test_the_figures_are_those_worked_out_by_hand():
    found = off([1.0, 2.5, -4.0], [1.0, 2.0, -4.0])
    assert found.absolute == 0.5
    assert found.relative == 0.25
    # The range is 6; the root of the mean of 0, 0.25 and 0 is 0.5 / sqrt(3).
    assert found.psnr == pytest.approx(20 * math.log10(6 / (0.5 / math.sqrt(3))))
    assert not found.agrees


def test_a_relative_difference_is_not_over_next_to_nothing():
    found = off([1000.0, 0.5], [1000.0, 0.0])
    assert found.relative == 0.5, "over a thousandth of the largest, which is 1"


@pytest.mark.parametrize(("constant", "peak"), [(5.0, 5.0), (0.0, 1.0)])
def test_the_peak_of_a_constant_reference(constant, peak):
    found = off([constant + 0.1, constant + 0.1], [constant, constant])
    assert found.psnr == pytest.approx(20 * math.log10(peak / 0.1))


def test_a_tolerance_is_both_shares_together():
    reference = np.array([100.0, 1.0])
    assert off(reference + np.array([2.0, 1.01]), reference).agrees, "1 and 1; 1 and 0.01"
    assert not off(reference + np.array([2.1, 0.0]), reference).agrees
    assert not off(reference + np.array([0.0, 1.02]), reference).agrees


def test_one_element_of_many_is_enough(monkeypatch):
    monkeypatch.setattr(differences, "CHUNK", 7)
    reference = np.ones(100, np.float32)
    for place in (0, 6, 7, 50, 99):
        value = reference.copy()
        value[place] = 2
        found = off(value, reference)
        assert (found.absolute, found.agrees) == (1.0, False)
        assert found.psnr == pytest.approx(20.0)


@pytest.mark.parametrize("size", [1, 7, 30])
def test_the_figures_do_not_depend_on_how_many_are_compared_at_a_time(monkeypatch, size):
    random = np.random.default_rng(3)
    reference = random.standard_normal((5, 6)).astype(np.float32)
    value = reference + random.standard_normal((5, 6)).astype(np.float32) / 100
    whole = off(value, reference)
    monkeypatch.setattr(differences, "CHUNK", size)
    assert off(value, reference)[:2] == whole[:2]
    assert off(value, reference).psnr == pytest.approx(whole.psnr)


@given(ANYTHING)
def test_an_output_is_the_same_as_itself(array):
    assert off(array, array) == SAME


@given(FLOATS, st.data())
def test_the_absolute_difference_is_the_same_both_ways(array, data):
    other = data.draw(npst.arrays(array.dtype, array.shape, elements=st.floats(-100, 100, width=16)))
    there, back = off(array, other), off(other, array)
    assert there.absolute == back.absolute
    assert (there.absolute == 0) == (there == SAME)


@given(FLOATS, st.floats(0.0, 1.0))
def test_what_agrees_within_one_tolerance_agrees_within_a_wider_one(array, shift):
    value = array.astype(np.float64) + shift
    tight, loose = (off(value, array, Tolerance(share, share)).agrees for share in (1e-3, 1e-1))
    assert loose or not tight


@given(FLOATS)
def test_figures_are_never_negative_and_never_nan(array):
    found = off(array.astype(np.float64) * 1.5 + 1, array)
    assert found.absolute >= 0
    assert found.relative >= 0
    assert not math.isnan(found.psnr)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_the_same_odd_values_are_no_difference(odd):
    assert off([1.0, odd], [1.0, odd]) == SAME
    found = off([1.5, odd], [1.0, odd])
    assert found.absolute == 0.5


@pytest.mark.parametrize(
    ("value", "reference"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (np.nan, np.inf)]
)
def test_an_odd_value_on_one_side_alone_can_not_be_compared(value, reference):
    found = off([1.0, value], [1.0, reference])
    assert not found.agrees
    assert math.isinf(found.absolute)
    assert "NaN or an infinity" in found.why


def test_numbers_at_both_ends_of_a_type():
    found = off([1.7e308], [-1.7e308])
    assert math.isinf(found.absolute)
    assert not found.agrees


def test_another_shape_can_not_be_compared():
    found = off(np.zeros((1, 3)), np.zeros(3))
    assert not found.agrees
    assert found.why == "its shape is [1, 3], and the reference's is [3]"


def test_empty_outputs_are_the_same_if_their_shapes_are():
    assert off(np.zeros((0, 3)), np.zeros((0, 3))) == SAME
    assert not off(np.zeros((0, 3)), np.zeros((3, 0))).agrees


def test_scalars():
    assert off(np.float32(2.0), np.float32(2.0)) == SAME
    assert off(np.float32(2.5), np.float32(2.0)).absolute == 0.5


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64, np.uint64])
def test_integers_are_names_of_things_and_must_be_the_same(kind):
    """A class that is one off is another class, however large its number."""
    found = off(np.array([1000, 5], kind), np.array([1001, 5], kind))
    assert (found.absolute, found.agrees) == (1.0, False)
    assert off(np.array([1000], kind), np.array([1000], kind)) == SAME


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_eight_bits_are_a_quantized_number_and_may_be_one_step_off(kind):
    assert off(np.array([100, 5], kind), np.array([101, 5], kind)).agrees
    assert not off(np.array([100, 5], kind), np.array([102, 5], kind)).agrees


def test_large_integers_are_told_apart():
    found = off(np.array([2**60]), np.array([2**60 + 1]))
    assert (found.absolute, found.agrees) == (1.0, False)


def test_truth_values():
    assert off([True, False], [True, False]) == SAME
    assert not off([True, True], [True, False]).agrees


def test_integers_of_other_widths_are_compared_as_numbers():
    assert off(np.array([3], np.int32), np.array([3], np.int64)) == SAME


def test_words():
    assert off(np.array(["a", "b"], object), np.array(["a", "b"])) == SAME
    assert "other words" in off(np.array(["a", "c"], object), np.array(["a", "b"], object)).why
    assert "other words" in off(np.array([1.0]), np.array(["a"], object)).why


def test_complex_numbers():
    assert off([1 + 2j], [1 + 2j]) == SAME
    assert off([1 + 2.5j], [1 + 2j]).absolute == 0.5
    assert "NaN" in off([complex(1, np.nan)], [1 + 2j]).why


def test_a_type_that_numpy_lacks_is_compared_by_its_numbers():
    reference = np.array([1.0, 2.0], np.float32)
    assert off(reference.astype(ml_dtypes.bfloat16), reference) == SAME
    assert off((reference + 1).astype(ml_dtypes.bfloat16), reference).absolute == 1.0


def test_half_precision_does_not_overflow_on_the_way():
    found = off(np.array([60000.0], np.float16), np.array([-60000.0], np.float16))
    assert found.absolute == pytest.approx(120000, rel=1e-3)


def test_sequences_and_maps_are_compared_part_by_part():
    ones, twos = np.ones(2), np.full(2, 2.0)
    assert difference([ones, twos], [ones, twos], TOLERANCE) == SAME
    assert difference([ones, ones], [ones, twos], TOLERANCE).absolute == 1.0
    assert difference([{"b": 1.0, "a": 2.0}], [{"a": 2.0, "b": 1.0}], TOLERANCE) == SAME
    assert not difference([{"a": 1.0}], [{"a": 2.0}], TOLERANCE).agrees


def test_another_number_of_parts_can_not_be_compared():
    found = difference([np.ones(2)], [np.ones(2), np.ones(2)], TOLERANCE)
    assert found.why == "it has 1 parts, and the reference's has 2"
    assert difference([], [], TOLERANCE) == SAME
    assert difference(None, None, TOLERANCE) == SAME
    assert not difference(None, np.ones(2), TOLERANCE).agrees


def test_the_worst_part_counts():
    found = difference([np.array([1.0]), np.array([9.0])], [np.array([1.0]), np.array([10.0])], TOLERANCE)
    assert (found.absolute, found.relative, found.agrees) == (1.0, 0.1, False)
    assert found.psnr == pytest.approx(20.0), "of the part that differs; the other's is without limit"


def test_parts_are_arrays():
    assert [part.tolist() for part in parts_of([{"b": 1, "a": [2, 3]}, None])] == [2, 3, 1]


def test_both_are_left_as_they_were():
    value, reference = np.array([1.0, np.nan]), np.array([[2.0]])
    array_difference(value, value.copy(), TOLERANCE)
    array_difference(reference, reference + 1, TOLERANCE)
    assert reference.tolist() == [[2.0]]
    assert value[0] == 1.0
