"""4 Queues: what waits for which devices."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from tui.actions import QUEUES, TABLE
from tui.bindings import bindings_of
from tui.board.board import Changes
from tui.board.cells import BAD, Cell
from tui.board.listing import Listing
from tui.board.queues import COLUMNS, DEVICE, UNIT, Queue
from tui.screens.queue import QueueScreen
from tui.screens.queue_watch import QueueWatch
from tui.screens.tables import TableScreen
from tui.widgets.rowtable import RowTable


class QueuesScreen(QueueWatch, TableScreen[Queue]):
    """Every queue: of units, of single devices, of retries, and of results that wait to be written."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (QUEUES, TABLE)
    BINDINGS = bindings_of(QUEUES)
    MODE = "queues"
    TITLE_OF_ROWS = "queues"

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[str, Queue] = {}

    def make_listing(self) -> Listing[Queue]:
        """All queues, the longest first."""
        return Listing(self._queues, COLUMNS, self.desk.scene, sort="waiting")

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """Nothing tells of queues: they are asked for."""
        del changes
        return ()

    def empty_text(self) -> str:
        """Nothing is known yet."""
        return "waiting for the orchestrator"

    def on_mount(self) -> None:
        """Begin to ask."""
        self.watch_queues()

    def on_screen_resume(self) -> None:
        """Ask at once when it is seen again."""
        self.call_after_refresh(self.look_at_queues)

    def show_queues(self, found: list[Queue]) -> None:
        """What waits now."""
        most = max((queue.waiting for queue in found), default=0)
        changed = {*self._queues, *(queue.key for queue in found)}
        self._queues.clear()
        self._queues.update({queue.key: queue._replace(most=most) for queue in found})
        self.table.update(changed)

    def more_title(self) -> Iterable[Cell]:
        """What no device can serve."""
        stuck = sum(queue.waiting for queue in self._queues.values() if queue.is_stuck)
        return [Cell(f"✗ {stuck:,} jobs that no device can take now", BAD)] if stuck else []

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """The jobs that wait there."""
        queue = self._queues.get(event.key)
        if queue is not None and queue.kind in (UNIT, DEVICE):
            self.app.push_screen(QueueScreen(queue))
        else:
            self.say("what waits there is not listed", is_bad=True)
