"""Statistics against numpy, against ranks from printed tables, and against what they promise."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.stats import (
    MIN_SAMPLES,
    average_of,
    drift,
    median_interval,
    median_of,
    outliers,
    percentile,
    relative_spread,
    std_dev_of,
    summarize,
    supported_percentile,
    thinned,
)

times = st.floats(min_value=1e-6, max_value=1e7)
many_times = st.lists(times, min_size=1, max_size=300)


@given(many_times, st.floats(0, 100))
def test_percentiles_are_numpys(samples, percent):
    assert percentile(sorted(samples), percent) == pytest.approx(float(np.percentile(samples, percent)), rel=1e-9)


@given(many_times)
def test_a_summary_is_numpys(samples):
    summary = summarize(samples)
    assert summary is not None
    assert (summary.size, summary.least, summary.most) == (len(samples), min(samples), max(samples))
    assert summary.median == pytest.approx(float(np.median(samples)))
    assert summary.average == pytest.approx(float(np.mean(samples)))
    for percent, found in ((90, summary.p90), (95, summary.p95), (99, summary.p99)):
        expected = float(np.percentile(samples, percent)) if len(samples) >= MIN_SAMPLES[percent] else None
        assert found == (expected if expected is None else pytest.approx(expected))


@given(st.lists(times, min_size=2, max_size=300))
def test_the_standard_deviation_is_the_samples(samples):
    assert std_dev_of(samples) == pytest.approx(float(np.std(samples, ddof=1)), rel=1e-9, abs=1e-6)


def test_a_small_spread_on_a_large_value_is_not_lost_in_rounding():
    assert std_dev_of([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]) == pytest.approx(math.sqrt(30), rel=1e-12)


def test_a_mean_has_no_error_of_a_running_sum():
    assert average_of([0.1] * 10) == 0.1


def test_the_order_of_samples_does_not_matter_to_the_middle():
    assert median_of([9.0, 1.0, 5.0]) == 5.0
    assert median_of([9.0, 1.0, 5.0, 2.0]) == 3.5


def test_nothing_is_made_up_of_nothing():
    assert summarize([]) is None
    assert std_dev_of([3.0]) is None
    assert relative_spread([3.0]) is None
    assert relative_spread([0.0, 0.0]) is None


@pytest.mark.parametrize(("percent", "fewest"), [(90, 10), (95, 20), (99, 100)])
def test_a_percentile_needs_enough_samples(percent, fewest):
    samples = [float(number) for number in range(fewest)]
    assert supported_percentile(samples[:-1], percent) is None
    assert supported_percentile(samples, percent) == pytest.approx(float(np.percentile(samples, percent)))


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(6, 1, 6), (7, 1, 7), (8, 1, 8), (9, 2, 8), (10, 2, 9), (15, 4, 12), (20, 6, 15), (30, 10, 21), (100, 40, 61)],
)
def test_the_interval_of_the_median_has_the_ranks_of_the_tables(count, low, high):
    """Ranks as in Conover, Practical Nonparametric Statistics, and every table of the sign test."""
    assert median_interval([float(rank) for rank in range(1, count + 1)]) == (low, high)


@pytest.mark.parametrize("count", range(6))
def test_too_few_samples_have_no_interval(count):
    assert median_interval([float(rank) for rank in range(count)]) == (None, None)


@given(st.integers(6, 400))
def test_the_interval_is_the_narrowest_that_reaches_95_percent(count):
    low, high = median_interval([float(rank) for rank in range(1, count + 1)])
    assert low is not None
    assert high == count + 1 - low, "the ranks lie evenly about the middle"
    assert _coverage(count, int(low)) >= 0.95
    assert _coverage(count, int(low) + 1) < 0.95


def _coverage(count: int, rank: int) -> float:
    """Probability that the median of a continuous distribution lies between the rank-th from either end; exact."""
    return 1 - 2 * sum(math.comb(count, below) for below in range(rank)) / 2**count


def test_the_interval_covers_the_true_median_of_a_skewed_distribution():
    """Timings are skewed to the right: a normal interval would fail here."""
    dice = random.Random(20)
    hits = 0
    for _ in range(2000):
        low, high = median_interval(sorted(dice.lognormvariate(0, 1) for _ in range(20)))
        assert low is not None
        assert high is not None
        hits += low <= 1.0 <= high
    assert 0.945 <= hits / 2000 <= 0.975, "exactly 95.86 % for 20 samples"


def test_the_interval_holds_for_very_many_samples():
    low, high = median_interval([float(rank) for rank in range(1, 100_001)])
    assert (low, high) == (49_690, 50_311)


def test_drift_compares_the_halves():
    assert drift([10.0, 10.0, 11.0, 11.0]) == pytest.approx(0.1)
    assert drift([10.0, 10.0, 99.0, 9.0, 9.0]) == pytest.approx(-0.1), "the middle one belongs to neither"
    assert drift([1.0, 2.0, 3.0]) is None
    assert drift([0.0, 0.0, 1.0, 1.0]) is None


def test_one_late_spike_is_no_drift():
    assert drift([10.0, 10.0, 10.0, 10.0, 10.0, 500.0]) == 0


def test_outliers_are_counted_on_both_sides():
    usual = [9.8, 9.9, 10.0, 10.1, 10.2] * 4
    assert outliers(usual) == 0
    assert outliers([*usual, 30.0, 0.1]) == 2


def test_one_in_23_of_a_normal_sample_lies_more_than_three_median_deviations_out():
    """3 median absolute deviations are 2.02 standard deviations, and 4.3 % lie beyond them."""
    dice = random.Random(7)
    assert outliers([dice.gauss(100, 5) for _ in range(10_000)]) == pytest.approx(430, abs=60)


def test_where_most_samples_are_equal_nothing_is_called_an_outlier():
    assert outliers([5.0] * 10 + [6.0]) == 0
    assert outliers([1.0, 100.0]) == 0


@given(st.lists(st.integers(), unique=True, max_size=400), st.integers(2, 100))
def test_thinning_keeps_order_ends_and_even_spacing(samples, most):
    kept = thinned(samples, most)
    assert len(kept) == min(len(samples), most)
    places = [samples.index(value) for value in kept]
    assert places == sorted(set(places))
    if samples:
        assert (places[0], places[-1]) == (0, len(samples) - 1)
        gaps = [after - before for before, after in itertools.pairwise(places)]
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_few_enough_samples_are_all_kept():
    samples = [3.0, 1.0, 2.0]
    assert thinned(samples, 3) == samples
    assert thinned(samples, 3) is not samples
