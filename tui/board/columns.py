"""Columns of a table: what stands in them, what they are sorted by, and which of them fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from tui.board.board import Board
from tui.board.cells import Cell

T = TypeVar("T")

Sortable = tuple[bool, float | str]
"""What is unknown comes last: (is unknown, value)."""


class Scene(NamedTuple):
    """What cells are drawn from, besides their own row."""

    board: Board
    now_s: float
    """Seconds since 1970 by the fleet's clock, as far as it is known here."""
    beat_age_s: Callable[[str], float | None] = lambda _worker_id: None
    """How long ago a device was heard of."""
    figures: Callable[[str], Any] = lambda _job_id: None
    """A job's figures, where they are known."""


class Column(NamedTuple, Generic[T]):
    """A column of a table of `T`."""

    name: str
    width: int
    cell: Callable[[T, Scene], Cell]
    sort: Callable[[T, Scene], Sortable] | None = None
    """None: it can't be sorted by."""
    rank: int = 0
    """The higher, the sooner it goes when the terminal is narrow."""
    stretch: int = 0
    """Its part of the room that is left, 0 for none."""
    is_right: bool = False
    heading: str = ""
    """Where it is not the name."""

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.heading or self.name


class Placed(NamedTuple):
    """A column that fits, and how wide it is."""

    number: int
    """Its place among all columns, from 0."""
    width: int


def fit(columns: Sequence[Column[T]], width: int, skip: int = 0, gap: int = 1) -> list[Placed]:
    """The columns that fit into `width`, in their order, with the room that is left given to those that stretch.

    The first one always stays; `skip` others after it are left out first.
    """
    candidates = [index for index in range(len(columns)) if index == 0 or index > skip]
    kept: list[int] = []
    room = width
    for index in sorted(candidates, key=lambda index: (index != 0, columns[index].rank, index)):
        need = columns[index].width + (gap if kept else 0)
        if need > room and kept:
            break
        kept.append(index)
        room -= need
    return _stretched(columns, sorted(kept), max(0, room), width)


def _stretched(columns: Sequence[Column[T]], kept: list[int], room: int, width: int) -> list[Placed]:
    parts = sum(columns[index].stretch for index in kept)
    placed = []
    for index in kept:
        column = columns[index]
        more = room * column.stretch // parts if parts else 0
        placed.append(Placed(index, min(width, column.width + more)))
    return placed


def by_text(value: str | None) -> Sortable:
    """Sorted as text, whatever its case."""
    return (not value, (value or "").lower())


def by_number(value: float | None) -> Sortable:
    """Sorted as a number."""
    return (value is None, value or 0.0)
