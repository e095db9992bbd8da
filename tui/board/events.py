"""The table of events."""

from __future__ import annotations

from typing import Final

from daemons.core.events import Event
from tui.board.cells import Cell, plain, status_cell, tone_of
from tui.board.columns import Column, Scene, by_text
from tui.board.journal import campaign_of, device_of, sentence_of, severity_of
from tui.board.moments import clock_time


def key_of(event: Event) -> str:
    """Its number as text that sorts as the number does."""
    return f"{event.seq:016d}"


def time_of(event: Event, _scene: Scene) -> Cell:
    """When it happened, in UTC."""
    return Cell(clock_time(event.at), "dim")


def sentence(event: Event, _scene: Scene) -> Cell:
    """What happened."""
    severity = severity_of(event)
    return Cell(plain(sentence_of(event)), tone_of(severity))


def severity(event: Event, _scene: Scene) -> Cell:
    """How much it matters."""
    return status_cell(severity_of(event))


def device(event: Event, scene: Scene) -> Cell:
    """The device that it is about, by name where that is known."""
    worker = scene.board.workers.get(device_of(event))
    return Cell(plain(worker.device_name if worker else device_of(event)))


COLUMNS: Final[tuple[Column[Event], ...]] = (
    Column("time", 8, time_of, None, 0, heading="UTC"),
    Column("severity", 9, severity, lambda one, _: by_text(severity_of(one)), 2),
    Column("event", 40, sentence, None, 1, 4),
    Column("device", 14, device, None, 3, 1),
    Column("campaign", 17, lambda one, _: Cell(plain(campaign_of(one)).removeprefix("campaign-")), None, 4),
    Column("number", 9, lambda one, _: Cell(f"{one.seq:,}"), None, 5, is_right=True),
)
