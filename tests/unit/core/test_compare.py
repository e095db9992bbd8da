"""A comparison's ratio and interval, against printed tables, by hand, and against what they promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.compare import compare_rounds, t_quantile

times = st.floats(min_value=1e-3, max_value=1e6)
rounds = st.lists(st.tuples(times, times), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("confidence", "degrees", "expected"),
    [
        (0.95, 1, 12.7062),
        (0.95, 2, 4.3027),
        (0.95, 3, 3.1824),
        (0.95, 4, 2.7764),
        (0.95, 10, 2.2281),
        (0.95, 30, 2.0423),
        (0.99, 5, 4.0321),
        (0.90, 8, 1.8595),
        (0.50, 1, 1.0),
    ],
)
def test_quantiles_are_those_of_printed_tables(confidence, degrees, expected):
    assert t_quantile(confidence, degrees) == pytest.approx(expected, abs=6e-5)


def test_with_many_degrees_the_quantile_is_the_normal_distributions():
    assert t_quantile(0.95, 10_000) == pytest.approx(1.95996, abs=3e-4)


def test_two_rounds_by_hand():
    """Ratios 1.1 and 1.21: their logarithms lie l = ln 1.1 apart, so the mean is 1.5 l and t·s/√2 is 12.706·l/2."""
    found = compare_rounds([(10.0, 11.0), (10.0, 12.1)])
    step = math.log(1.1)
    assert found.ratio == pytest.approx(math.exp(1.5 * step))
    assert found.low == pytest.approx(math.exp(1.5 * step - 12.7062 * step / 2), rel=1e-5)
    assert found.high == pytest.approx(math.exp(1.5 * step + 12.7062 * step / 2), rel=1e-5)
    assert found.ratios == pytest.approx((1.1, 1.21))
    assert not found.differs


def test_agreeing_rounds_show_a_small_difference():
    found = compare_rounds([(10.0, 10.2), (10.1, 10.3), (9.9, 10.11), (10.0, 10.21)])
    assert found.differs
    assert 1.01 < found.low < found.ratio < found.high < 1.03


def test_a_steady_drift_cancels_when_the_order_is_reversed():
    """Each measurement is 3 % slower than the one before it; A B, B A, A B, B A are the same model."""
    slots = [1.03**slot for slot in range(8)]
    found = compare_rounds([(slots[0], slots[1]), (slots[3], slots[2]), (slots[4], slots[5]), (slots[7], slots[6])])
    assert found.ratio == pytest.approx(1.0)
    assert not found.differs


def test_one_round_has_a_ratio_and_no_interval():
    found = compare_rounds([(2.0, 3.0)])
    assert found.ratio == pytest.approx(1.5)
    assert (found.low, found.high) == (None, None)
    assert not found.differs


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0)], [(1.0, 0.0)]])
def test_where_nothing_has_a_ratio_there_is_no_comparison(pairs):
    assert compare_rounds(pairs) is None


def test_identical_rounds_show_what_they_show():
    assert compare_rounds([(1.0, 1.0)] * 4)[:3] == (1.0, 1.0, 1.0)
    assert compare_rounds([(1.0, 1.5)] * 4).differs


@given(rounds)
def test_the_other_way_round_everything_is_the_reciprocal(pairs):
    forth, back = compare_rounds(pairs), compare_rounds([(head, base) for base, head in pairs])
    assert back.ratio == pytest.approx(1 / forth.ratio)
    # Wide intervals leave what a float can hold with full precision; their logarithms don't.
    assert math.log(back.ratio) == pytest.approx(-math.log(forth.ratio), abs=1e-9)
    if forth.low > 0 and forth.high < math.inf:
        assert back.low * forth.high == pytest.approx(1, rel=1e-6)
        assert forth.low <= forth.ratio * (1 + 1e-9)


@pytest.mark.parametrize("count", [3, 4, 8])
def test_the_interval_holds_the_truth_as_often_as_it_says(count):
    """Of 4,000 comparisons with a known ratio of 1.1, 95 % ± 1.2 % enclose it (3.5 standard errors)."""
    random_ = random.Random(7)
    held = 0
    for _ in range(4000):
        pairs = [(1.0, 1.1 * math.exp(random_.gauss(0, 0.05))) for _ in range(count)]
        found = compare_rounds(pairs)
        held += found.low <= 1.1 <= found.high
    assert 0.938 < held / 4000 < 0.962
