"""The line that is always there: orchestrator, link, devices and jobs by status, jobs per minute."""

from __future__ import annotations

from typing import Final, NamedTuple

from tui.board.board import JOB_STATUSES, Board
from tui.board.cells import BAD, DIM, GOOD, WARN, Cell, sparkline, status_cell, tone_of
from tui.board.moments import duration

DEVICE_STATUSES: Final = ("active", "busy", "cleanup", "faulty", "offline")
SPARK_SLOTS: Final = 12


class LinkState(NamedTuple):
    """How the link fares, at one moment."""

    is_live: bool
    stale_s: float | None = None
    """How old what is shown is; None: nothing was ever known."""
    retry_in_s: float | None = None
    """Tried again after so long; None: it is being tried now."""
    why: str = ""
    is_orchestrator_away: bool = False
    """Events come, and the orchestrator doesn't answer."""
    is_replay: bool = False


def link_cell(link: LinkState) -> Cell:
    """The link in words: ``live``, or how stale what is shown is and when it is tried again."""
    if link.is_replay:
        return Cell("▷ replay", WARN)
    if link.is_live:
        return Cell("● live, no orchestrator", WARN) if link.is_orchestrator_away else Cell("● live", GOOD)
    again = "reconnecting" + (f" in {duration(link.retry_in_s)}" if link.retry_in_s is not None else "")
    if link.stale_s is None:
        return Cell(f"◌ {again}", WARN)
    return Cell(f"◌ stale {duration(link.stale_s)}, {again}", BAD)


def headline(host: str, link: LinkState, board: Board, now_s: float, width: int) -> list[Cell]:
    """The line's parts, as many as fit into `width`; the first two are always there."""
    parts = [Cell(host, "title"), link_cell(link)]
    if board.epoch is None:
        return parts
    room = width - sum(len(part.text) + 2 for part in parts)
    for long, short in (_devices(board), _jobs(board), _pace(board, now_s)):
        fitting = next((form for form in (long, short) if _length(form) <= room), None)
        if fitting is None:
            break
        parts += fitting
        room -= _length(fitting)
    return parts


def _length(parts: list[Cell]) -> int:
    return sum(len(part.text) + 2 for part in parts)


def _devices(board: Board) -> tuple[list[Cell], list[Cell]]:
    counts = [(name, board.devices_by_status[name]) for name in DEVICE_STATUSES if board.devices_by_status[name]]
    total = len(board.workers)
    head = Cell(f"{total:,} device{'' if total == 1 else 's'}:" if counts else "no devices")
    long = [head, *(Cell(f"{count:,} {name}", tone_of(name)) for name, count in counts)]
    short = [Cell("devices", DIM), *(Cell(f"{_glyph(name)}{count:,}", tone_of(name)) for name, count in counts)]
    return long, short if counts else [head]


def _jobs(board: Board) -> tuple[list[Cell], list[Cell]]:
    counts = [(name, board.jobs_by_status[name]) for name in JOB_STATUSES if board.jobs_by_status[name]]
    if not counts:
        return [Cell("no jobs")], [Cell("no jobs")]
    long = [Cell("jobs:"), *(Cell(f"{count:,} {name}", tone_of(name)) for name, count in counts)]
    short = [Cell("jobs", DIM), *(Cell(f"{_glyph(name)}{count:,}", tone_of(name)) for name, count in counts)]
    return long, short


def _glyph(status: str) -> str:
    return status_cell(status).text[0]


def _pace(board: Board, now_s: float) -> tuple[list[Cell], list[Cell]]:
    text = f"{board.tempo.per_minute(now_s):.0f} jobs/min"
    line = Cell(sparkline(board.tempo.slots(now_s, SPARK_SLOTS)), GOOD)
    return [line, Cell(text)], [Cell(text)]
