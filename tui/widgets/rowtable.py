"""A table that draws the rows that are seen, and no others: one of 10,000 devices scrolls as one of 10."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Generic, TypeVar

from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import ROWS
from tui.bindings import bindings_of
from tui.board.columns import Column, Placed, fit
from tui.board.listing import Listing
from tui.widgets.rowline import Look, Piece, strip_of
from tui.widgets.tones import tones_of

T = TypeVar("T")

POINTER: Final = "❯"  # noqa: RUF001
"""Where the cursor is, also without colours."""


class RowTable(ScrollView, Generic[T], can_focus=True):
    """Rows of a listing, with the cursor on a key and not on a place: it stays on its row wherever that goes."""

    BINDINGS = bindings_of(ROWS)
    skipped: reactive[int] = reactive(0, init=False)
    """How many columns after the first are left out at the left."""

    class Opened(Message):
        """A person wants to see what is behind a row."""

        def __init__(self, table: RowTable[Any], key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> RowTable[Any]:
            """The table that it came from."""
            return self.table

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, table: RowTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> RowTable[Any]:
            """The table that it came from."""
            return self.table

    def __init__(
        self,
        listing: Listing[T],
        empty: Callable[[], str],
        *,
        has_head: bool = True,
        follows: bool = False,
        id: str | None = None,  # noqa: A002
    ) -> None:
        """`empty` says why there is no row. `follows`: on the first row, the cursor stays on the first row."""
        super().__init__(id=id)
        self.listing = listing
        self.marked: set[str] = set()
        """Keys that are chosen, and shown so."""
        self._empty = empty
        self._has_head = has_head
        self._follows = follows
        self._cursor_key: str | None = None
        self._cursor_row = 0
        self._drawn: dict[int, Look] = {}
        self._styles: dict[str, Style] = {}
        self._placed: tuple[tuple[int, int], list[Placed]] | None = None

    @property
    def head_height(self) -> int:
        """Lines above the rows."""
        return 1 if self._has_head else 0

    @property
    def cursor_key(self) -> str | None:
        """The key of the row that the cursor is on; None in an empty table."""
        return self._cursor_key

    @property
    def columns(self) -> list[Column[T]]:
        """The columns that there are."""
        return list(self.listing.columns)

    @property
    def page_rows(self) -> int:
        """How many rows are seen at once."""
        return max(1, self.size.height - self.head_height)

    def placed(self) -> list[Placed]:
        """The columns that are drawn now."""
        asked = (self.size.width, self.skipped)
        if self._placed is None or self._placed[0] != asked:
            self._placed = (asked, fit(self.listing.columns, max(1, self.size.width - 3), self.skipped))
        return self._placed[1]

    def visible_keys(self) -> list[str]:
        """The keys of the rows that are seen now."""
        first = round(self.scroll_offset.y)
        return [self.listing.key_at(row) for row in range(first, min(first + self.page_rows, len(self.listing)))]

    def update(self, changed: Collection[str]) -> None:
        """Rows with these keys have changed, have come or have gone."""
        if changed:
            self.listing.update(changed)
        self.redraw()

    def redraw(self) -> None:
        """Draw what the listing holds now, with the cursor where it was."""
        was_seen = self._is_seen(self._cursor_row)
        row = 0 if self._follows and self._cursor_row == 0 else self.listing.row_of(self._cursor_key)
        if row is None:
            row = min(self._cursor_row, len(self.listing) - 1)
        self._fit_size()
        self._place_cursor(row, scroll=was_seen)

    def move_to(self, key: str) -> None:
        """Put the cursor on a key, if it is here."""
        row = self.listing.row_of(key)
        if row is not None:
            self._place_cursor(row, scroll=True)

    def toggle_mark(self, key: str) -> None:
        """Mark a row, or no longer."""
        self.marked ^= {key}
        self.refresh_changed()

    def _is_seen(self, row: int) -> bool:
        first = round(self.scroll_offset.y)
        return first <= row < first + self.page_rows

    def _place_cursor(self, row: int, *, scroll: bool) -> None:
        row = max(0, min(row, len(self.listing) - 1))
        self._cursor_row = row
        key = self.listing.key_at(row) if len(self.listing) else None
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.Moved(self))
        if scroll:
            first = round(self.scroll_offset.y)
            if row < first:
                self.scroll_to(y=row, animate=False, immediate=True)
            elif row >= first + self.page_rows:
                self.scroll_to(y=row - self.page_rows + 1, animate=False, immediate=True)
        self.refresh_changed()

    def _fit_size(self) -> None:
        """Tell Textual how long the table is, if that has changed: each time costs a layout."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.listing) + self.head_height)

    def on_resize(self) -> None:
        """Another size: other columns fit, and the cursor stays in sight."""
        self._fit_size()
        self._place_cursor(self._cursor_row, scroll=True)

    def watch_skipped(self) -> None:
        """Other columns."""
        self.refresh()

    def action_up(self) -> None:
        """One row up."""
        self._place_cursor(self._cursor_row - 1, scroll=True)

    def action_down(self) -> None:
        """One row down."""
        self._place_cursor(self._cursor_row + 1, scroll=True)

    def action_page_up(self) -> None:
        """One page up."""
        self._place_cursor(self._cursor_row - self.page_rows, scroll=True)

    def action_page_down(self) -> None:
        """One page down."""
        self._place_cursor(self._cursor_row + self.page_rows, scroll=True)

    def action_first(self) -> None:
        """The first row."""
        self._place_cursor(0, scroll=True)

    def action_last(self) -> None:
        """The last row."""
        self._place_cursor(len(self.listing) - 1, scroll=True)

    def action_left(self) -> None:
        """Columns to the left."""
        self.skipped = max(0, self.skipped - 1)

    def action_right(self) -> None:
        """Columns to the right, while some are out of sight there."""
        if self.placed()[-1].number < len(self.listing.columns) - 1:
            self.skipped += 1

    def action_open(self) -> None:
        """Open what the cursor is on."""
        if self._cursor_key is not None:
            self.post_message(self.Opened(self, self._cursor_key))

    def on_click(self, event: events.Click) -> None:
        """The cursor goes where the mouse was; a double click opens."""
        row = event.y - self.head_height + round(self.scroll_offset.y)
        if 0 <= row < len(self.listing):
            self._place_cursor(row, scroll=True)
            if event.chain > 1:
                self.action_open()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines of what is seen. Their styles are looked up once, for that takes as long as drawing a line."""
        self._styles = {**tones_of(self.app), "": self.rich_style}
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        look = self._look(y)
        self._drawn[y] = look
        return strip_of(look, self._styles, self.size.width)

    def refresh_changed(self) -> None:
        """Draw the lines anew that would look otherwise now, and no others."""
        width = self.size.width
        lines = [y for y in range(self.size.height) if self._look(y) != self._drawn.get(y)]
        if lines:
            self.refresh(*(Region(0, y, width, 1) for y in lines))

    def _look(self, y: int) -> Look:
        if y < self.head_height:
            return Look(" ", tuple(self._heads()), ("head",))
        row = y - self.head_height + round(self.scroll_offset.y)
        if row < len(self.listing):
            return self._look_of_row(row)
        text = self._empty() if not len(self.listing) and y == self.head_height else ""
        return Look(" ", (Piece(text, max(0, self.size.width - 3)),))

    def _look_of_row(self, row: int) -> Look:
        key = self.listing.key_at(row)
        item = self.listing.items.get(key)
        if item is None:  # it has gone since the listing was made, a moment ago
            return Look(" ", ())
        scene, pieces = self.listing.scene(), []
        for place in self.placed():
            column = self.listing.columns[place.number]
            cell = column.cell(item, scene)
            pieces.append(Piece(cell.text, place.width, cell.tone, column.is_right))
        is_here, is_marked = row == self._cursor_row, key in self.marked
        styles = (*(("marked",) if is_marked else ()), *(("cursor",) if is_here and self.has_focus else ()))
        return Look((POINTER if is_here else " ") + ("✓" if is_marked else ""), tuple(pieces), styles)

    def _heads(self) -> Iterator[Piece]:
        for place in self.placed():
            column = self.listing.columns[place.number]
            arrow = ("▼" if self.listing.is_descending else "▲") if column.name == self.listing.sorted_by else ""
            yield Piece(column.title[: place.width - len(arrow)] + arrow, place.width, "", column.is_right)
