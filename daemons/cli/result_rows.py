"""Results as lines for people. Pure: rows in, columns and cells out. No figure is shown without its unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from daemons.cli.listing import Cell, Column, Row, status
from daemons.cli.tables import figure, spread

Record = Mapping[str, Any]

MOST_REMARKS: Final = 20
MOST_WARNINGS: Final = 5
_UNITS: Final = {
    "LoadMs": "ms",
    "InferenceMs": "ms",
    "RamUsage": "MB",
    "GpuMemory": "MB",
    "Ram": "GB",
    "FileSize": "bytes",
    "PerSecond": "per second",
    "CpuUsage": "cores",
    "GpuUtilization": "%",
    "GpuClock": "MHz",
    "Psnr": "dB",
}
"""What a column's name has in it → the unit of its figures; the first that fits counts."""
CAPTION: Final = "median ± standard deviation; peaks: loading / running; MB are 2^20 bytes"


def columns_of(rows: Sequence[Record]) -> list[Column]:
    """What stands above the cells of `cells_of`."""
    return [
        *([Column("job", is_number=True)] if len(rows) > 1 else []),
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
            *([str(row.get("JobId")).rpartition("-job-")[2]] if len(rows) > 1 else []),
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


def with_unit(column: str, text: str) -> str:
    """A cell of a CSV with the unit of its column, where it has one."""
    unit = next((unit for part, unit in _UNITS.items() if part in column), "")
    return f"{text} {unit}".rstrip()


def remarks_of(rows: Sequence[Record]) -> list[str]:
    """Why some have no figures, and what may have disturbed others; each sentence once, with how many say it."""
    why = _said_once((row, [row["Remark"]] if row.get("Remark") else []) for row in rows)
    disturbed = _said_once((row, row.get("Warnings") or ()) for row in rows)
    return [*_some(why, MOST_REMARKS), *_some(disturbed, MOST_WARNINGS)]


def _said_once(rows: Iterable[tuple[Record, Iterable[str]]]) -> list[str]:
    said: dict[str, list[str]] = {}
    for row, sentences in rows:
        for sentence in sentences:
            said.setdefault(sentence, []).append(_place(row))
    return [f"{places[0]}{_others(len(places) - 1)}: {sentence}" for sentence, places in said.items()]


def _some(lines: list[str], most: int) -> list[str]:
    hidden = len(lines) - most
    return lines[:most] + ([f"and {hidden:,} more; `benchfleet results --csv` has them all"] if hidden > 0 else [])


def _place(row: Record) -> str:
    return f"{row.get('DeviceName') or row.get('JobId')}, {row.get('ComputeUnits')}"


def _others(number: int) -> str:
    return "" if number == 0 else f" and {number:,} more"
