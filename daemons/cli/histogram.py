"""The shape of a sample in one line of block characters. Pure: numbers in, text out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from daemons.core.stats import percentile

BLOCKS: Final = "▁▂▃▄▅▆▇█"
LEAST_BARS: Final = 8
FAR: Final = 6.0
"""Interquartile ranges above the upper quartile at which a value no longer stretches the scale."""


class Histogram(NamedTuple):
    """How often values fall between `low` and `high`, in bars of equal width."""

    low: float
    high: float
    counts: tuple[int, ...]
    beyond: int
    """Values above `high`, which would have squeezed all others into one bar."""

    @property
    def line(self) -> str:
        """A character for each bar: none where nothing fell, the full block where most did."""
        tallest = max(self.counts)
        return "".join(BLOCKS[math.ceil(count / tallest * len(BLOCKS)) - 1] if count else " " for count in self.counts)


def histogram(samples: Sequence[float], most_bars: int) -> Histogram | None:
    """The shape of `samples` in at most `most_bars`; None where there is none: fewer than 5 values, or all alike."""
    ordered = sorted(samples)
    if len(ordered) < 5 or ordered[0] == ordered[-1]:
        return None
    high = _end_of_scale(ordered)
    near = [value for value in ordered if value <= high]
    bars = max(1, min(most_bars, max(LEAST_BARS, round(2 * math.sqrt(len(near))))))
    counts = [0] * bars
    for value in near:
        counts[min(bars - 1, int((value - ordered[0]) / (high - ordered[0]) * bars))] += 1
    return Histogram(ordered[0], high, tuple(counts), len(ordered) - len(near))


def _end_of_scale(ordered: Sequence[float]) -> float:
    """The largest value that is not far out."""
    upper, lower = percentile(ordered, 75), percentile(ordered, 25)
    fence = upper + FAR * (upper - lower)
    near = [value for value in ordered if value <= fence]
    return near[-1] if near[-1] > ordered[0] else ordered[-1]
