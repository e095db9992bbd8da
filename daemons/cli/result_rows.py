"""Results as lines for people. Pure: rows in, columns and cells out. No figure is shown without its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from daemons.cli.listing import Cell, Column, Row, status
from daemons.cli.tables import figure, spread

Record = Mapping[str, Any]

MOST_REMARKS: Final = 20
CAPTION: Final = "median ± standard deviation; peaks: loading / running; MB are 2^20 bytes"


def columns_of(rows: Sequence[Record]) -> list[Column]:
    """What stands above the cells of `cells_of`."""
    return [
        Column("device", shrinks=True),
        *([Column("model", shrinks=True)] if has_several_models(rows) else []),
        Column("unit", shrinks=True),
        Column("status"),
        Column("load (ms)", is_number=True),
        Column("inference (ms)", is_number=True),
        Column("peaks (MB)", is_number=True),
    ]


def has_several_models(rows: Sequence[Record]) -> bool:
    """Whether the model must be named in each line."""
    return len({row.get("FileName") for row in rows}) > 1


def cells_of(rows: Sequence[Record]) -> list[Row]:
    """A line for each result."""
    has_models = has_several_models(rows)
    return [
        (
            str(row.get("DeviceName") or "—"),
            *([str(row.get("FileName") or "—")] if has_models else []),
            str(row.get("ComputeUnits") or "—"),
            _status(row),
            *_figures(row),
        )
        for row in rows
    ]


def _status(row: Record) -> Cell:
    """How it ended; for what is complete, what is to be said against its figures."""
    word = str(row.get("Status"))
    verdict = row.get("Verdict")
    if word == "Complete" and verdict not in (None, "stable"):
        return Cell(str(verdict), "yellow")
    return status(word.lower())


def _figures(row: Record) -> tuple[str, ...]:
    if row.get("Status") != "Complete":
        return "", "", ""
    peaks = (figure(row.get(f"Peak{phase}RamUsage"), 3) for phase in ("Load", "Inference"))
    return spread(row, "Load"), spread(row, "Inference"), " / ".join(peaks)


def remarks_of(rows: Sequence[Record]) -> list[str]:
    """Why some have no figures, and what may have disturbed others; each sentence once, with how many say it."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for sentence in ([row["Remark"]] if row.get("Remark") else []) + list(row.get("Warnings") or ()):
            said.setdefault(str(sentence), []).append(_place(row))
    lines = [f"{places[0]}{_others(len(places) - 1)}: {sentence}" for sentence, places in said.items()]
    hidden = len(lines) - MOST_REMARKS
    return lines[:MOST_REMARKS] + ([f"and {hidden:,} more; --csv has them all"] if hidden > 0 else [])


def _place(row: Record) -> str:
    return f"{row.get('DeviceName') or row.get('JobId')}, {row.get('ComputeUnits')}"


def _others(number: int) -> str:
    return "" if number == 0 else f" and {number:,} more"
