"""A screen with one table: filtered, sorted, and kept up to date row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from textual.widget import Widget

from tui.actions import TABLE
from tui.bindings import bindings_of
from tui.board.board import Changes, Reader
from tui.board.cells import DIM, Cell
from tui.board.listing import Listing
from tui.screens.base import BoardScreen
from tui.widgets.frame import FilterBar
from tui.widgets.line import Line
from tui.widgets.rowtable import RowTable

T = TypeVar("T")


class TableScreen(BoardScreen, Generic[T]):
    """One table, a line that says how it is filtered and sorted, and a place to write a filter."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (TABLE,)
    BINDINGS = bindings_of(TABLE)
    TITLE_OF_ROWS: ClassVar[str] = "rows"
    FOLLOWS: ClassVar[bool] = False
    """Whether the cursor stays on the first row when it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.reader: Reader | None = None

    @property
    def table(self) -> RowTable[T]:
        """The table."""
        return self.query_one("#rows", RowTable)

    def make_listing(self) -> Listing[T]:
        """The rows, from the board."""
        raise NotImplementedError

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """Which rows a change of the board is about."""
        raise NotImplementedError

    def empty_text(self) -> str:
        """Why there is no row."""
        raise NotImplementedError

    def compose_body(self) -> Iterable[Widget]:
        """The line and the table."""
        yield Line(id="title")
        yield RowTable(self.make_listing(), self._empty, follows=self.FOLLOWS, id="rows")

    def compose_below(self) -> Iterable[Widget]:
        """Where a filter is written."""
        yield FilterBar()

    def on_mount(self) -> None:
        """Begin with what the board has."""
        self.reader = self.desk.board.reader()
        self.table.focus()
        self.rebuild(self.table)

    def on_unmount(self) -> None:
        """Nobody reads any more."""
        if self.reader is not None:
            self.desk.board.release(self.reader)

    def show_board(self) -> None:
        """Take in what has changed."""
        if self.reader is not None:
            self.update_rows(self.table, self.changed_keys(self.reader.take()))
        self.show_title()

    def show_title(self) -> None:
        """How many rows there are, of how many, how they are sorted and filtered."""
        listing = self.table.listing
        arrow = "▼" if listing.is_descending else "▲"
        rows = self.TITLE_OF_ROWS if len(listing) != 1 else self.TITLE_OF_ROWS.removesuffix("s")
        parts = [Cell(f"{len(listing):,} {rows}", "title")]
        if listing.filter_text:
            parts.append(Cell(f"filter: {listing.filter_text}", "warn"))
        if listing.sorted_by:
            parts.append(Cell(f"by {listing.sorted_by} {arrow}", DIM))
        self.query_one("#title", Line).show([*parts, *self.more_title()])

    def more_title(self) -> Iterable[Cell]:
        """What else the title says."""
        return ()

    def _empty(self) -> str:
        if self.table.listing.filter_text:
            return f"nothing here has {self.table.listing.filter_text!r}; esc clears the filter"
        return self.empty_text()

    def action_filter(self) -> None:
        """Write a filter."""
        self.query_one(FilterBar).open()

    def action_sort(self) -> None:
        """Sort by the next column that is seen."""
        listing = self.table.listing
        names = [listing.columns[place.number].name for place in self.table.placed()]
        names = [name for name in names if any(column.name == name and column.sort for column in listing.columns)]
        if names:
            here = names.index(listing.sorted_by) if listing.sorted_by in names else -1
            listing.sort_by(names[(here + 1) % len(names)], is_descending=False)
            self.rebuild(self.table)

    def action_sort_reversed(self) -> None:
        """The other way round."""
        listing = self.table.listing
        listing.sort_by(listing.sorted_by, is_descending=not listing.is_descending)
        self.rebuild(self.table)

    def go_back(self) -> bool:
        """Clear the filter, if there is one; whether there was."""
        bar = self.query_one(FilterBar)
        if bar.input.has_focus or bar.text:
            bar.clear()
            return True
        return False

    def on_filter_bar_changed(self, event: FilterBar.Changed) -> None:
        """Filter by what is written so far."""
        self.table.listing.filter_by(event.text)
        self.rebuild(self.table)

    def on_filter_bar_closed(self, _: FilterBar.Closed) -> None:
        """Back to the rows."""
        self.table.focus()

    def chosen(self) -> Any:
        """What the cursor is on; None in an empty table."""
        key = self.table.cursor_key
        return None if key is None else self.table.listing.items.get(key)
