"""Whether one series of measurements differs from another, as a ratio with its interval. Pure arithmetic.

The unit of repetition is a round: each thing is measured once in a round, in a process of its own, and the order is
reversed from round to round (A B, B A, …), so that a steady drift of the device cancels out. A round's ratio is made of
medians; the rounds' ratios are averaged on the logarithmic scale, where half and double are equally far from 1, and
Student's t over the rounds, not over the single runs, gives the interval. Runs of one process resemble each other more
than those of two (memory layout, placement of threads), so an interval over runs would be too narrow.

Sources: Georges, Buytaert, Eeckhout, "Statistically Rigorous Java Performance Evaluation", OOPSLA 2007, for processes
as the unit and Student's t with few of them; Fleming, Wallace, "How not to lie with statistics", CACM 29(3), 1986, for
the geometric mean of ratios; Abramowitz, Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4, for Student's
distribution with whole degrees of freedom.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from daemons.core.stats import CONFIDENCE, average_of, std_dev_of

BISECTIONS: Final = 60
"""As many as a float has binary places."""


class Comparison(NamedTuple):
    """How a head relates to its base: 1.25 is a quarter more."""

    ratio: float
    """The geometric mean of the rounds' ratios."""
    low: float | None
    """Ends of the interval of the ratio; None with a single round."""
    high: float | None
    ratios: tuple[float, ...]
    """One for each round, in their order."""
    confidence: float

    @property
    def differs(self) -> bool:
        """Whether a difference is shown: "none" lies outside the interval."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def compare_rounds(pairs: Sequence[tuple[float, float]], confidence: float = CONFIDENCE) -> Comparison | None:
    """The comparison of (base, head) pairs, one pair of medians a round; None where no pair has a ratio.

    A pair with a zero in it has none, and is left out.
    """
    ratios = tuple(head / base for base, head in pairs if base > 0 and head > 0)
    if not ratios:
        return None
    logarithms = [math.log(ratio) for ratio in ratios]
    centre = average_of(logarithms)
    reach = _reach(logarithms, confidence)
    return Comparison(
        ratio=math.exp(centre),
        low=None if reach is None else math.exp(centre - reach),
        high=None if reach is None else math.exp(centre + reach),
        ratios=ratios,
        confidence=confidence,
    )


def _reach(values: Sequence[float], confidence: float) -> float | None:
    """Half the width of the interval of the values' mean."""
    deviation = std_dev_of(values)
    if deviation is None:
        return None
    return t_quantile(confidence, len(values) - 1) * deviation / math.sqrt(len(values))


@functools.cache
def t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| < t) = `confidence` under Student's distribution: 12.71 for 0.95 and one degree of freedom.

    `confidence` is between 0 and 1, `degrees` at least 1.
    """
    # The angle atan(t / √degrees) lies between 0 and a right angle: bisecting it needs no first guess.
    low, high = 0.0, math.pi / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _within(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """P(|T| < tan(angle)·√degrees), by the finite series for odd and for even degrees of freedom."""
    cosine, is_odd = math.cos(angle), degrees % 2
    term, total = (cosine if is_odd else 1.0), 0.0
    for place in range(is_odd, degrees - 1, 2):
        total += term
        term *= (place + 1) / (place + 2) * cosine**2
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if is_odd else total
