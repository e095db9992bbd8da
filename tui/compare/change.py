"""How much one group of measurements differs from another, with an interval of that change. Pure arithmetic.

What a device has measured is one job or several, each in a process of its own. With two or more on both sides the jobs'
medians are averaged on the logarithmic scale, and Welch's interval of the difference counts processes, not runs: it
knows how much one process differs from the next. With a single job on a side nothing is known of that, and the interval
is made of the medians' own: the lowest that the head may be over the highest that the base may be, and the reverse. If
each of two intervals holds its median with 95 %, both hold with 90 % at least, whatever the distributions; for medians
that scatter about normally the quotient is inside with more than 95 %. Such a change is one between two runs.

Source: Welch, "The generalization of Student's problem when several different population variances are involved",
Biometrika 34, 1947, with the degrees of freedom rounded down, which widens the interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from daemons.core.compare import t_quantile
from daemons.core.stats import CONFIDENCE, average_of, std_dev_of

By = Literal["jobs", "runs"]


class Median(NamedTuple):
    """A job's median and the ends of its interval, in the figure's own unit; None where too few runs support one."""

    value: float
    low: float | None = None
    high: float | None = None


class Change(NamedTuple):
    """How the head relates to the base: 1.25 is a quarter more."""

    ratio: float
    low: float | None
    """Ends of its interval; None where nothing supports one."""
    high: float | None
    by: By
    """Whether the interval is one over jobs, each in a process of its own, or over the runs of two of them."""

    @property
    def differs(self) -> bool | None:
        """Whether it is more than noise; None: nobody can tell."""
        if self.low is None or self.high is None:
            return None
        return not self.low <= 1 <= self.high


def change_of(base: Sequence[Median], head: Sequence[Median]) -> Change | None:
    """The change from base to head; None where there is no ratio, for a median is 0 or there is none."""
    if not base or not head or min(one.value for one in (*base, *head)) <= 0:
        return None
    logarithms = [[math.log(one.value) for one in side] for side in (base, head)]
    centre = average_of(logarithms[1]) - average_of(logarithms[0])
    reach = _welch(*logarithms)
    if reach:
        return Change(math.exp(centre), math.exp(centre - reach), math.exp(centre + reach), "jobs")
    return Change(math.exp(centre), *_of_intervals(base, head), "runs")


def middle_of(side: Sequence[Median]) -> float:
    """The geometric mean of the medians: what `change_of` compares."""
    if len(side) == 1 or min(one.value for one in side) <= 0:
        return average_of([one.value for one in side])
    return math.exp(average_of([math.log(one.value) for one in side]))


def hull_of(side: Sequence[Median]) -> tuple[float | None, float | None]:
    """From the lowest to the highest end of the medians' intervals: at least as wide as any of them."""
    lows = [one.low for one in side if one.low is not None]
    highs = [one.high for one in side if one.high is not None]
    return (min(lows), max(highs)) if side and len(lows) == len(highs) == len(side) else (None, None)


_NO_ENDS: Final = (None, None)


def _of_intervals(base: Sequence[Median], head: Sequence[Median]) -> tuple[float | None, float | None]:
    base_low, base_high = hull_of(base)
    head_low, head_high = hull_of(head)
    if base_low is None or base_high is None or head_low is None or head_high is None or base_low <= 0:
        return _NO_ENDS
    return head_low / base_high, head_high / base_low


def _welch(base: Sequence[float], head: Sequence[float]) -> float | None:
    """Half the width of the interval of the means' difference; None, or 0, where their scatter tells nothing."""
    deviations = [std_dev_of(side) for side in (base, head)]
    if deviations[0] is None or deviations[1] is None:
        return None
    parts = [
        deviation**2 / len(side)
        for deviation, side in zip(deviations, (base, head), strict=True)
        if deviation is not None
    ]
    total = math.fsum(parts)
    if total <= 0:
        return 0.0
    shares = [part**2 / (len(side) - 1) for part, side in zip(parts, (base, head), strict=True)]
    degrees = total**2 / math.fsum(shares) if math.fsum(shares) > 0 else min(len(base), len(head)) - 1
    return t_quantile(CONFIDENCE, max(1, math.floor(degrees))) * math.sqrt(total)
