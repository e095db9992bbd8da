"""Statistics of timings. No library: what is used is small, and the measuring process must stay so.

A figure that too few samples support is None, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95
MIN_SAMPLES: Final = {90: 10, 95: 20, 99: 100}
"""Fewest samples that support a percentile: one of them lies beyond it."""


class Summary(NamedTuple):
    """A sample in figures, in the sample's own unit."""

    size: int
    median: float
    average: float
    std_dev: float | None
    """The sample's, with n - 1; None for a single value."""
    least: float
    most: float
    p90: float | None
    p95: float | None
    p99: float | None
    median_low: float | None
    """Ends of the 95 % confidence interval of the median; None below 6 samples."""
    median_high: float | None


def average_of(samples: Sequence[float]) -> float:
    """The arithmetic mean, without the error of a running sum."""
    return math.fsum(samples) / len(samples)


def median_of(samples: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones."""
    ordered, half = sorted(samples), len(samples) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def std_dev_of(samples: Sequence[float]) -> float | None:
    """The standard deviation of a sample (n - 1), in two passes; None for fewer than two values."""
    if len(samples) < 2:
        return None
    average = average_of(samples)
    return math.sqrt(math.fsum((sample - average) ** 2 for sample in samples) / (len(samples) - 1))


def summarize(samples: Sequence[float]) -> Summary | None:
    """The figures of a sample; None if it is empty."""
    if not samples:
        return None
    ordered = sorted(samples)
    low, high = median_interval(ordered)
    return Summary(
        size=len(ordered),
        median=median_of(ordered),
        average=average_of(ordered),
        std_dev=std_dev_of(ordered),
        least=ordered[0],
        most=ordered[-1],
        p90=supported_percentile(ordered, 90),
        p95=supported_percentile(ordered, 95),
        p99=supported_percentile(ordered, 99),
        median_low=low,
        median_high=high,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile of a sorted sample, interpolated linearly between its neighbours (Hyndman and Fan's type 7)."""
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def supported_percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The percentile, if there are enough samples for it."""
    return percentile(ordered, percent) if len(ordered) >= MIN_SAMPLES[percent] else None


def median_interval(ordered: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
    """An interval of the median by order statistics: no shape of the distribution is assumed.

    The number of samples below the median is binomial with p = 1/2, so the k-th smallest and the k-th largest value
    enclose it with a probability of 1 - 2·P(B < k); the narrowest such pair that reaches `confidence` is taken.
    """
    rank = _deepest_rank(len(ordered), (1 - confidence) / 2)
    if rank == 0:
        return None, None
    return ordered[rank - 1], ordered[-rank]


def _deepest_rank(count: int, tail: float) -> int:
    """The largest k with P(B < k) ≤ `tail` for B binomial over `count` fair throws; 0 if there is none."""
    total, rank = 0.0, 0
    log_all = count * math.log(2)
    while rank <= count // 2:
        total += math.exp(math.lgamma(count + 1) - math.lgamma(rank + 1) - math.lgamma(count - rank + 1) - log_all)
        if total > tail:
            break
        rank += 1
    return rank


def relative_spread(samples: Sequence[float]) -> float | None:
    """Standard deviation over average; None where that has no meaning."""
    deviation = std_dev_of(samples)
    if deviation is None:
        return None
    average = average_of(samples)
    return deviation / average if average > 0 else None


def drift(samples: Sequence[float]) -> float | None:
    """How much slower the second half ran than the first, by their medians: 0.1 is 10 %. None below 4 samples."""
    half = len(samples) // 2
    if half < 2:
        return None
    first, second = median_of(samples[:half]), median_of(samples[-half:])
    return second / first - 1 if first > 0 else None


def outliers(samples: Sequence[float], deviations: float = 3.0) -> int:
    """How many samples lie more than `deviations` median absolute deviations from the median."""
    if len(samples) < 3:
        return 0
    middle = median_of(samples)
    scale = median_of([abs(sample - middle) for sample in samples])
    return sum(abs(sample - middle) > deviations * scale for sample in samples) if scale > 0 else 0


def thinned(samples: Sequence[float], most: int) -> list[float]:
    """At most `most` of the samples, evenly spread over the whole, the first and the last among them."""
    if len(samples) <= most:
        return list(samples)
    step = (len(samples) - 1) / (most - 1)
    return [samples[round(place * step)] for place in range(most)]
