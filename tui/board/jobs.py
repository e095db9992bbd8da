"""The table of a campaign's jobs, with their figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from tui.board.cells import BAD, WARN, Cell, figure, plain, status_cell
from tui.board.columns import Column, Scene, Sortable, by_number, by_text
from tui.board.moments import duration, seconds_of
from tui.board.things import Job


class Figures(Struct, frozen=True, kw_only=True, gc=False):
    """The figures of a job, as far as they are shown. Times in milliseconds, memory in MB."""

    job_id: str
    device: str | None
    unit: str | None
    median_ms: float | None
    low_ms: float | None
    high_ms: float | None
    load_ms: float | None
    peak_mb: float | None
    verdict: str | None
    remark: str | None


def figures_of(record: Mapping[str, Any]) -> Figures:
    """The figures in a record of the API's results."""
    return Figures(
        job_id=record["JobId"],
        device=record.get("DeviceName"),
        unit=record.get("ComputeUnits"),
        median_ms=record.get("InferenceMsMedian"),
        low_ms=record.get("InferenceMsMedianLow"),
        high_ms=record.get("InferenceMsMedianHigh"),
        load_ms=record.get("LoadMsMedian"),
        peak_mb=record.get("PeakInferenceRamUsage"),
        verdict=record.get("Verdict"),
        remark=record.get("Remark"),
    )


def shown_status(job: Job) -> str:
    """Its status, or that it is about to end."""
    return "stopping" if job.cancel_requested and job.status == "running" else job.status


def device(job: Job, scene: Scene) -> str:
    """The device that has it or had it, by name where it is known."""
    if not job.worker_id:
        return ""
    worker = scene.board.workers.get(job.worker_id)
    return plain(worker.device_name if worker else job.worker_id)


def work(job: Job, scene: Scene) -> Cell:
    """How far it is, or what its end had to say."""
    if job.status == "running" and job.worker_id:
        worker = scene.board.workers.get(job.worker_id)
        progress = scene.board.progress_of(worker) if worker and worker.current_job == job.job_id else None
        if progress:
            count = f" {progress.done}/{progress.total}" if progress.total else ""
            return Cell(f"{plain(progress.phase)}{count}", "busy")
        return Cell("")
    known: Figures | None = scene.figures(job.job_id)
    if known is None:
        return Cell("")
    if job.status == "failed":
        return Cell(plain(known.remark), BAD)
    return status_cell(known.verdict) if known.verdict else Cell(plain(known.remark), WARN)


def took_s(job: Job, scene: Scene) -> float | None:
    """How long its last attempt took, or has taken so far."""
    begun, ended = seconds_of(job.started_at), seconds_of(job.ended_at)
    if begun is None or job.status == "pending":
        return None
    return max(0.0, (ended if ended is not None else scene.now_s) - begun)


def _figure(name: str) -> Any:
    def cell(job: Job, scene: Scene) -> Cell:
        known = scene.figures(job.job_id)
        return Cell(figure(getattr(known, name)) if known else "")

    return cell


def _by_figure(name: str) -> Any:
    def sort(job: Job, scene: Scene) -> Sortable:
        known = scene.figures(job.job_id)
        return by_number(getattr(known, name) if known else None)

    return sort


def interval(known: Figures | None) -> str:
    """The 95 % interval of the median, in ms; empty where there is none."""
    if known is None or known.low_ms is None or known.high_ms is None:
        return ""
    return f"{figure(known.low_ms)} … {figure(known.high_ms)}"


COLUMNS: Final[tuple[Column[Job], ...]] = (
    Column("job", 5, lambda one, _: Cell(str(one.position)), lambda one, _: by_number(one.position), 0),
    Column("status", 11, lambda one, _: status_cell(shown_status(one)), lambda one, _: by_text(shown_status(one)), 1),
    Column("unit", 12, lambda one, _: Cell(plain(one.compute_unit)), lambda one, _: by_text(one.compute_unit), 2, 2),
    Column(
        "device", 12, lambda one, scene: Cell(device(one, scene)), lambda one, scene: by_text(device(one, scene)), 3, 2
    ),
    Column("median", 10, _figure("median_ms"), _by_figure("median_ms"), 4, is_right=True, heading="median ms"),
    Column("note", 14, work, None, 5, 3),
    Column(
        "interval",
        17,
        lambda one, scene: Cell(interval(scene.figures(one.job_id))),
        None,
        6,
        is_right=True,
        heading="95 % interval, ms",
    ),
    Column("load", 9, _figure("load_ms"), _by_figure("load_ms"), 7, is_right=True, heading="load ms"),
    Column("peak", 8, _figure("peak_mb"), _by_figure("peak_mb"), 8, is_right=True, heading="peak MB"),
    Column(
        "took",
        10,
        lambda one, scene: Cell(duration(took_s(one, scene))),
        lambda one, scene: by_number(took_s(one, scene)),
        9,
        is_right=True,
    ),
    Column(
        "attempt", 7, lambda one, _: Cell(str(one.attempt)), lambda one, _: by_number(one.attempt), 10, is_right=True
    ),
)
