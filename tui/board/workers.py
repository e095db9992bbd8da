"""The table of devices."""

from __future__ import annotations

from typing import Final

from tui.board.cells import BUSY, NOTHING, WARN, Cell, bar, plain, status_cell
from tui.board.columns import Column, Scene, by_number, by_text
from tui.board.moments import seconds_of, short_duration
from tui.board.things import Worker

BAR_WIDTH: Final = 8


def shown_status(worker: Worker) -> str:
    """Its status, or that it is drained where it would be ready otherwise."""
    return "drained" if worker.drained and worker.status == "active" else str(worker.status)


def status(worker: Worker, _scene: Scene) -> Cell:
    """A device's status."""
    cell = status_cell(shown_status(worker))
    return Cell(cell.text + " ‖", WARN) if worker.drained and worker.status == "busy" else cell


def work(worker: Worker, scene: Scene) -> Cell:
    """What it does: the job, its phase, and how far it is."""
    if not worker.current_job:
        return Cell(plain(worker.faulty_reason), WARN) if worker.faulty_reason else NOTHING
    progress = scene.board.progress_of(worker)
    phase = f" {plain(progress.phase)}" if progress else ""
    return Cell(f"{short_job(worker.current_job)}{phase}{progress_text(worker, scene)}", BUSY)


def progress_text(worker: Worker, scene: Scene, width: int = BAR_WIDTH) -> str:
    """How far its job's phase is, as a bar and as a count; empty where that is not known."""
    progress = scene.board.progress_of(worker)
    if progress is None or progress.total is None or progress.done is None:
        return ""
    return f" {bar(progress.done, progress.total, width)} {progress.done}/{progress.total}"


def short_job(job_id: str) -> str:
    """A job by the last digits of its campaign and its place: ``…7890/3``."""
    campaign, _, position = job_id.rpartition("-job-")
    return f"…{plain(campaign)[-4:]}/{position}"


def beat_age_s(worker: Worker, scene: Scene) -> float | None:
    """How long ago it was heard of."""
    known = scene.beat_age_s(worker.worker_id)
    if known is not None:
        return known
    seen = seconds_of(worker.last_heartbeat)
    return None if seen is None else max(0.0, scene.now_s - seen)


def beat(worker: Worker, scene: Scene) -> Cell:
    """How long ago it was heard of."""
    age_s = beat_age_s(worker, scene)
    is_late = worker.status != "offline" and age_s is not None and age_s > 30
    return Cell(short_duration(age_s), WARN if is_late else "")


def memory(worker: Worker) -> str:
    """Its memory with the unit, as its owner would say it."""
    return f"{plain(worker.device_info.ram)} GB" if worker.device_info.ram else ""


def _memory_gb(worker: Worker) -> float | None:
    try:
        return float(worker.device_info.ram or "")
    except ValueError:
        return None


COLUMNS: Final[tuple[Column[Worker], ...]] = (
    Column("device", 14, lambda one, _: Cell(plain(one.device_name)), lambda one, _: by_text(one.device_name), 0, 3),
    Column("status", 10, status, lambda one, _: by_text(shown_status(one)), 1),
    Column("job", 26, work, lambda one, _: by_text(one.current_job), 2, 3),
    Column("beat", 6, beat, lambda one, scene: by_number(beat_age_s(one, scene)), 3, is_right=True),
    Column(
        "done",
        5,
        lambda one, _: Cell(f"{one.jobs_complete:,}"),
        lambda one, _: by_number(one.jobs_complete),
        4,
        is_right=True,
    ),
    Column(
        "failed",
        6,
        lambda one, _: Cell(f"{one.jobs_failed:,}", WARN if one.jobs_failed else ""),
        lambda one, _: by_number(one.jobs_failed),
        5,
        is_right=True,
    ),
    Column(
        "units",
        22,
        lambda one, _: Cell(plain(", ".join(one.capabilities))),
        lambda one, _: by_text(", ".join(one.capabilities)),
        6,
        3,
    ),
    Column(
        "soc",
        16,
        lambda one, _: Cell(plain(one.device_info.soc)),
        lambda one, _: by_text(one.device_info.soc),
        7,
        2,
        heading="SoC",
    ),
    Column("memory", 8, lambda one, _: Cell(memory(one)), lambda one, _: by_number(_memory_gb(one)), 8, is_right=True),
    Column(
        "os",
        10,
        lambda one, _: Cell(plain(one.device_info.device_os)),
        lambda one, _: by_text(one.device_info.device_os),
        9,
        1,
        heading="OS",
    ),
    Column(
        "id",
        13,
        lambda one, _: Cell(plain(one.worker_id).removeprefix("worker-")),
        lambda one, _: by_text(one.worker_id),
        10,
    ),
)
