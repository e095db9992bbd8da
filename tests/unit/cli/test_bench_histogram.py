"""The one-line histogram shows every sample where it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.cli.histogram import BLOCKS, histogram


def test_the_tallest_bar_is_full_and_an_empty_one_is_blank():
    drawn = histogram([1, 1, 1, 1, 1, 1, 1, 1, 2, 9, 9, 9, 9, 10], 10)
    assert drawn.low == 1
    assert drawn.high == 10
    assert len(drawn.line) == 8
    assert drawn.line[0] == "█"
    assert drawn.line[3] == " "
    assert drawn.line[-1] in BLOCKS[3:6]


def test_a_single_sample_among_a_thousand_is_still_seen():
    drawn = histogram([1.0] * 500 + [1.5] * 500 + [2.0], 20)
    assert drawn.line[-1] == "▁"


def test_a_far_sample_does_not_squeeze_the_others_and_is_counted():
    samples = [10 + place / 10 for place in range(50)]
    drawn = histogram([*samples, 900.0, 950.0], 40)
    assert drawn.high == samples[-1]
    assert drawn.beyond == 2
    assert drawn.line.count(" ") < len(drawn.line) / 2


@pytest.mark.parametrize("samples", [[], [1.0, 2.0, 3.0, 4.0], [5.0] * 100])
def test_what_has_no_shape_is_not_drawn(samples):
    assert histogram(samples, 40) is None


@given(st.lists(st.floats(1e-3, 1e6), min_size=5, max_size=300), st.integers(-3, 60))
def test_no_sample_is_lost_whatever_they_are(samples, most):
    drawn = histogram(samples, most)
    if drawn is not None:
        assert sum(drawn.counts) + drawn.beyond == len(samples)
        assert len(drawn.line) <= max(1, most)
        assert drawn.low == min(samples)
