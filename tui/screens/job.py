"""A job: what was asked, what happened, what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from textual.widget import Widget

from daemons.core.errors import BenchfleetError
from tui.actions import JOB
from tui.bindings import bindings_of
from tui.board.board import Reader
from tui.board.cells import BAD, DIM, WARN, Cell, plain, status_cell, with_unit
from tui.board.chart import histogram
from tui.board.jobs import device, shown_status, work
from tui.board.moments import clock_time
from tui.board.things import Job, job_of
from tui.screens.base import BoardScreen
from tui.screens.confirm import ConfirmScreen
from tui.widgets.drawing import Drawing
from tui.widgets.facts import Fact, Facts

MOST_BINS: Final = 24

MS: Final = (
    ("median", "InferenceMsMedian"),
    ("average", "InferenceMsAverage"),
    ("std dev", "InferenceMsStdDev"),
    ("min", "InferenceMsMin"),
    ("p90", "InferenceMsP90"),
    ("p99", "InferenceMsP99"),
    ("max", "InferenceMsMax"),
)


class JobScreen(BoardScreen):
    """One job."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (JOB,)
    BINDINGS = bindings_of(JOB)
    MODE = "campaigns"

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self._job_id = job_id
        self._reader: Reader | None = None
        self._job: Job | None = None
        self._history: list[dict[str, Any]] = []
        self._result: dict[str, Any] = {}
        self._why = "looking for it"

    @property
    def crumbs(self) -> Sequence[str]:
        """Its campaign's number, and its own."""
        campaign, _, number = self._job_id.rpartition("-job-")
        return [campaign, f"job {number}"]

    def compose_body(self) -> Iterable[Widget]:
        """Facts above, history and histogram below."""
        yield Facts(id="facts")
        yield Drawing(id="drawing")

    def on_mount(self) -> None:
        """Fetch it."""
        self._reader = self.desk.board.reader()
        self.query_one(Drawing).focus()
        self._look()

    def on_unmount(self) -> None:
        """Nobody reads any more."""
        if self._reader is not None:
            self.desk.board.release(self._reader)

    def show_board(self) -> None:
        """As it is now; fetched anew when it has changed."""
        if self._reader is not None and self._job_id in self._reader.take().jobs:
            self._look()
        self._show()

    def _look(self) -> None:
        self.work(self._fetch, "job")

    async def _fetch(self) -> None:
        try:
            answer = await self.desk.ask("job", job_id=self._job_id)
        except BenchfleetError as error:
            self._why = str(error)
        else:
            self._job, self._history = job_of(answer["job"]), answer["job"].get("history", [])
            self._result = answer["result"] or {}
        self._show()

    def _show(self) -> None:
        if self._job is None:
            self.query_one(Facts).show([("job", self._job_id), ("", self._why)])
            return
        self.query_one(Facts).show(self._facts(self._job))
        self.query_one(Drawing).show([*self._remarks(), *self._samples(), *self._told()])

    def _facts(self, job: Job) -> list[Fact]:
        scene, result = self.desk.scene(), self._result
        inference = [f"{name} {with_unit(result.get(key), 'ms')}" for name, key in MS if result.get(key) is not None]
        loads = [("median", "LoadMsMedian"), ("first", "LoadMsFirst"), ("std dev", "LoadMsStdDev")]
        load = [f"{name} {with_unit(result.get(key), 'ms')}" for name, key in loads if result.get(key) is not None]
        return [
            ("status", f"{status_cell(shown_status(job)).text}  {work(job, scene).text}".rstrip()),
            ("unit", plain(job.compute_unit)),
            ("device", device(job, scene)),
            ("attempt", f"{job.attempt}" + (f", {job.lost_attempts} lost" if job.lost_attempts else "")),
            ("model", plain(result.get("FileName"))),
            ("inference", ", ".join(inference)),
            ("95 % of the median", _interval(result)),
            ("load", ", ".join(load)),
            ("peak memory", _peaks(result)),
            ("ran on", plain(result.get("ExecutionProvider"))),
            ("engine", f"{plain(result.get('Engine'))} {plain(result.get('EngineVersion'))}".strip()),
            ("verdict", status_cell(result["Verdict"]).text if result.get("Verdict") else ""),
        ]

    def _remarks(self) -> list[list[Cell]]:
        reasons = self._result.get("VerdictReasons", [])
        warnings = [one for one in self._result.get("Warnings", []) if not any(why.startswith(one) for why in reasons)]
        lines = [[Cell(f"! {plain(one)}", WARN)] for one in (*reasons, *warnings)]
        if self._result.get("Remark"):
            lines.insert(0, [Cell(f"✗ {plain(self._result['Remark'])}", BAD)])
        return [*lines, []] if lines else []

    def _samples(self) -> list[list[Cell]]:
        samples = (self._result.get("Samples") or {}).get("InferenceMs") or []
        lines = histogram(samples, max(40, self.app.size.width - 4), MOST_BINS)
        heading = Cell(f"{len(samples):,} inference runs by their time", "title")
        return [[heading], *lines, []] if lines else []

    def _told(self) -> list[list[Cell]]:
        if not self._history:
            return []
        return [[Cell("What happened (UTC)", "title")], *(_entry(one) for one in self._history)]

    def action_cancel(self) -> None:
        """Cancel it, after having asked."""
        if self._job is None or self._job.is_ended:
            self.say("it has ended; there is nothing to cancel", is_bad=True)
            return
        lost = "what it has measured is lost" if self._job.status == "running" else "it doesn't run"
        question = ConfirmScreen("Cancel this job?", [f"job {self._job_id}", lost])
        self.app.push_screen(question, lambda yes: self.attempt(self._cancelled()) if yes else None)

    def action_retry(self) -> None:
        """Run it again, if it has failed."""
        self.attempt(self._retried())

    async def _cancelled(self) -> str:
        answer = await self.desk.order("cancel_job", job_id=self._job_id)
        return "it ends as soon as its device hears of it" if answer["stopping"] else f"it is {answer['status']}"

    async def _retried(self) -> str:
        answer = await self.desk.order("retry_job", job_id=self._job_id)
        return str(answer["message"])


def _interval(result: Mapping[str, Any]) -> str:
    low, high = result.get("InferenceMsMedianLow"), result.get("InferenceMsMedianHigh")
    return "" if low is None or high is None else f"{with_unit(low, 'ms')} … {with_unit(high, 'ms')}"


def _peaks(result: Mapping[str, Any]) -> str:
    peaks = [("loading", "PeakLoadRamUsage"), ("running", "PeakInferenceRamUsage"), ("before", "BaselineRamUsage")]
    return ", ".join(f"{name} {with_unit(result.get(key), 'MB')}" for name, key in peaks if result.get(key) is not None)


def _entry(one: dict[str, Any]) -> list[Cell]:
    where = " ".join(
        plain(part)
        for part in (f"attempt {one['attempt']}" if one.get("attempt") else "", one.get("worker_id"))
        if part
    )
    return [
        Cell(clock_time(one.get("at")), DIM),
        Cell(plain(one["event"])),
        Cell(where, DIM),
        Cell(plain(one.get("reason"))),
    ]
