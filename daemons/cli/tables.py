"""Results and devices as tables for people. No figure stands there without its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from daemons.runtime.logs import escape as escape_controls

CAPTION: Final = "median ± standard deviation; peaks: loading / running; MB are 2^20 bytes"
BAR_WIDTH: Final = 20


def make_console(*, to_stderr: bool = False) -> Console:
    """Where people read: colours on a terminal, plain text in a pipe, where nothing is cut to a width."""
    console = Console(highlight=False, stderr=to_stderr)
    if not console.is_terminal:
        console = Console(highlight=False, stderr=to_stderr, width=200)
    return console


def make_progress(console: Console, *, auto_refresh: bool = True) -> Progress:
    """Bars on a terminal, gone when the work is done; nothing at all in a pipe.

    Without `auto_refresh` there is no thread that paints ten times a second, which would disturb a measurement.
    """
    # Narrower than the terminal: the "^C" that one echoes at the end of a full line would leave the line behind.
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(BAR_WIDTH), TimeElapsedColumn())
    return Progress(
        *columns, console=console, transient=True, auto_refresh=auto_refresh, disable=not console.is_terminal
    )


def shown(text: object) -> str:
    """Text from outside, without control characters and without markup that would be obeyed."""
    return escape_markup(escape_controls(str(text)))


def figure(value: Any, significant: int = 4) -> str:
    """A figure with so many significant digits, whole ones all kept; a dash where it is not known."""
    if value is None:
        return "—"
    if not isinstance(value, int | float):
        return shown(value)
    whole_digits = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(0, significant - whole_digits)}f}"


def spread(row: Mapping[str, Any], phase: str) -> str:
    """Median and standard deviation of a phase; a single value has no deviation."""
    deviation = row.get(f"{phase}MsStdDev")
    return figure(row.get(f"{phase}MsMedian")) + (f" ± {figure(deviation, 2)}" if deviation is not None else "")


def results_table(rows: Sequence[Mapping[str, Any]], caption: str = CAPTION) -> Table:
    """One line per job, narrow enough for a terminal of 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption=caption, caption_justify="left")
    table.add_column("model", overflow="fold")
    table.add_column("unit")
    for heading in ("load (ms)", "inference (ms)", "peak (MB)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(shown(row.get("FileName")), shown(row.get("ComputeUnits")), *_figures(row))
    return table


def _figures(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row.get("Status") != "Complete":
        return (f"[red]{shown(row.get('Status'))}[/red]",)
    peaks = (figure(row.get(f"Peak{phase}RamUsage"), 3) for phase in ("Load", "Inference"))
    return spread(row, "Load"), spread(row, "Inference"), " / ".join(peaks)


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
