"""Choosing devices: the table of those that could run the jobs, with marks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import ClassVar

from tui.actions import CHOOSING, TABLE
from tui.bindings import bindings_of
from tui.board.board import Changes
from tui.board.cells import Cell
from tui.board.listing import Listing
from tui.board.things import Worker
from tui.board.workers import COLUMNS
from tui.screens.tables import TableScreen
from tui.widgets.rowtable import RowTable


class ChoosingScreen(TableScreen[Worker]):
    """Devices that have one of the units; enter takes those that are marked, esc leaves all as it was."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (CHOOSING, TABLE)
    BINDINGS = bindings_of(CHOOSING)
    MODE = "campaigns"
    TITLE_OF_ROWS = "devices"

    def __init__(
        self, chosen: Collection[str], units: Collection[str], take: Callable[[tuple[str, ...]], None]
    ) -> None:
        """`take` is told what was chosen."""
        super().__init__()
        self._chosen = chosen
        self._units = frozenset(units)
        self._take = take

    @property
    def crumbs(self) -> Sequence[str]:
        """The way here."""
        return ["new campaign", "choose devices"]

    def make_listing(self) -> Listing[Worker]:
        """The devices, by name."""
        return Listing(self.desk.board.workers, COLUMNS, self.desk.scene, takes=self._fits, sort="device")

    def _fits(self, worker: Worker) -> bool:
        return not self._units or bool(self._units.intersection(worker.capabilities))

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """The devices of a change."""
        return changes.workers

    def empty_text(self) -> str:
        """Nobody is there."""
        return "no device has one of the ticked units" if self._units else "no device has registered"

    def on_mount(self) -> None:
        """Begin with what was chosen before."""
        self.table.marked.update(self._chosen)

    def more_title(self) -> Iterable[Cell]:
        """How many are marked."""
        return [Cell(f"{len(self.table.marked):,} marked; enter takes them", "title")]

    def action_mark(self) -> None:
        """Mark the device under the cursor, or no longer."""
        if (key := self.table.cursor_key) is not None:
            self.table.toggle_mark(key)
            self.show_title()

    def action_mark_all(self) -> None:
        """Mark all that the filter leaves, or none of them if all are."""
        listing = self.table.listing
        shown = {listing.key_at(row) for row in range(len(listing))}
        self.table.marked = self.table.marked - shown if shown <= self.table.marked else self.table.marked | shown
        self.table.refresh_changed()
        self.show_title()

    def on_row_table_opened(self, _: RowTable.Opened) -> None:
        """That is all."""
        self._take(tuple(sorted(self.table.marked)))
        self.app.pop_screen()
