"""2 Workers: every device."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from tui.actions import TABLE, WORKERS
from tui.bindings import bindings_of
from tui.board.board import Changes
from tui.board.listing import Listing
from tui.board.things import Worker
from tui.board.workers import COLUMNS
from tui.screens.device_orders import DeviceOrders
from tui.screens.tables import TableScreen
from tui.screens.worker import WorkerScreen
from tui.widgets.rowtable import RowTable

LOOK_EVERY_S = 5.0
"""How often it is asked when the devices that are seen were last heard of."""


class WorkersScreen(DeviceOrders, TableScreen[Worker]):
    """Every device; what can be done with the one under the cursor."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (WORKERS, TABLE)
    BINDINGS = bindings_of(WORKERS)
    MODE = "workers"
    TITLE_OF_ROWS = "devices"

    def make_listing(self) -> Listing[Worker]:
        """All devices, by name."""
        return Listing(self.desk.board.workers, COLUMNS, self.desk.scene, sort="device")

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """The devices of a change."""
        return changes.workers

    def empty_text(self) -> str:
        """No device has registered, or it isn't known yet."""
        if self.desk.board.epoch is None:
            return "waiting for the orchestrator"
        return f"no device has registered; start one with: benchfleet worker --url {self.desk.host}"

    def on_mount(self) -> None:
        """Ask now and again when devices were heard of."""
        self.set_interval(LOOK_EVERY_S, self.look)

    def on_screen_resume(self) -> None:
        """Ask at once when it is seen again."""
        self.call_after_refresh(self.look)

    def look(self) -> None:
        """Ask when the devices that are seen were last heard of."""
        if self.is_current:
            self.watch_beats(self.table.visible_keys())

    def device(self) -> Worker | None:
        """The device under the cursor."""
        found: Worker | None = self.chosen()
        return found

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """A device's own screen."""
        self.app.push_screen(WorkerScreen(event.key))
