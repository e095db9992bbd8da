"""5 Events: what happens, as it happens."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from daemons.core.events import Event
from tui.actions import EVENTS, TABLE
from tui.bindings import bindings_of
from tui.board.board import Changes
from tui.board.cells import DIM, WARN, Cell
from tui.board.events import COLUMNS
from tui.board.journal import KEEP, SEVERITIES, severity_of
from tui.board.listing import Listing
from tui.board.recent import RecentEvents
from tui.screens.opening import open_event
from tui.screens.tables import TableScreen
from tui.widgets.rowtable import RowTable


class EventsScreen(TableScreen[Event]):
    """The newest events first; on the first row, the cursor stays with what is newest."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (EVENTS, TABLE)
    BINDINGS = bindings_of(EVENTS)
    MODE = "events"
    TITLE_OF_ROWS = "events"
    FOLLOWS = True

    def __init__(self) -> None:
        super().__init__()
        self._recent = RecentEvents(KEEP, SEVERITIES[0])
        self._least = SEVERITIES.index("info")
        self._is_paused = False

    def make_listing(self) -> Listing[Event]:
        """Those of the severity that is wanted, and worse."""
        return Listing(
            self._recent.shown,
            COLUMNS,
            self.desk.scene,
            takes=lambda event: SEVERITIES.index(severity_of(event)) >= self._least,
            is_descending=True,
        )

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """What has happened since, unless the list stands still."""
        if self._is_paused:
            return ()
        del changes
        return self._recent.update(self.desk.board.journal)

    def empty_text(self) -> str:
        """Nothing has happened."""
        return f"nothing of severity {SEVERITIES[self._least]} has happened since this dashboard was started"

    def more_title(self) -> Iterable[Cell]:
        """From which severity on, and whether it stands still."""
        least = SEVERITIES[self._least]
        parts = [Cell("all" if self._least == 0 else f"{least} and worse", DIM)]
        return [*parts, Cell("‖ paused: p goes on", WARN)] if self._is_paused else parts

    def action_pause(self) -> None:
        """Stand still, or go on."""
        self._is_paused = not self._is_paused
        self.show_board()

    def action_severity(self) -> None:
        """The next severity, and after the worst all again."""
        self._least = (self._least + 1) % len(SEVERITIES)
        self.rebuild(self.table)

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """The device or campaign that it is about."""
        happened = self._recent.shown.get(event.key)
        if happened is not None:
            open_event(self, happened)
