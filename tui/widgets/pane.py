"""A table under a line that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical

from tui.board.cells import DIM, Cell
from tui.board.listing import Listing
from tui.widgets.line import Line
from tui.widgets.rowtable import RowTable

T = TypeVar("T")


class Pane(Vertical, Generic[T]):
    """A part of a screen that has a table of its own."""

    def __init__(
        self,
        title: str,
        listing: Listing[T],
        empty: Callable[[], str],
        *,
        has_head: bool,
        follows: bool = False,
        id: str,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._title = title
        self.table: RowTable[T] = RowTable(listing, empty, has_head=has_head, follows=follows)

    def compose(self) -> ComposeResult:
        """The line and the table."""
        yield Line([Cell(self._title, "title")])
        yield self.table

    def show_title(self, *more: Any) -> None:
        """The title, and what else is to be said of the table."""
        self.query_one(Line).show([Cell(self._title, "title"), *(Cell(str(part), DIM) for part in more)])
