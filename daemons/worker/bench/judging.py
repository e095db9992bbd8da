"""Puts the verdict on an outcome: its samples, the device's conditions, and what others took of the processor."""

from __future__ import annotations

import time

import psutil
from msgspec import structs

from daemons.core.lifecycle import ReportStatus
from daemons.core.results import Outcome
from daemons.core.verdict import Readings, judge
from daemons.worker.bench.nvidia import is_throttled


class ProcessorWatch:
    """What all programs together take of the processor from here on. Time stolen by other virtual machines counts."""

    def __init__(self) -> None:
        self._busy_s = _busy_s()
        self._began_s = time.monotonic()

    def share_of_others(self, own_s: float) -> float | None:
        """The share of all cores' time that others took, if `own_s` of it was the measurement's."""
        elapsed_s = (time.monotonic() - self._began_s) * (psutil.cpu_count() or 1)
        if elapsed_s <= 0:
            return None
        return min(1.0, max(0.0, (_busy_s() - self._busy_s - own_s) / elapsed_s))


def _busy_s() -> float:
    times = psutil.cpu_times()
    # On Linux guest time is counted within user and nice, too.
    return float(
        sum(times)
        - times.idle
        - getattr(times, "iowait", 0.0)
        - getattr(times, "guest", 0.0)
        - getattr(times, "guest_nice", 0.0)
    )


def _held_down(outcome: Outcome) -> Readings:
    """What held the GPU down while the model ran: afterwards it is idle, and says nothing any more."""
    reasons = outcome.measurement.gpu_throttle_reasons
    return {} if reasons is None else {"gpu_throttle_reasons": reasons, "gpu_throttled": is_throttled(reasons)}


def judged(outcome: Outcome, before: Readings, after: Readings, watch: ProcessorWatch) -> Outcome:
    """The outcome with conditions and, if something was measured, verdict and reasons."""
    own_s = outcome.conditions.get("own", {}).get("cpu_s")
    others = watch.share_of_others(own_s) if isinstance(own_s, float) else None
    after = {**after, "others_cpu_share": others, **_held_down(outcome)}
    conditions = {"before": dict(before), "after": after}
    if outcome.status is not ReportStatus.COMPLETE:
        return structs.replace(outcome, conditions=conditions)
    verdict = judge(outcome.samples.inference_ms, before, after)
    measurement = structs.replace(outcome.measurement, verdict=verdict.word, verdict_reasons=verdict.reasons)
    return structs.replace(outcome, measurement=measurement, conditions=conditions)
