"""A device: what it is, what it does, and what it has measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from textual.widget import Widget

from daemons.core.errors import BenchfleetError
from tui.actions import WORKER
from tui.bindings import bindings_of
from tui.board import workers as rows
from tui.board.cells import plain, status_cell
from tui.board.listing import Listing
from tui.board.moments import duration
from tui.board.results import COLUMNS, Record
from tui.board.things import Worker
from tui.screens.device_orders import DeviceOrders
from tui.screens.job import JobScreen
from tui.widgets.facts import Fact, Facts
from tui.widgets.pane import Pane
from tui.widgets.rowtable import RowTable

PAST_RESULTS: Final = 1000
LOOK_EVERY_S: Final = 5.0


class WorkerScreen(DeviceOrders):
    """One device and its past results."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (WORKER,)
    BINDINGS = bindings_of(WORKER)
    MODE = "workers"

    def __init__(self, worker_id: str) -> None:
        super().__init__()
        self._worker_id = worker_id
        self._results: dict[str, Record] = {}
        self._why = "looking for past results"
        self._ended = 0
        """How many jobs it had ended when its results were fetched."""

    @property
    def crumbs(self) -> Sequence[str]:
        """The device's name."""
        worker = self.device()
        return [worker.device_name if worker else self._worker_id]

    def device(self) -> Worker | None:
        """The device, while it is known."""
        return self.desk.board.workers.get(self._worker_id)

    def compose_body(self) -> Iterable[Widget]:
        """Facts above, results below."""
        listing = Listing(self._results, COLUMNS, self.desk.scene, sort="ended", is_descending=True)
        yield Facts(id="facts")
        yield Pane("Past results", listing, lambda: self._why, has_head=True, id="results")

    @property
    def table(self) -> RowTable[Record]:
        """The past results."""
        return self.query_one(Pane).table

    def on_mount(self) -> None:
        """Fetch what it has measured."""
        self.table.focus()
        self.work(self._fetch, "results")
        self.set_interval(LOOK_EVERY_S, lambda: self.watch_beats([self._worker_id]))
        self.watch_beats([self._worker_id])

    def show_board(self) -> None:
        """The device as it is now; its results anew when a job of it has ended."""
        worker = self.device()
        self.query_one(Facts).show(self._facts(worker) if worker else [("device", f"{self._worker_id} was removed")])
        ended = worker.jobs_complete + worker.jobs_failed if worker else self._ended
        if ended != self._ended:
            self._ended = ended
            self.work(self._fetch, "results")

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """The job that it was."""
        self.app.push_screen(JobScreen(event.key))

    async def _fetch(self) -> None:
        try:
            records = await self.desk.ask("records_of_device", worker_id=self._worker_id, limit=PAST_RESULTS)
        except BenchfleetError as error:
            self._why = str(error)
        else:
            self._why = "it has no results yet"
            self._results.update({record["JobId"]: record for record in records})
            for _ in self.table.listing.rebuild():
                pass
        self.query_one(Pane).show_title(f"{len(self._results):,}")
        self.table.redraw()

    def _facts(self, worker: Worker) -> list[Fact]:
        scene = self.desk.scene()
        info, health = worker.device_info, worker.health
        drained = f"drained{f': {worker.drained_reason}' if worker.drained_reason else ''}" if worker.drained else ""
        return [
            ("status", status_cell(rows.shown_status(worker)).text),
            ("why", plain(worker.faulty_reason) or drained),
            ("job", rows.work(worker, scene).text if worker.current_job else ""),
            ("last heard", f"{duration(rows.beat_age_s(worker, scene))} ago"),
            ("units", ", ".join(worker.capabilities)),
            ("tags", ", ".join(worker.tags)),
            ("SoC", plain(info.soc)),
            ("memory", rows.memory(worker)),
            ("system", f"{plain(info.device_os)} {plain(info.device_os_version)}".strip()),
            ("cores", _cores(info)),
            ("GPUs", ", ".join(info.gpus)),
            ("engines", ", ".join(f"{name} {version}" for name, version in info.engines.items())),
            ("jobs", f"{worker.jobs_complete:,} complete, {worker.jobs_failed:,} failed"),
            ("kept results", f"{worker.undelivered_results:,} were refused" if worker.undelivered_results else ""),
            ("checkup", _checkup(health)),
            ("address", plain(worker.ip_address)),
            ("id", worker.worker_id),
        ]


def _cores(info: Any) -> str:
    if info.physical_cores is None:
        return ""
    logical = f" ({info.logical_cores} logical)" if info.logical_cores else ""
    return f"{info.physical_cores}{logical}"


def _checkup(health: Any) -> str:
    if health.open_checkup:
        return "runs or waits now"
    if health.passed is None:
        return ""
    return "passed" if health.passed else f"not passed: {plain(health.reason)}"
