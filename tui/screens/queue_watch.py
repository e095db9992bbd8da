"""Asks now and again what waits: nothing tells of queues by itself."""

from __future__ import annotations

from typing import Final

from daemons.core.errors import BenchfleetError
from tui.board.queues import Queue, queues_of
from tui.screens.base import BoardScreen

LOOK_EVERY_S: Final = 2.0


class QueueWatch(BoardScreen):
    """A screen that shows queues while it is seen."""

    def watch_queues(self) -> None:
        """Begin to ask."""
        self.set_interval(LOOK_EVERY_S, self.look_at_queues)
        self.look_at_queues()

    def look_at_queues(self) -> None:
        """Ask now, in the background."""
        if self.is_current and (self.desk.link.is_live or self.desk.is_replay):
            self.work(self._look, "queues")

    def show_queues(self, found: list[Queue]) -> None:
        """What waits now."""
        raise NotImplementedError

    async def _look(self) -> None:
        try:
            status = await self.desk.ask("queue_status")
        except BenchfleetError:
            return  # the header says what is lost, and what is shown stays
        self.show_queues(queues_of(status, self.desk.board.workers.values()))
        self.desk.is_dirty = True
