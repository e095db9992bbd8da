"""Lines of parts, one under the other, that scroll where they don't fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.board.cells import TONES, Cell


class Drawing(VerticalScroll):
    """A chart."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line--title", *(f"line--{tone}" for tone in TONES)}

    def compose(self) -> ComposeResult:
        """What is drawn."""
        yield Static(id="drawn")

    def show(self, lines: Sequence[Sequence[Cell]]) -> None:
        """Draw this from now on."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, line in enumerate(lines):
            text.append("\n" if number else "")
            for place, cell in enumerate(line):
                style = self.get_component_rich_style(f"line--{cell.tone}", partial=True) if cell.tone else ""
                text.append("  " if place else "")
                text.append(cell.text, style)
        self.query_one("#drawn", Static).update(text)
