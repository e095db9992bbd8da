"""Results and devices as tables for people. No figure stands there without its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from daemons.runtime.logs import escape as escape_controls

RESULT_COLUMNS: Final = (
    ("model", "FileName", ""),
    ("unit", "ComputeUnits", ""),
    ("load", "LoadMsMedian", "ms"),
    ("± load", "LoadMsStdDev", "ms"),
    ("load peak", "PeakLoadRamUsage", "MB"),
    ("inference", "InferenceMsMedian", "ms"),
    ("± inference", "InferenceMsStdDev", "ms"),
    ("peak", "PeakInferenceRamUsage", "MB"),
)
"""Heading, CSV column, unit."""


def make_console(*, to_stderr: bool = False) -> Console:
    """Where people read: colours on a terminal, plain text in a pipe, where nothing is cut to a width."""
    console = Console(highlight=False, stderr=to_stderr)
    if not console.is_terminal:
        console = Console(highlight=False, stderr=to_stderr, width=200)
    return console


def make_progress(console: Console) -> Progress:
    """Bars on a terminal, gone when the work is done; nothing at all in a pipe."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def shown(text: object) -> str:
    """Text from outside, without control characters and without markup that would be obeyed."""
    return escape_markup(escape_controls(str(text)))


def figure(value: Any) -> str:
    """A figure with four significant digits at least, or a dash where it is not known."""
    if value is None:
        return "—"
    if not isinstance(value, int | float):
        return shown(value)
    for limit, digits in ((1000, 0), (100, 1), (10, 2), (1, 3)):
        if abs(value) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.4f}"


def results_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line per job: medians with their standard deviations, and memory peaks; MB are 2^20 bytes."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _, unit in RESULT_COLUMNS:
        table.add_column(f"{heading} ({unit})" if unit else heading, justify="right" if unit else "left")
    for row in rows:
        if row.get("Status") == "Complete":
            table.add_row(*(figure(row.get(column)) for _, column, _ in RESULT_COLUMNS))
        else:
            table.add_row(shown(row.get("FileName")), shown(row.get("ComputeUnits")), f"[red]{row.get('Status')}[/red]")
    return table


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What rows say in words: why one has no figures, and what may have disturbed the others."""
    lines = [
        f"{shown(row.get('FileName'))} on {shown(row.get('ComputeUnits'))}: {shown(row['Remark'])}"
        for row in rows
        if row.get("Remark")
    ]
    return lines + [
        f"{shown(row.get('FileName'))}: {shown(warning)}" for row in rows for warning in row.get("Warnings") or ()
    ]
