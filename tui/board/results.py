"""The table of a device's past results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tui.board.cells import Cell, figure, plain, status_cell
from tui.board.columns import Column, Scene, Sortable, by_number, by_text
from tui.board.moments import seconds_of

Record = Mapping[str, Any]


def _text(name: str) -> Any:
    return lambda one, _: Cell(plain(one.get(name)))


def _by_text(name: str) -> Any:
    return lambda one, _: by_text(one.get(name))


def _number(name: str) -> Any:
    return lambda one, _: Cell(figure(one.get(name)))


def _by_number(name: str) -> Any:
    return lambda one, _: by_number(one.get(name))


def _when(one: Record, _scene: Scene) -> Cell:
    return Cell(plain(one.get("EndedAt"))[:16].replace("T", " "))


def _by_when(one: Record, _scene: Scene) -> Sortable:
    return by_number(seconds_of(one.get("EndedAt")))


COLUMNS: Final[tuple[Column[Record], ...]] = (
    Column("model", 14, _text("FileName"), _by_text("FileName"), 0, 3),
    Column("unit", 12, _text("ComputeUnits"), _by_text("ComputeUnits"), 2, 2),
    Column(
        "median",
        10,
        _number("InferenceMsMedian"),
        _by_number("InferenceMsMedian"),
        1,
        is_right=True,
        heading="median ms",
    ),
    Column("status", 11, lambda one, _: status_cell(plain(one["Status"]).lower()), _by_text("Status"), 3),
    Column("ended", 16, _when, _by_when, 4, heading="ended (UTC)"),
    Column("load", 9, _number("LoadMsMedian"), _by_number("LoadMsMedian"), 5, is_right=True, heading="load ms"),
    Column(
        "peak",
        8,
        _number("PeakInferenceRamUsage"),
        _by_number("PeakInferenceRamUsage"),
        6,
        is_right=True,
        heading="peak MB",
    ),
    Column(
        "verdict",
        9,
        lambda one, _: status_cell(one["Verdict"]) if one.get("Verdict") else Cell(""),
        _by_text("Verdict"),
        7,
    ),
    Column("remark", 16, _text("Remark"), _by_text("Remark"), 8, 3),
)
