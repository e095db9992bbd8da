"""Lines of parts, one under the other, that scroll where they don't fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.board.cells import Cell
from tui.widgets.tones import tones_of


class Drawing(VerticalScroll):
    """A chart."""

    def compose(self) -> ComposeResult:
        """What is drawn."""
        yield Static(id="drawn")

    def show(self, lines: Sequence[Sequence[Cell]]) -> None:
        """Draw this from now on."""
        text = Text(no_wrap=True, overflow="ellipsis")
        tones = tones_of(self.app)
        for number, line in enumerate(lines):
            text.append("\n" if number else "")
            for place, cell in enumerate(line):
                text.append("  " if place else "")
                text.append(cell.text, tones.get(cell.tone))
        self.query_one("#drawn", Static).update(text)
