"""What a measured job is: its figures, the report that carries them, and the row of a CSV that they become.

Times are in milliseconds, memory in MB of 2^20 bytes. A figure that is not known is absent: an empty cell, never 0.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from daemons.core.lifecycle import ReportStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Figure = Annotated[float, Meta(ge=0)] | None
Count = Annotated[int, Meta(ge=0)] | None
Text = Annotated[str, Meta(max_length=4096)]

MAX_SAMPLES: Final = 10_000


class Measurement(Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The figures of one job, under the CSV's column names.

    `LoadMs*` are over all loads of the job; `LoadMsFirst` and `LoadMsWarmMedian` keep the first and the later ones
    apart. `InferenceMs*` are over the timed runs of the steady state; `InferenceMsFirst` is the very first run.
    Standard deviations are the sample's (n - 1); percentiles interpolate linearly and are absent with too few runs.
    """

    file_name: Text | None = None
    file_size: Count = None
    """Bytes of the model as fetched."""
    compute_units: Text | None = None
    load_ms_median: Figure = None
    load_ms_average: Figure = None
    load_ms_std_dev: Figure = None
    peak_load_ram_usage: Figure = None
    inference_ms_median: Figure = None
    inference_ms_average: Figure = None
    inference_ms_std_dev: Figure = None
    peak_inference_ram_usage: Figure = None
    load_ms_first: Figure = None
    load_ms_warm_median: Figure = None
    load_ms_min: Figure = None
    load_ms_max: Figure = None
    inference_ms_first: Figure = None
    inference_ms_min: Figure = None
    inference_ms_max: Figure = None
    inference_ms_p90: Figure = None
    inference_ms_p95: Figure = None
    inference_ms_p99: Figure = None
    inference_ms_median_low: Figure = None
    """Lower end of the 95 % confidence interval of the median, by order statistics."""
    inference_ms_median_high: Figure = None
    inferences_per_second: Figure = None
    load_runs: Count = None
    warmup_runs: Count = None
    inference_runs: Count = None
    baseline_ram_usage: Figure = None
    """Resident memory of the measuring process before the model, to be taken off the peaks."""
    cpu_usage: Figure = None
    """Processor seconds per second of the timed runs: 2.0 is two cores kept busy."""
    threads: Count = None
    engine: Text | None = None
    engine_version: Text | None = None
    execution_provider: Text | None = None
    """The execution providers that the loaded model really uses, in their order."""
    provider_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    """The share of the graph's nodes that the unit's own provider took, where the engine tells."""
    node_placement: Text | None = None
    """How many nodes each provider took, such as ``CUDAExecutionProvider 118, CPUExecutionProvider 4``."""
    placement_policy: Text | None = None
    """What the job asked of the placement, which it has met: ``majority``, ``strict`` or ``any``."""
    transfer: Literal["included", "excluded"] | None = None
    """Whether the timed run includes moving inputs and outputs to and from the unit; None where there is no way."""
    precision: Text | None = None
    """The narrowest floating-point type that the engine may compute in, where it tells."""
    compile_cache: Text | None = None
    """Whether the engine's cache of compiled models was ``empty`` or ``filled`` before the first load."""
    gpu_name: Text | None = None
    gpu_driver: Text | None = None
    gpu_memory_total: Figure = None
    gpu_memory_after_load: Figure = None
    """In use on the whole GPU at the end of the phase, by all programs: NVML keeps no peak."""
    gpu_memory_after_inference: Figure = None
    gpu_utilization: Figure = None
    """Per cent of the GPU's last sampling period in which something ran on it, at the end of the timed runs."""
    gpu_clock_mhz: Figure = None
    """Of the streaming multiprocessors, at the end of the timed runs."""
    gpu_throttle_reasons: Text | None = None
    """Why the GPU's clock was held down at the end of the timed runs; ``none`` if it wasn't."""
    output_max_abs_diff: Figure = None
    output_max_rel_diff: Figure = None
    output_psnr: Figure = None
    """Peak signal-to-noise ratio of the outputs in dB, of the worst output; None if they are identical."""
    outputs_agree: bool | None = None
    """Whether no output is further from the reference's than the tolerance; None where that was not checked."""
    output_reference: Text | None = None
    """What the outputs were compared with."""
    input_shapes: Text | None = None
    model_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the model's bytes."""
    verdict: Literal["stable", "noisy", "invalid"] | None = None
    """Whether the figures can be trusted; None where nothing was measured."""
    verdict_reasons: list[Text] = []
    warnings: list[Text] = []
    remark: Text | None = None


class Samples(Struct, frozen=True, kw_only=True, rename="pascal"):
    """Every single timing, in the order of measuring; at most `MAX_SAMPLES` of each, evenly thinned beyond."""

    load_ms: Annotated[list[Annotated[float, Meta(ge=0)]], Meta(max_length=MAX_SAMPLES)] = []
    inference_ms: Annotated[list[Annotated[float, Meta(ge=0)]], Meta(max_length=MAX_SAMPLES)] = []


