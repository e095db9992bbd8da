"""One line of parts, each said in its tone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from tui.board.cells import Cell
from tui.widgets.tones import tones_of


class Line(Widget):
    """Draws what it was last given, and only when that is something else than before."""

    def __init__(self, parts: Sequence[Cell] = (), *, gap: str = "  ", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._parts = list(parts)
        self._gap = gap

    @property
    def text(self) -> str:
        """What it says."""
        return self._gap.join(part.text for part in self._parts)

    def show(self, parts: Sequence[Cell]) -> None:
        """Say this from now on."""
        if list(parts) != self._parts:
            self._parts = list(parts)
            self.refresh()

    def render(self) -> RenderResult:
        """The parts, cut where the line ends."""
        text = Text(" ", no_wrap=True, overflow="ellipsis", end="")
        tones = tones_of(self.app)
        for number, part in enumerate(self._parts):
            text.append(self._gap if number else "")
            text.append(part.text, tones.get(part.tone))
        return text
