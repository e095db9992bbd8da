"""A campaign: its jobs with their figures, and a chart of its medians."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, Final

from textual.widget import Widget

from daemons.core.errors import BenchfleetError
from tui.actions import CAMPAIGN, TABLE
from tui.bindings import bindings_of
from tui.board import campaigns
from tui.board.board import Changes
from tui.board.cells import BAD, DIM, Cell, status_cell
from tui.board.chart import LEGEND, bar_chart, groups_of
from tui.board.columns import Scene
from tui.board.jobs import COLUMNS, Figures, figures_of
from tui.board.listing import Listing
from tui.board.moments import duration, seconds_of
from tui.board.things import Campaign, Job
from tui.board.told import Page
from tui.screens.campaign_orders import CampaignOrders
from tui.screens.job import JobScreen
from tui.screens.tables import TableScreen
from tui.widgets.drawing import Drawing
from tui.widgets.rowtable import RowTable

PAGE_SIZE: Final = 500
FEW: Final = 20
"""So many jobs' figures are fetched one by one; for more, all of the campaign's are."""
FIGURES_EVERY_S: Final = 1.0


class CampaignScreen(CampaignOrders, TableScreen[Job]):
    """One campaign."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (CAMPAIGN, TABLE)
    BINDINGS = bindings_of(CAMPAIGN)
    MODE = "campaigns"
    TITLE_OF_ROWS = "jobs"

    def __init__(self, campaign_id: str) -> None:
        super().__init__()
        self._campaign_id = campaign_id
        self._figures: dict[str, Figures] = {}
        self._wanted: set[str] = set()
        """Jobs that have ended, whose figures are not known yet."""
        self._why = "looking for its jobs"
        self._shows_chart = False

    @property
    def crumbs(self) -> Sequence[str]:
        """Its name."""
        campaign = self.campaign()
        return [campaigns.model(campaign) if campaign else self._campaign_id]

    def campaign(self) -> Campaign | None:
        """The campaign, while it is known."""
        return self.desk.board.campaigns.get(self._campaign_id)

    def compose_body(self) -> Iterable[Widget]:
        """Jobs, and the chart in their place when it is wanted."""
        yield from super().compose_body()
        yield Drawing(id="chart")

    def make_listing(self) -> Listing[Job]:
        """Its jobs, in their order."""
        board = self.desk.board
        return Listing(
            board.jobs,
            COLUMNS,
            self._scene,
            keys=lambda: board.jobs_of(self._campaign_id),
            takes=lambda job: job.campaign_id == self._campaign_id,
            sort="job",
        )

    def _scene(self) -> Scene:
        return self.desk.scene(self._figures.get)

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """The jobs of a change; of those that have ended, the figures are wanted."""
        for job_id in changes.jobs:
            job = self.desk.board.jobs.get(job_id)
            if job is not None and job.campaign_id == self._campaign_id and job.is_ended:
                self._wanted.add(job_id)
        return changes.jobs

    def empty_text(self) -> str:
        """Why there is no job."""
        return self._why

    def on_mount(self) -> None:
        """Fetch its jobs and what they have measured."""
        self.query_one("#chart").display = False
        self.desk.board.watched.add(self._campaign_id)
        self.work(self._fetch_jobs, "jobs")
        self.set_interval(FIGURES_EVERY_S, self._fetch_figures)

    def on_unmount(self) -> None:
        """Nobody looks at its jobs any more."""
        self.desk.board.unwatch(self._campaign_id)

    def show_board(self) -> None:
        """Take in what has changed."""
        super().show_board()
        if self._shows_chart:
            self._draw()

    def more_title(self) -> Iterable[Cell]:
        """How the campaign fares."""
        campaign = self.campaign()
        if campaign is None:
            return [Cell("was removed", BAD)]
        left_s = campaigns.left_s(campaign, self.desk.scene())
        ended, begun = seconds_of(campaign.ended_at), seconds_of(campaign.created_at)
        took = duration(ended - begun) if ended and begun else ""
        return [
            status_cell(campaign.status),
            Cell(campaigns.progress(campaign)),
            Cell(f"~{duration(left_s)} left" if left_s is not None else f"took {took}" if took else "", DIM),
        ]

    async def _fetch_jobs(self) -> None:
        cursor = None
        try:
            while True:
                answer = await self.desk.ask("jobs", campaign_id=self._campaign_id, limit=PAGE_SIZE, cursor=cursor)
                self.desk.tell(Page(kind="job", epoch=self.desk.board.epoch or "", items=answer["jobs"]))
                self._wanted |= {one["job_id"] for one in answer["jobs"] if one["ended_at"]} - self._figures.keys()
                cursor = answer.get("next_cursor")
                if cursor is None:
                    break
                await asyncio.sleep(0)
        except BenchfleetError as error:
            self._why = str(error)
            self.say(str(error), is_bad=True)

    def _fetch_figures(self) -> None:
        if self._wanted and not any(one.group == "figures" and one.is_running for one in self.workers):
            self.work(self._figures_of_wanted, "figures")

    async def _figures_of_wanted(self) -> None:
        wanted, self._wanted = self._wanted, set()
        try:
            if len(wanted) <= FEW:
                records = [await self._record(job_id) for job_id in sorted(wanted)]
            else:
                records = await self.desk.ask("records_of_campaign", campaign_id=self._campaign_id)
        except BenchfleetError:
            self._wanted |= wanted  # the header says what is lost; asked for again when it is back
            return
        for start in range(0, len(records), PAGE_SIZE):
            found = [figures_of(record) for record in records[start : start + PAGE_SIZE] if record]
            self._figures.update({one.job_id: one for one in found})
            self.table.update([one.job_id for one in found])
            await asyncio.sleep(0)
        self.desk.is_dirty = True

    async def _record(self, job_id: str) -> dict[str, object] | None:
        answer = await self.desk.ask("job", job_id=job_id)
        found: dict[str, object] | None = answer["result"]
        return found

    def action_chart(self) -> None:
        """The chart in place of the jobs, or the jobs again."""
        self._shows_chart = not self._shows_chart
        self.query_one("#chart").display = self._shows_chart
        self.table.display = not self._shows_chart
        (self.query_one("#chart") if self._shows_chart else self.table).focus()
        if self._shows_chart:
            self._draw()

    def _draw(self) -> None:
        drawing = self.query_one("#chart", Drawing)
        lines = bar_chart(groups_of(self._figures.values()), max(40, self.app.size.width - 4))
        heading = Cell("Median inference by device and unit, with its 95 % interval", "title")
        drawing.show([[heading], [Cell(LEGEND, DIM)], [], *(lines or [[Cell("no job has a figure yet")]])])

    def go_back(self) -> bool:
        """From the chart to the jobs, from a filter to all."""
        if self._shows_chart:
            self.action_chart()
            return True
        return super().go_back()

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """A job's own screen."""
        self.app.push_screen(JobScreen(event.key))
