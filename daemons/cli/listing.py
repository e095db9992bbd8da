"""Things in columns: a table on a terminal, plain aligned text in a pipe. Nothing of the domain is known here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import click
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from daemons.cli.tables import make_console
from daemons.runtime.logs import escape

GAP: Final = "  "
LEAST_WIDTH: Final = 6
"""What shrinks keeps so much."""


class Column(NamedTuple):
    """How a column is shown."""

    heading: str
    is_number: bool = False
    shrinks: bool = False
    """It gives way on a narrow terminal; what doesn't is shown whole."""


class Cell(NamedTuple):
    """Text with a colour that it has on a terminal."""

    text: str
    style: str = ""


_STYLES: Final = {
    "completed": "green",
    "complete": "green",
    "active": "green",
    "healthy": "green",
    "running": "cyan",
    "busy": "cyan",
    "failed": "red",
    "faulty": "red",
    "unhealthy": "red",
    "cancelled": "yellow",
    "drained": "yellow",
    "degraded": "yellow",
    "offline": "dim",
    "pending": "dim",
}

Row = Sequence[Cell | str | int]


def status(word: str) -> Cell:
    """A status in its colour."""
    return Cell(word, _STYLES.get(word.split(maxsplit=1)[0].lower(), ""))


def print_listing(columns: Sequence[Column], rows: Sequence[Row], nothing: str) -> None:
    """The rows on stdout, or the sentence that there is nothing."""
    console = make_console()
    if not rows:
        click.echo(nothing)
    elif console.is_terminal:
        for text in painted_lines(columns, rows, console.width):
            console.print(text, soft_wrap=True)
    else:
        click.echo("\n".join(plain_lines(columns, rows)))


def painted_lines(columns: Sequence[Column], rows: Iterable[Row], width: int) -> list[Text]:
    """The rows as lines with colours, for a terminal of that width: what shrinks is cut to fit."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = _fitting(columns, _widths(columns, cells), width)
    heading = [Cell(column.heading, "bold") for column in columns]
    return [_painted(line, widths, columns) for line in (heading, *cells)]


def plain_lines(columns: Sequence[Column], rows: Iterable[Row]) -> list[str]:
    """The rows as lines of text, in columns of one width; nothing is cut."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = _widths(columns, cells)
    heading = [Cell(column.heading) for column in columns]
    return [_painted(line, widths, columns).plain for line in (heading, *cells)]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    """How wide each column is if nothing is cut."""
    return [
        max([len(column.heading), *(cell_len(row[place].text) for row in rows)]) for place, column in enumerate(columns)
    ]


def _fitting(columns: Sequence[Column], widths: list[int], limit: int) -> list[int]:
    """The widths, of which those that may shrink are made smaller, the widest first, until a line fits the limit."""
    fitting = list(widths)
    while sum(fitting) + len(GAP) * (len(fitting) - 1) > limit:
        able = [place for place, column in enumerate(columns) if column.shrinks and fitting[place] > LEAST_WIDTH]
        if not able:
            break
        fitting[max(able, key=lambda place: fitting[place])] -= 1
    return fitting


def _painted(line: Sequence[Cell], widths: Sequence[int], columns: Sequence[Column]) -> Text:
    text = Text()
    for cell, width, column in zip(line, widths, columns, strict=True):
        shown = cell.text if cell_len(cell.text) <= width else f"{set_cell_size(cell.text, width - 1).rstrip()}…"
        room = " " * (width - cell_len(shown))
        text.append(room if column.is_number else "").append(shown, cell.style)
        text.append(("" if column.is_number else room) + GAP)
    text.rstrip()
    return text


def _cell(value: Cell | str | int) -> Cell:
    if isinstance(value, Cell):
        return Cell(escape(value.text), value.style)
    return Cell(escape(str(value)))


def print_facts(facts: dict[str, Any]) -> None:
    """Names and what they are, one a line; what is None is left out. On a terminal long ones go on below themselves."""
    console = make_console()
    known = {name: _cell(value) for name, value in facts.items() if value is not None}
    if console.is_terminal:
        grid = Table.grid(padding=(0, len(GAP), 0, 0))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, cell in known.items():
            grid.add_row(name, Text(cell.text, cell.style))
        console.print(grid)
    else:
        width = max(map(len, known), default=0)
        click.echo("\n".join(f"{name:<{width}}{GAP}{cell.text}" for name, cell in known.items()))
