"""Health jobs: the reference model that a device measures now and then, and what its report says of the device.

Pure: what the device has shown before is passed in. How often it is checked, and what becomes of it, is decided where
it is atomic, in the scripts of `daemons.store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import Extend, JobSpec
from daemons.core.results import JobReport
from daemons.core.stats import median_of
from daemons.core.units import STANDARD_UNITS
from daemons.core.urls import BUILTIN
from daemons.core.verdict import INVALID, NOISY

HEALTH: Final = "health"
"""The kind of campaign that a checkup is."""

MODEL: Final = "health-1"
MODEL_URL: Final = f"{BUILTIN}{MODEL}"
MODEL_SHA256: Final = "4ee2b402e96dd9aec5c2e7b777daaa5487bf57c941af4049a19346b8c5bc7ec6"
BUILTIN_MODELS: Final = {MODEL: MODEL_SHA256}
"""Models that every worker of this version brings along, by name: ``reference/NAME.onnx`` beside this module."""

UNITS: Final = (*STANDARD_UNITS, "CPU (OpenVINO)")
"""Those that are known to take an .onnx. What a plug-in of somebody else's offers is not checked."""

SPEC: Final = JobSpec(
    num_inference_runs=50,
    num_load_runs=2,
    timeout_seconds=300.0,
    check_outputs=True,
    extend=Extend(max_runs=200, max_seconds=10.0),
)
"""A health job, but for its unit and its device."""

ENOUGH: Final = 5
"""Earlier figures that it takes to know what is usual."""
SHARE: Final = 0.10
"""Of the usual median: whatever is nearer is no drift."""
DEVIATIONS: Final = 6.0
SIGMAS_PER_MAD: Final = 1.4826
"""Standard deviations in a median absolute deviation, where noise is normal."""

_UNKNOWN: Final = "this worker doesn't know the built-in model"


class Past(Struct, frozen=True):
    """A figure of a checkup that was passed."""

    ms: float
    """The median inference time."""
    made_with: str
    """The engine, its version and the provider: with others, other figures are right."""


class Usual(Struct, frozen=True):
    """What a device usually takes, and how far off is still its own noise."""

    ms: float
    tolerance_ms: float


class Judgement(Struct, frozen=True, kw_only=True):
    """What a health job says of its device."""

    passed: bool | None
    """None: nothing, either way."""
    reason: str | None = None
    """Why it is not passed."""
    median_ms: float | None = None
    usual_ms: float | None = None
    figure: Past | None = None
    """What is kept for the judgements to come."""
    is_in_doubt: bool = False
    """It has drifted in a noisy run: that counts when it happens again at once."""


def unknown_builtin(name: str) -> str:
    """The remark of a job whose built-in model its worker doesn't have."""
    return f"{_UNKNOWN} {name[:100]!r}: upgrade benchfleet on this device"


def usual(past: Sequence[float]) -> Usual | None:
    """What is usual after these figures; None where they are too few."""
    if len(past) < ENOUGH:
        return None
    middle = median_of(past)
    deviation = median_of([abs(one - middle) for one in past])
    return Usual(middle, max(SHARE * middle, DEVIATIONS * SIGMAS_PER_MAD * deviation))


def judge(report: JobReport, unit: str, past: Sequence[Past]) -> Judgement:
    """The judgement on a health job's report, after what the device has shown on this unit before."""
    match report.status:
        case ReportStatus.CANCELLED:
            return Judgement(passed=None, reason="its checkup was cancelled")
        case ReportStatus.FAILED:
            return _failed(unit, report.remark or "its worker gave no reason")
    median_ms = report.inference_ms_median
    if median_ms is None:
        return Judgement(passed=False, reason=f"its reference model was not timed on {unit}")
    if not _are_right(report):
        return Judgement(passed=False, reason=_wrong_outputs(report, unit), median_ms=median_ms)
    return _timed(report, unit, median_ms, past)


def _failed(unit: str, remark: str) -> Judgement:
    if remark.startswith(_UNKNOWN):
        return Judgement(passed=None, reason=remark)
    return Judgement(passed=False, reason=f"its reference model failed on {unit}: {remark}")


def _are_right(report: JobReport) -> bool:
    """Whether the outputs are the reference's, and numbers: NaN in both is told in a warning alone."""
    return report.outputs_agree is True and not any("NaN" in warning for warning in report.warnings)


def _wrong_outputs(report: JobReport, unit: str) -> str:
    """Why they are not right, in the words of the warning that the check gave."""
    about = [warning for warning in report.warnings if "output" in warning]
    told = about[0] if about else "they were not checked"
    return f"its reference model has wrong outputs on {unit}: {told}"


def _timed(report: JobReport, unit: str, median_ms: float, past: Sequence[Past]) -> Judgement:
    """Of a report whose outputs are right: the time alone decides."""
    made_with = f"{report.engine} {report.engine_version}, {report.execution_provider}"
    known = usual([one.ms for one in past if one.made_with == made_with])
    usual_ms = None if known is None else known.ms
    if report.verdict == INVALID:
        return Judgement(passed=True, median_ms=median_ms, usual_ms=usual_ms)
    if known is None or abs(median_ms - known.ms) <= known.tolerance_ms:
        return Judgement(passed=True, median_ms=median_ms, usual_ms=usual_ms, figure=Past(median_ms, made_with))
    return Judgement(
        passed=False,
        reason=_drift(report, unit, median_ms, known),
        median_ms=median_ms,
        usual_ms=usual_ms,
        is_in_doubt=report.verdict == NOISY,
    )


def _drift(report: JobReport, unit: str, median_ms: float, known: Usual) -> str:
    usually = f"{known.ms:.3g} ± {known.tolerance_ms:.2g} ms"
    noise = f"; {'; '.join(report.verdict_reasons)}" if report.verdict_reasons else ""
    return f"its reference model took {median_ms:.3g} ms on {unit} where it usually takes {usually}{noise}"
