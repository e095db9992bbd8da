"""Whether figures can be trusted, and why not: rules that can be said in a sentence, over plain numbers.

Works without msgspec, since the measuring process asks it, too, when a noisy run may go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from daemons.core.stats import drift, median_interval, median_of, outliers, relative_spread

STABLE: Final = "stable"
NOISY: Final = "noisy"
INVALID: Final = "invalid"

WIDE_SPREAD: Final = 0.05
"""Standard deviation over average."""
STRONG_DRIFT: Final = 0.05
"""Median of the second half of the runs against that of the first."""
MANY_OUTLIERS: Final = 0.10
"""Share of the runs that lie far out."""
WIDE_INTERVAL: Final = 0.05
"""Width of the median's 95 % confidence interval over the median."""
SHORTEST_RUN_MS: Final = 0.001
"""A run of a microsecond is a few readings of the clock."""
BUSY_GPU: Final = 10.0
"""Per cent of the time in which something ran on the GPU before the measurement began."""
BUSY_OTHERS: Final = 0.10
"""Share of all processor time that others used meanwhile."""

Readings = Mapping[str, str | float | bool | None]


class Verdict(NamedTuple):
    """`stable`, `noisy` or `invalid`; the reasons for anything but stable."""

    word: str
    reasons: list[str]


def judge(runs_ms: Sequence[float], before: Readings, after: Readings) -> Verdict:
    """The verdict on timed runs, with what was read of the device before and after them."""
    broken = invalidity(runs_ms)
    if broken:
        return Verdict(INVALID, broken)
    doubts = [*sample_doubts(runs_ms), *condition_doubts(before, after)]
    return Verdict(NOISY, doubts) if doubts else Verdict(STABLE, [])


def invalidity(runs_ms: Sequence[float]) -> list[str]:
    """Why the runs mean nothing at all."""
    if not runs_ms:
        return ["nothing was timed"]
    if median_of(runs_ms) < SHORTEST_RUN_MS:
        return ["a run is shorter than the clock can tell"]
    return []


def sample_doubts(runs_ms: Sequence[float]) -> list[str]:
    """What the samples themselves say against their figures."""
    doubts = [_spread_doubt(runs_ms), _drift_doubt(runs_ms), _outlier_doubt(runs_ms), _interval_doubt(runs_ms)]
    return [doubt for doubt in doubts if doubt]


def _spread_doubt(runs_ms: Sequence[float]) -> str | None:
    spread = relative_spread(runs_ms)
    if spread is None or spread <= WIDE_SPREAD:
        return None
    return f"the runs spread by {spread:.1%} of their average (over {WIDE_SPREAD:.0%})"


def _drift_doubt(runs_ms: Sequence[float]) -> str | None:
    shift = drift(runs_ms)
    if shift is None or abs(shift) <= STRONG_DRIFT:
        return None
    return f"the second half of the runs was {abs(shift):.1%} {'slower' if shift > 0 else 'faster'} than the first"


def _outlier_doubt(runs_ms: Sequence[float]) -> str | None:
    far_out = outliers(runs_ms)
    if far_out <= MANY_OUTLIERS * len(runs_ms):
        return None
    return f"{far_out} of {len(runs_ms)} runs lie more than 3 median absolute deviations out"


def _interval_doubt(runs_ms: Sequence[float]) -> str | None:
    low, high = median_interval(sorted(runs_ms))
    if low is None or high is None:
        return f"{len(runs_ms)} runs are too few to tell how sure the median is; it takes 6"
    width = (high - low) / median_of(runs_ms)
    if width <= WIDE_INTERVAL:
        return None
    return f"the median is known to {width:.1%} only (95 % interval over {WIDE_INTERVAL:.0%} wide); more runs narrow it"


def condition_doubts(before: Readings, after: Readings) -> list[str]:
    """What the device's conditions say against the figures."""
    doubts = []
    if _has_grown("throttle_count", before, after) or after.get("thermal_state") not in (None, "nominal"):
        doubts.append("the processor was throttled by its heat")
    others = after.get("others_cpu_share")
    if isinstance(others, float) and others > BUSY_OTHERS:
        doubts.append(f"other programs used {others:.0%} of the processor meanwhile")
    doubts += _gpu_doubts(before, after)
    if "battery" in (before.get("power_source"), after.get("power_source")):
        doubts.append("the device ran on its battery")
    return doubts


def _gpu_doubts(before: Readings, after: Readings) -> list[str]:
    doubts = []
    if after.get("gpu_throttled") is True:
        doubts.append(f"the GPU's clock was held down: {after.get('gpu_throttle_reasons')}")
    busy = before.get("gpu_utilization")
    if isinstance(busy, float) and busy > BUSY_GPU:
        doubts.append(f"other programs kept the GPU busy for {busy:.0f} % of the time before")
    return doubts


def _has_grown(name: str, before: Readings, after: Readings) -> bool:
    earlier, later = before.get(name), after.get(name)
    return isinstance(earlier, float) and isinstance(later, float) and later > earlier