Conditions = dict[str, dict[str, str | float | bool | None]]
"""``before`` and ``after`` → what was read of the device then, by name; None is "could not be read"."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How an attempt ended on the device: figures and samples, or the reason why there are none."""

    status: ReportStatus
    measurement: Measurement
    samples: Samples = Samples()
    conditions: Conditions = {}
    is_device_failure: bool = False
    """It failed because this device could not do its part: another attempt may go better."""


class JobReport(Measurement, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The body of `POST /api/jobs/{job_id}/result`: who measured which attempt, and the figures flat beside it."""

    worker_id: Text = msgspec.field(name="worker_id")
    attempt: Annotated[int, Meta(ge=1)] = msgspec.field(name="attempt")
    status: ReportStatus = msgspec.field(name="status")
    is_device_failure: bool = msgspec.field(name="is_device_failure", default=False)
    samples: Samples | None = None
    conditions: Conditions = {}


def report(worker_id: str, attempt: int, outcome: Outcome) -> JobReport:
    """The report that delivers `outcome`."""
    figures = {name: getattr(outcome.measurement, name) for name in Measurement.__struct_fields__}
    return JobReport(
        worker_id=worker_id,
        attempt=attempt,
        status=outcome.status,
        samples=outcome.samples if outcome.samples != Samples() else None,
        conditions=outcome.conditions,
        is_device_failure=outcome.is_device_failure,
        **figures,
    )


def figures(job_report: JobReport) -> dict[str, Any]:
    """The figures of a report alone, by column name: what is kept as the job's result."""
    measurement = Measurement(**{name: getattr(job_report, name) for name in Measurement.__struct_fields__})
    kept: dict[str, Any] = msgspec.to_builtins(measurement)
    return kept


def evidence(job_report: JobReport) -> dict[str, Any]:
    """What stands behind the figures: samples and conditions, kept apart from the row, for they may be large."""
    kept: dict[str, Any] = {}
    if job_report.samples:
        kept["Samples"] = msgspec.to_builtins(job_report.samples)
    if job_report.conditions:
        kept["Conditions"] = job_report.conditions
    return kept


_MEASURED: Final = Measurement.__struct_encode_fields__
_AFTER_DEVICE: Final = _MEASURED.index("LoadMsMedian")
_END_OF_FIGURES: Final = _MEASURED.index("Verdict")

DEVICE_COLUMNS: Final = ("DeviceName", "Soc", "Ram", "DeviceOs")

SEED_COLUMNS: Final = (
    "Status",
    "JobId",
    "FileName",
    "FileSize",
    "ComputeUnits",
    *DEVICE_COLUMNS,
    "LoadMsMedian",
    "LoadMsAverage",
    "LoadMsStdDev",
    "PeakLoadRamUsage",
    "InferenceMsMedian",
    "InferenceMsAverage",
    "InferenceMsStdDev",
    "PeakInferenceRamUsage",
)
"""The columns that existing readers rely on: always first, always in this order."""

TRACE_COLUMNS: Final = ("CampaignId", "WorkerId", "Attempt", "StartedAt", "EndedAt")
"""Where a figure comes from: enough to find the attempt that made it in the logs of its device."""

COLUMNS: Final = (
    *SEED_COLUMNS,
    *(name for name in _MEASURED[_AFTER_DEVICE:_END_OF_FIGURES] if name not in SEED_COLUMNS),
    *TRACE_COLUMNS,
    "Verdict",
    "VerdictReasons",
    "Warnings",
    "Remark",
)
"""All columns of a campaign's CSV, in order."""

LIST_COLUMNS: Final = ("VerdictReasons", "Warnings")

_SMALL: Final = 1e-3

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def _text_cell(text: str) -> str:
    """Text that no spreadsheet runs as a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def cell(value: object) -> str:
    """One value as a CSV cell: unknown is empty, lists are joined by ``; ``.

    Floats keep six decimals at most; one that is not 0 and has nothing in its first three is written as ``2.384e-07``.
    """
    match value:
        case None:
            return ""
        case float() if 0 < abs(value) < _SMALL:
            return f"{value:.4g}"
        case float():
            return f"{value:.6f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return _text_cell("; ".join(str(item) for item in value))
        case str():
            return _text_cell(value)
        case _:
            return str(value)


def to_csv(rows: Iterable[Mapping[str, object]]) -> str:
    """A whole CSV document, header first, one line per row, in the order of `COLUMNS` (RFC 4180 quoting)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(row.get(column)) for column in COLUMNS] for row in rows)
    return text.getvalue()


def csv_filename(campaign_id: str, ended_at: str) -> str:
    """The name of a campaign's CSV file. `ended_at` is ISO 8601 in UTC, so the same campaign gets the same name."""
    date, _, time = ended_at.partition("T")
    return f"{campaign_id}_{date.replace('-', '')}_{time[:8].replace(':', '')}_results.csv"
