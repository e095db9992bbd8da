"""1 Overview: what runs, who works, what waits, what happened last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from textual.widget import Widget

from tui.actions import OVERVIEW
from tui.bindings import bindings_of
from tui.board import overview, queues
from tui.board.board import Changes, Reader
from tui.board.listing import Listing
from tui.board.recent import RecentEvents
from tui.board.things import Campaign, Worker
from tui.screens.base import BoardScreen
from tui.screens.campaign import CampaignScreen
from tui.screens.opening import open_event
from tui.screens.queue import QueueScreen
from tui.screens.queue_watch import QueueWatch
from tui.screens.worker import WorkerScreen
from tui.widgets.pane import Pane
from tui.widgets.rowtable import RowTable

WIDE: Final = 110
EVENTS_SHOWN: Final = 200


class OverviewScreen(QueueWatch, BoardScreen):
    """Four small tables; enter on anything opens it."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (OVERVIEW,)
    BINDINGS = bindings_of(OVERVIEW)
    MODE = "overview"

    def __init__(self) -> None:
        super().__init__()
        self._reader: Reader | None = None
        self._queues: dict[str, queues.Queue] = {}
        self._are_queues_known = False
        self._events = RecentEvents(EVENTS_SHOWN, "info")

    def compose_body(self) -> Iterable[Widget]:
        """The panes."""
        board, scene = self.desk.board, self.desk.scene
        running: Listing[Campaign] = Listing(
            board.campaigns, overview.CAMPAIGNS, scene, takes=lambda one: one.status == "running"
        )
        busy: Listing[Worker] = Listing(board.workers, overview.DEVICES, scene, takes=lambda one: bool(one.current_job))
        waiting = Listing(self._queues, overview.QUEUES, scene, sort="waiting")
        events = Listing(self._events.shown, overview.EVENTS, scene, is_descending=True)
        yield Pane("Running campaigns", running, self._no_campaign, has_head=False, id="campaigns")
        yield Pane("Devices at work", busy, self._no_work, has_head=False, id="devices")
        yield Pane("Waiting jobs", waiting, self._no_queue, has_head=False, id="queues")
        yield Pane("Last events", events, self._no_event, has_head=False, id="events", follows=True)

    def on_mount(self) -> None:
        """Begin with what the board has."""
        self._reader = self.desk.board.reader()
        for pane in self.query(Pane):
            self.rebuild(pane.table)
        self._table("campaigns").focus()
        self.watch_queues()

    def on_resize(self) -> None:
        """Two columns where there is room."""
        self.set_class(self.app.size.width >= WIDE, "-wide")

    def show_board(self) -> None:
        """Take in what has changed."""
        changes = self._reader.take() if self._reader else Changes()
        self.update_rows(self._table("campaigns"), changes.campaigns)
        self.update_rows(self._table("devices"), changes.workers)
        self.update_rows(self._table("events"), self._events.update(self.desk.board.journal))
        self._show_titles()

    def show_queues(self, found: list[queues.Queue]) -> None:
        """What waits now, the most first."""
        self._are_queues_known = True
        jobs = [queue for queue in found if queue.waiting and queue.kind != queues.RESULTS]
        most = max((queue.waiting for queue in jobs), default=0)
        fresh = {queue.key: queue._replace(most=most) for queue in jobs}
        changed = self._queues.keys() | fresh.keys()
        self._queues.clear()
        self._queues.update(fresh)
        self._table("queues").update(changed)

    def _show_titles(self) -> None:
        waiting = sum(queue.waiting for queue in self._queues.values())
        totals = {"campaigns": len(self._table("campaigns").listing), "devices": len(self._table("devices").listing)}
        for pane in self.query(Pane):
            count = waiting if pane.id == "queues" else totals.get(pane.id or "")
            pane.show_title(*([f"{count:,}"] if count else []))

    def _table(self, name: str) -> RowTable[Any]:
        return self.query_one(f"#{name}", Pane).table

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """What is behind the row."""
        pane = event.table.parent
        name = pane.id if isinstance(pane, Pane) else ""
        match name:
            case "devices":
                self.app.push_screen(WorkerScreen(event.key))
            case "campaigns":
                self.app.push_screen(CampaignScreen(event.key))
            case "queues" if (queue := self._queues.get(event.key)) and queue.kind in (queues.UNIT, queues.DEVICE):
                self.app.push_screen(QueueScreen(queue))
            case "events" if happened := self._events.shown.get(event.key):
                open_event(self, happened)
            case _:
                self.say("there is nothing to open behind this", is_bad=True)

    def action_next_pane(self) -> None:
        """The next table."""
        self.focus_next(RowTable)

    def action_previous_pane(self) -> None:
        """The table before."""
        self.focus_previous(RowTable)

    def _no_campaign(self) -> str:
        return "no campaign runs" if self.desk.board.epoch else self._nothing_yet()

    def _no_work(self) -> str:
        return "no device is at work" if self.desk.board.epoch else ""

    def _no_queue(self) -> str:
        return "nothing waits" if self._are_queues_known else ""

    def _no_event(self) -> str:
        return "nothing has happened since this dashboard was started" if self.desk.board.epoch else ""

    def _nothing_yet(self) -> str:
        return self.desk.link.why or f"waiting for the orchestrator at {self.desk.host}"
