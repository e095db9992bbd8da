"""What can be done with a campaign, on whichever screen it is chosen."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final

from tui.board.campaigns import ended, model
from tui.board.cells import plain
from tui.board.things import Campaign
from tui.forms.again import refill
from tui.forms.checking import devices_of
from tui.screens.base import BoardScreen
from tui.screens.confirm import ConfirmScreen

PAGE_SIZE: Final = 500
MOST_LOOKED_AT: Final = 5000
"""So many jobs of a campaign tell what it asked for."""


class CampaignOrders(BoardScreen):
    """Cancel, retry, save: for the campaign that `campaign` names."""

    def campaign(self) -> Campaign | None:
        """The campaign that is meant; None if there is none."""
        raise NotImplementedError

    def action_cancel(self) -> None:
        """Cancel what has not ended, after having asked."""
        campaign = self.campaign()
        if campaign is None:
            return
        if campaign.status != "running":
            self.say(f"{model(campaign)}: has ended; there is nothing to cancel", is_bad=True)
            return
        self.app.push_screen(ConfirmScreen(*_cancelling(campaign)), lambda yes: self._cancel(campaign) if yes else None)

    def action_retry(self) -> None:
        """Run again what has failed."""
        if (campaign := self.campaign()) is not None:
            self.attempt(self._ordered("retry", campaign))

    def action_save(self) -> None:
        """Save its results so far as a CSV file in the folder that the dashboard was started in."""
        if (campaign := self.campaign()) is not None:
            self.attempt(self._saved(campaign))

    def action_again(self) -> None:
        """Fill the form of a new campaign with what this one asked for."""
        if (campaign := self.campaign()) is not None:
            self.attempt(self._refilled(campaign))

    async def _refilled(self, campaign: Campaign) -> None:
        jobs: list[dict[str, Any]] = []
        cursor = None
        while len(jobs) < MOST_LOOKED_AT:
            answer = await self.desk.ask("jobs", campaign_id=campaign.campaign_id, limit=PAGE_SIZE, cursor=cursor)
            jobs += answer["jobs"]
            cursor = answer.get("next_cursor")
            if cursor is None:
                break
        found = refill(campaign, jobs, devices_of(self.desk.board.workers))
        self.app.call_later(partial(self.dashboard.fill_in, found.draft, found.left_out))

    def _cancel(self, campaign: Campaign) -> None:
        self.attempt(self._ordered("cancel", campaign))

    async def _ordered(self, method: str, campaign: Campaign) -> str:
        answer = await self.desk.order(method, campaign_id=campaign.campaign_id)
        return f"{model(campaign)}: {answer['message']}"

    async def _saved(self, campaign: Campaign) -> str:
        text = await self.desk.fetch("results", campaign_id=campaign.campaign_id)
        path = await asyncio.to_thread(_write_new, f"{campaign.campaign_id}_results", text)
        return f"{model(campaign)}: {ended(campaign):,} rows saved to {path}"


def _cancelling(campaign: Campaign) -> tuple[str, list[str]]:
    """The question, and what would be gone."""
    jobs = campaign.job_breakdown
    lost = [f"campaign {plain(model(campaign))} ({campaign.campaign_id})"]
    if jobs.pending:
        lost.append(f"{jobs.pending:,} waiting jobs are cancelled and don't run")
    if jobs.running:
        lost.append(f"{jobs.running:,} running jobs are stopped; what they have measured is lost")
    lost.append(f"the results of {ended(campaign):,} ended jobs stay")
    return "Cancel this campaign?", lost


def _write_new(stem: str, text: str) -> Path:
    """A new file in the current folder: none that is there is ever written over."""
    number = 1
    while True:
        path = Path(f"{stem}.csv" if number == 1 else f"{stem}-{number}.csv")
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            number += 1
        else:
            return path.absolute()
