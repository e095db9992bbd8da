"""Compare: two campaigns side by side. What is shown follows from `tui.compare`; this only fetches and shows."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

from textual.widget import Widget

from daemons.core.errors import BenchfleetError
from tui.actions import COMPARE, TABLE
from tui.bindings import bindings_of
from tui.board import campaigns
from tui.board.board import Changes
from tui.board.cells import DIM, Cell, plain, status_cell
from tui.board.listing import Listing
from tui.board.things import Campaign
from tui.compare import pairing
from tui.compare.columns import COLUMNS, LEGEND, WORDS, is_of_runs
from tui.compare.pairing import Comparison, Measured, Pair
from tui.screens.job import JobScreen
from tui.screens.tables import TableScreen
from tui.widgets.facts import Fact, Facts
from tui.widgets.line import Line
from tui.widgets.rowtable import RowTable

PAGE_SIZE: Final = 500
LOOK_EVERY_S: Final = 2.0
"""While one of them runs, its rows become more: fetched again no more often than this."""
OF_RUNS: Final = "1 job a side: how much processes differ is not known; several jobs tell"


class CompareScreen(TableScreen[Pair]):
    """Base and head, pair by pair."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (COMPARE, TABLE)
    BINDINGS = bindings_of(COMPARE)
    MODE = "campaigns"
    TITLE_OF_ROWS = "pairs"

    def __init__(self, base_id: str, head_id: str) -> None:
        super().__init__()
        self._base_id, self._head_id = base_id, head_id
        self._found: dict[str, list[Measured]] = {}
        """Campaign → what it has measured."""
        self._comparison = Comparison({}, ())
        self._pairs: dict[str, Pair] = {}
        self._stale = {base_id, head_id}
        """Campaigns of which there is more than was fetched."""
        self._why = "looking for their results"

    @property
    def crumbs(self) -> Sequence[str]:
        """What it is."""
        return ["compare"]

    def compose_body(self) -> Iterable[Widget]:
        """What is compared, the table, and what its signs mean."""
        yield Facts(id="facts")
        yield from super().compose_body()
        yield Line(id="legend")

    def make_listing(self) -> Listing[Pair]:
        """The pairs, by device."""
        return Listing(self._pairs, COLUMNS, self.desk.scene, sort="device")

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """Nothing on the board is a row here; what has changed of the campaigns is fetched anew."""
        self._stale |= changes.campaigns & {self._base_id, self._head_id}
        return ()

    def empty_text(self) -> str:
        """Why there is no row."""
        return self._why

    def on_mount(self) -> None:
        """Fetch what there is, and what comes."""
        self._look()
        self.set_interval(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        if self._stale and not any(one.group == "fetch" and one.is_running for one in self.workers):
            self.work(self._fetch, "fetch")

    async def _fetch(self) -> None:
        stale, self._stale = self._stale, set()
        try:
            for campaign_id in sorted(stale):
                self._found[campaign_id] = await self._measured(campaign_id)
        except BenchfleetError as error:
            self._stale |= stale
            self._why = str(error)
            self.say(str(error), is_bad=True)
            return
        await self._compare()

    async def _measured(self, campaign_id: str) -> list[Measured]:
        campaign, jobs, cursor = await self.desk.ask("campaign", campaign_id=campaign_id), [], None
        while True:
            answer = await self.desk.ask("jobs", campaign_id=campaign_id, limit=PAGE_SIZE, cursor=cursor)
            jobs += answer["jobs"]
            cursor = answer.get("next_cursor")
            if cursor is None:
                break
        records = await self.desk.ask("records_of_campaign", campaign_id=campaign_id)
        return await asyncio.to_thread(pairing.measured_of, campaign["model_url"], jobs, records)

    async def _compare(self) -> None:
        base, head = self._found.get(self._base_id, []), self._found.get(self._head_id, [])
        self._comparison = await asyncio.to_thread(pairing.compare, base, head)
        self._pairs.clear()
        self._pairs.update(self._comparison.pairs)
        self._why = "none of their jobs has ended yet"
        self.rebuild(self.table)
        self.desk.is_dirty = True

    def show_board(self) -> None:
        """What is compared, and the pairs."""
        super().show_board()
        self.query_one(Facts).show([*self._sides(), *self._differences()], most_columns=1)
        self.query_one("#legend", Line).show(self._legend())

    def _legend(self) -> list[Cell]:
        if any(is_of_runs(pair) for pair in self._pairs.values()):
            return [Cell(OF_RUNS, DIM)]
        return [Cell(LEGEND, DIM)]

    def _sides(self) -> Iterator[Fact]:
        for name, campaign_id in (("base", self._base_id), ("head", self._head_id)):
            campaign = self.desk.board.campaigns.get(campaign_id)
            yield name, _words(campaign) if campaign else f"{campaign_id} (was removed)"

    def _differences(self) -> list[Fact]:
        told = [f"{name}: {before} → {after}" for name, before, after in self._comparison.differences]
        return [("differ in", "; ".join(plain(one) for one in told))] if told else []

    def more_title(self) -> Iterable[Cell]:
        """How many pairs fare how."""
        counts = self._comparison.counts()
        return [Cell(f"{counts[name]:,} {word}", tone) for name, (word, tone) in WORDS.items() if name in counts]

    def action_swap(self) -> None:
        """The other way round."""
        self._base_id, self._head_id = self._head_id, self._base_id
        self.work(self._compare, "compare")

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """A job of the pair: the head's, or the base's where the head has none."""
        pair = self._pairs[event.key]
        jobs: Sequence[Any] = pair.head.jobs or pair.base.jobs
        self.app.push_screen(JobScreen(jobs[-1].job_id))


def _words(campaign: Campaign) -> str:
    created = (campaign.created_at or "")[:19].replace("T", " ")
    return (
        f"{campaigns.model(campaign)}  {status_cell(campaign.status).text}  {campaigns.counts(campaign)} jobs  "
        f"{created} UTC  {plain(campaign.campaign_id)}"
    )
