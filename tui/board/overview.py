"""The four small tables of the overview."""

from __future__ import annotations

from typing import Final

from daemons.core.events import Event
from tui.board import campaigns, events, queues, workers
from tui.board.cells import Cell, bar, plain
from tui.board.columns import Column, Scene, by_number
from tui.board.queues import Queue
from tui.board.things import Campaign, Worker


def _progress(one: Campaign, _scene: Scene) -> Cell:
    return Cell(campaigns.progress(one, 12), "busy")


def _left(one: Campaign, scene: Scene) -> Cell:
    text = campaigns.left(one, scene).text
    return Cell(f"{text} left" if text else "")


def _phase(one: Worker, scene: Scene) -> Cell:
    progress = scene.board.progress_of(one)
    return Cell(plain(progress.phase) if progress else "", "busy")


def _share(one: Worker, scene: Scene) -> Cell:
    progress = scene.board.progress_of(one)
    if progress is None or not progress.total or progress.done is None:
        return Cell("")
    return Cell(f"{bar(progress.done, progress.total, 8)} {progress.done}/{progress.total}", "busy")


CAMPAIGNS: Final[tuple[Column[Campaign], ...]] = (
    Column("model", 14, lambda one, _: Cell(campaigns.model(one)), None, 0, 3),
    Column("progress", 17, _progress, None, 1),
    Column("jobs", 9, lambda one, _: Cell(campaigns.counts(one)), None, 2, is_right=True),
    Column("left", 12, _left, None, 3, is_right=True),
)

DEVICES: Final[tuple[Column[Worker], ...]] = (
    Column("device", 14, lambda one, _: Cell(plain(one.device_name)), None, 0, 3),
    Column("phase", 12, _phase, None, 1, 1),
    Column("progress", 18, _share, None, 2),
    Column("job", 12, lambda one, _: Cell(workers.short_job(one.current_job or "")), None, 3),
)

QUEUES: Final[tuple[Column[Queue], ...]] = (
    Column("queue", 20, queues.label, None, 0, 3),
    Column(
        "waiting",
        7,
        lambda one, _: Cell(f"{one.waiting:,}"),
        lambda one, _: by_number(-one.waiting),
        1,
        is_right=True,
    ),
    Column("length", 12, lambda one, _: queues.length(one, 12), None, 2),
    Column("who", 23, queues.who, None, 3),
)

EVENTS: Final[tuple[Column[Event], ...]] = (
    Column("time", 8, events.time_of, None, 0),
    Column("event", 30, events.sentence, None, 1, 1),
)
