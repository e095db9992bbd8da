"""A table that draws the rows that are seen, and no others: one of 10,000 devices scrolls as one of 10."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, ClassVar, Final, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import ROWS
from tui.bindings import bindings_of
from tui.board.cells import TONES, Cell
from tui.board.columns import Column, Placed, fit
from tui.board.listing import Listing

T = TypeVar("T")

POINTER: Final = "❯"  # noqa: RUF001
"""Where the cursor is, also without colours."""


class RowTable(ScrollView, Generic[T], can_focus=True):
    """Rows of a listing, with the cursor on a key and not on a place: it stays on its row wherever that goes."""

    BINDINGS = bindings_of(ROWS)
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rowtable--head",
        "rowtable--cursor",
        "rowtable--marked",
        *(f"rowtable--{tone}" for tone in TONES),
    }

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
        return fit(self.listing.columns, max(1, self.size.width - 2), self.skipped)

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
        self.refresh()

    def move_to(self, key: str) -> None:
        """Put the cursor on a key, if it is here."""
        row = self.listing.row_of(key)
        if row is not None:
            self._place_cursor(row, scroll=True)

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
            self.refresh()

    def _fit_size(self) -> None:
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

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        width = self.size.width
        base = self.rich_style
        if y < self.head_height:
            return self._line(width, self.get_component_rich_style("rowtable--head"), self._heads(), " ", {})
        row = y - self.head_height + round(self.scroll_offset.y)
        if row >= len(self.listing):
            text = f" {self._empty()}" if not len(self.listing) and y == self.head_height else ""
            return Strip([Segment(set_cell_size(text, width), base)], width)
        return self._row(row, width, base)

    def _row(self, row: int, width: int, base: Style) -> Strip:
        key = self.listing.key_at(row)
        item = self.listing.items.get(key)
        if item is None:  # it has gone since the listing was made, a moment ago
            return Strip.blank(width, base)
        scene = self.listing.scene()
        cells = [
            (self.listing.columns[place.number], place.width, self.listing.columns[place.number].cell(item, scene))
            for place in self.placed()
        ]
        is_here = row == self._cursor_row
        style = base
        if key in self.marked:
            style += self.get_component_rich_style("rowtable--marked", partial=True)
        if is_here and self.has_focus:
            style += self.get_component_rich_style("rowtable--cursor", partial=True)
        tones = {tone: self.get_component_rich_style(f"rowtable--{tone}", partial=True) for tone in TONES}
        mark = "✓" if key in self.marked else POINTER if is_here else " "
        return self._line(width, style, cells, mark, tones)

    def _heads(self) -> list[tuple[Column[T], int, Cell]]:
        heads = []
        for place in self.placed():
            column = self.listing.columns[place.number]
            arrow = ("▼" if self.listing.is_descending else "▲") if column.name == self.listing.sorted_by else ""
            heads.append((column, place.width, Cell(column.title[: place.width - len(arrow)] + arrow)))
        return heads

    def _line(
        self, width: int, style: Style, cells: list[tuple[Column[T], int, Cell]], mark: str, tones: dict[str, Style]
    ) -> Strip:
        segments = [Segment(f"{mark} ", style)]
        for column, size, cell in cells:
            toned = style + tones[cell.tone] if cell.tone in tones else style
            segments.append(Segment(aligned(cell.text, size, is_right=column.is_right), toned))
            segments.append(Segment(" ", style))
        return Strip(segments).adjust_cell_length(width, style)


def aligned(text: str, size: int, *, is_right: bool) -> str:
    """Text in exactly `size` cells; what is too long ends with an ellipsis."""
    length = cell_len(text)
    if length > size:
        return set_cell_size(text, size - 1) + "…" if size > 1 else set_cell_size(text, size)
    return " " * (size - length) + text if is_right else text + " " * (size - length)
