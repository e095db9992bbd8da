"""The subjects of one plan, each against its base: which rounds count, and what they say in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from daemons.cli.bench_plan import Plan
from daemons.cli.bench_run import Result
from daemons.core.compare import Comparison, compare_rounds

INFERENCE: Final = "InferenceMsMedian"
METRICS: Final = {
    INFERENCE: ("inference time", "takes", "the time of"),
    "LoadMsMedian": ("load time", "loads in", "the time of"),
    "PeakInferenceRamUsage": ("peak memory", "uses", "the peak memory of"),
}
"""Column that is compared → what it is, and the words around its ratio."""


class Versus(NamedTuple):
    """One subject against another, by one figure, at one batch size."""

    base: str
    head: str
    batch: int | None
    metric: str
    comparison: Comparison

    @property
    def sentence(self) -> str:
        """What the rounds say."""
        what, verb, than = METRICS[self.metric]
        ratio = f"{self.head} {verb} {self.ratio}x {than} {self.base}"
        if self.comparison.low is None:
            return f"{ratio} in the one round that there is; it takes two to judge by"
        if self.comparison.differs:
            return f"{ratio} ({self._sure})"
        return f"no difference in {what} can be shown between {self.head} and {self.base} ({self._sure})"

    @property
    def ratio(self) -> str:
        """The ratio in figures."""
        return f"{self.comparison.ratio:.{self._digits}f}"

    @property
    def interval(self) -> str:
        """Both ends in figures; a dash where there are none."""
        low, high = self.comparison.low, self.comparison.high
        return "—" if low is None or high is None else f"{low:.{self._digits}f} to {high:.{self._digits}f}"

    @property
    def _sure(self) -> str:
        return f"{self.comparison.confidence * 100:.0f} % sure between {self.interval.replace(' to ', ' and ')}"

    @property
    def _digits(self) -> int:
        return digits_for(self.comparison.low or self.comparison.ratio, self.comparison.high or self.comparison.ratio)

    @property
    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "base": self.base,
            "head": self.head,
            "batch_size": self.batch,
            "metric": self.metric,
            "ratio": self.comparison.ratio,
            "low": self.comparison.low,
            "high": self.comparison.high,
            "confidence": self.comparison.confidence,
            "differs": self.comparison.differs,
            "rounds": len(self.comparison.ratios),
            "ratios": list(self.comparison.ratios),
            "sentence": self.sentence,
        }


def digits_for(low: float, high: float) -> int:
    """Decimals that tell the ends of an interval from each other, from 1 and from 0: two at least, six at most."""
    for digits in range(2, 6):
        ends = {f"{low:.{digits}f}", f"{high:.{digits}f}"}
        told_apart = low == high or (len(ends) == 2 and f"{1:.{digits}f}" not in ends)
        if told_apart and low * 10**digits >= 10:
            return digits
    return 6


def compare_all(plan: Plan, results: Sequence[Result]) -> list[Versus]:
    """Every comparison that the results allow: a round counts where both subjects were measured in it."""
    return [versus for batch in plan.batches for versus in _at_batch(plan, results, batch)]


def _at_batch(plan: Plan, results: Sequence[Result], batch: int | None) -> Iterator[Versus]:
    for base, head in plan.pairs:
        for metric in METRICS:
            comparison = compare_rounds(_rounds_of(results, batch, (base, head), metric))
            if comparison is not None:
                yield Versus(plan.labels[base], plan.labels[head], batch, metric, comparison)


def _rounds_of(
    results: Sequence[Result], batch: int | None, pair: tuple[int, int], metric: str
) -> list[tuple[float, float]]:
    """The figures of a pair for each round that has both."""
    base, head = pair
    figures = {
        (result.case.round, result.case.subject): result.row[metric]
        for result in results
        if result.case.batch == batch and result.row.get(metric) is not None
    }
    rounds = sorted({round_ for round_, _ in figures})
    return [
        (figures[round_, base], figures[round_, head])
        for round_ in rounds
        if (round_, base) in figures and (round_, head) in figures
    ]
