"""From what was measured to the figures of a row: pure arithmetic over plain numbers.

Made in the measuring process, so it works without msgspec: figures are a dict by CSV column name.
"""

from __future__ import annotations

from typing import Any, Final

from daemons.core.stats import Summary, drift, outliers, relative_spread, summarize, thinned
from daemons.core.verdict import STRONG_DRIFT, WIDE_SPREAD
from daemons.worker.bench.measure import Taken
from daemons.worker.bench.placement import node_placement

MB: Final = 2**20
NS_PER_MS: Final = 1e6
MAX_SAMPLES: Final = 10_000


def figures(taken: Taken) -> dict[str, Any]:
    """Column → figure; what is not known is left out."""
    runs = _milliseconds(taken.runs)
    columns = {
        **_load_figures(_milliseconds(taken.loads)),
        **_inference_figures(runs),
        **_memory_figures(taken),
        **(taken.gpu if taken.facts.gpu == "nvidia" else {}),
        "InferenceMsFirst": taken.first_run / NS_PER_MS if taken.first_run else None,
        "LoadRuns": len(taken.loads),
        "WarmupRuns": len(taken.warmups),
        "InferenceRuns": len(taken.runs),
        "CpuUsage": taken.cpu_s / taken.wall_s if taken.wall_s > 0 else None,
        "Threads": taken.facts.threads,
        "ExecutionProvider": ", ".join(taken.facts.providers),
        "ProviderShare": taken.facts.provider_share,
        "NodePlacement": node_placement(taken.facts.nodes),
        "Transfer": taken.facts.transfer,
        "Precision": taken.facts.precision,
        "CompileCache": taken.facts.compile_cache,
        "InputShapes": taken.shapes[:4096],
    }
    return {name: value for name, value in columns.items() if value is not None}


def samples(taken: Taken) -> dict[str, list[float]]:
    """Every single timing in milliseconds, evenly thinned where they are too many to keep."""
    return {
        "LoadMs": thinned(_milliseconds(taken.loads), MAX_SAMPLES),
        "InferenceMs": thinned(_milliseconds(taken.runs), MAX_SAMPLES),
    }


def sample_warnings(taken: Taken) -> list[str]:
    """What the samples themselves say against believing their figures."""
    runs = _milliseconds(taken.runs)
    said = []
    spread = relative_spread(runs)
    if spread is not None and spread > WIDE_SPREAD:
        said.append(f"the runs spread by {spread:.1%} of their average")
    shift = drift(runs)
    if shift is not None and abs(shift) > STRONG_DRIFT:
        said.append(f"the second half of the runs was {abs(shift):.1%} {'slower' if shift > 0 else 'faster'}")
    if far_out := outliers(runs):
        said.append(f"{far_out} of {len(runs)} runs lie more than 3 median absolute deviations out")
    if not taken.peaks_are_per_phase:
        said.append(
            "this system doesn't begin a new memory peak for each phase: one that an earlier phase exceeded is left out"
        )
    return said


def _milliseconds(nanoseconds: list[int]) -> list[float]:
    return [value / NS_PER_MS for value in nanoseconds]


def _load_figures(loads: list[float]) -> dict[str, Any]:
    summary, warm = summarize(loads), summarize(loads[1:])
    assert summary is not None  # noqa: S101 (there is always a first load)
    return {
        **_common("Load", summary),
        "LoadMsFirst": loads[0],
        "LoadMsWarmMedian": warm.median if warm else None,
    }


def _inference_figures(runs: list[float]) -> dict[str, Any]:
    summary = summarize(runs)
    if summary is None:
        return {}
    return {
        **_common("Inference", summary),
        "InferenceMsP90": summary.p90,
        "InferenceMsP95": summary.p95,
        "InferenceMsP99": summary.p99,
        "InferenceMsMedianLow": summary.median_low,
        "InferenceMsMedianHigh": summary.median_high,
        "InferencesPerSecond": 1000 / summary.average if summary.average > 0 else None,
    }


def _common(phase: str, summary: Summary) -> dict[str, Any]:
    return {
        f"{phase}MsMedian": summary.median,
        f"{phase}MsAverage": summary.average,
        f"{phase}MsStdDev": summary.std_dev,
        f"{phase}MsMin": summary.least,
        f"{phase}MsMax": summary.most,
    }


def _memory_figures(taken: Taken) -> dict[str, Any]:
    peaks = {
        "BaselineRamUsage": taken.baseline,
        "PeakLoadRamUsage": taken.load_peak,
        "PeakInferenceRamUsage": taken.inference_peak,
    }
    return {name: value / MB for name, value in peaks.items() if value is not None}
