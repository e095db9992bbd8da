"""Facts about one thing: a name and a value a line, in two columns where there is room."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from tui.board.cells import plain

Fact = tuple[str, str]

WIDE = 110


class Facts(Static):
    """Draws facts; those with no value are left out."""

    def show(self, facts: Sequence[Fact], *, most_columns: int = 2) -> None:
        """Show these."""
        told = [(name, value) for name, value in facts if value]
        columns = most_columns if self.app.size.width >= WIDE else 1
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in range(columns):
            table.add_column(style="bold", no_wrap=True)
            table.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
        rows = -(-len(told) // columns)
        for row in range(rows):
            cells: list[Text] = []
            for name, value in told[row::rows]:
                cells += [Text(name), Text(plain(value))]
            table.add_row(*cells)
        self.update(table)
