"""A queue: the jobs that wait in it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, Final

from daemons.core.errors import BenchfleetError
from tui.actions import QUEUE, TABLE
from tui.bindings import bindings_of
from tui.board.board import Changes
from tui.board.cells import DIM, Cell
from tui.board.listing import Listing
from tui.board.queues import UNIT, Queue
from tui.board.things import Job, job_of
from tui.board.waiting import COLUMNS
from tui.screens.confirm import ConfirmScreen
from tui.screens.job import JobScreen
from tui.screens.tables import TableScreen
from tui.widgets.rowtable import RowTable

PAGE_SIZE: Final = 500
MOST: Final = 20_000
"""So many waiting jobs are listed at most."""


class QueueScreen(TableScreen[Job]):
    """The jobs that wait for one unit, or for one device."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (QUEUE, TABLE)
    BINDINGS = bindings_of(QUEUE)
    MODE = "queues"
    TITLE_OF_ROWS = "waiting jobs"

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._queue = queue
        self._jobs: dict[str, Job] = {}
        self._why = "looking for its jobs"
        self._is_cut = False

    @property
    def crumbs(self) -> Sequence[str]:
        """What it is the queue of."""
        return [self._queue.name]

    def make_listing(self) -> Listing[Job]:
        """Its jobs: those of higher priority first, then the oldest."""
        return Listing(self._jobs, COLUMNS, self.desk.scene, sort="submitted")

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """Those that wait no longer leave."""
        left = [job_id for job_id in changes.jobs if job_id in self._jobs and not self._still_waits(job_id)]
        for job_id in left:
            del self._jobs[job_id]
        return left

    def _still_waits(self, job_id: str) -> bool:
        job = self.desk.board.jobs.get(job_id)
        return job is None or job.status == "pending"

    def empty_text(self) -> str:
        """Why there is no job."""
        return self._why

    def on_mount(self) -> None:
        """Fetch what waits."""
        self.work(self._fetch, "jobs")

    def more_title(self) -> Iterable[Cell]:
        """Whether there are more."""
        return [Cell(f"the newest {MOST:,} of them", DIM)] if self._is_cut else []

    async def _fetch(self) -> None:
        cursor = None
        try:
            while len(self._jobs) < MOST:
                answer = await self.desk.ask("jobs", **self._asked(), status="pending", limit=PAGE_SIZE, cursor=cursor)
                found = [job for job in map(job_of, answer["jobs"]) if self._belongs(job)]
                self._jobs.update({job.job_id: job for job in found})
                self.table.update([job.job_id for job in found])
                cursor = answer.get("next_cursor")
                if cursor is None:
                    break
                await asyncio.sleep(0)
        except BenchfleetError as error:
            self.say(str(error), is_bad=True)
        self._is_cut = cursor is not None
        self._why = "nothing waits here"
        self.show_title()
        self.table.redraw()

    def _asked(self) -> dict[str, Any]:
        if self._queue.kind == UNIT:
            return {"compute_unit": self._queue.unit}
        return {"worker_id": self._queue.worker_id}

    def _belongs(self, job: Job) -> bool:
        """A job that is for one device alone waits in that device's queue, one with tags in that of its tags."""
        wanted = (job.options.worker_id or "", () if job.options.worker_id else tuple(sorted(job.options.tags)))
        return wanted == (self._queue.worker_id, self._queue.tags)

    def action_withdraw(self) -> None:
        """Take the job under the cursor out, after having asked."""
        job: Job | None = self.chosen()
        if job is not None:
            question = ConfirmScreen("Withdraw this job?", [f"job {job.job_id} is cancelled and doesn't run"])
            self.app.push_screen(question, lambda yes: self.attempt(self._withdrawn(job)) if yes else None)

    async def _withdrawn(self, job: Job) -> str:
        answer = await self.desk.order("cancel_job", job_id=job.job_id)
        if self._jobs.pop(job.job_id, None) is not None:
            self.table.update([job.job_id])
        return f"{job.job_id} is {'stopping' if answer['stopping'] else answer['status']}"

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """A job's own screen."""
        self.app.push_screen(JobScreen(event.key))
