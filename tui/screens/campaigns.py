"""3 Campaigns: every campaign."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from tui.actions import CAMPAIGNS, TABLE
from tui.bindings import bindings_of
from tui.board.board import Changes
from tui.board.campaigns import COLUMNS
from tui.board.listing import Listing
from tui.board.things import Campaign
from tui.screens.campaign import CampaignScreen
from tui.screens.campaign_orders import CampaignOrders
from tui.screens.compare import CompareScreen
from tui.screens.tables import TableScreen
from tui.widgets.rowtable import RowTable


class CampaignsScreen(CampaignOrders, TableScreen[Campaign]):
    """Every campaign, the newest first."""

    CONTEXTS: ClassVar[tuple[str, ...]] = (CAMPAIGNS, TABLE)
    BINDINGS = bindings_of(CAMPAIGNS)
    MODE = "campaigns"
    TITLE_OF_ROWS = "campaigns"

    def make_listing(self) -> Listing[Campaign]:
        """All campaigns, by age."""
        return Listing(self.desk.board.campaigns, COLUMNS, self.desk.scene, sort="age")

    def changed_keys(self, changes: Changes) -> Collection[str]:
        """The campaigns of a change."""
        return changes.campaigns

    def empty_text(self) -> str:
        """Nobody has submitted anything, or it isn't known yet."""
        if self.desk.board.epoch is None:
            return "waiting for the orchestrator"
        return "no campaign yet; n begins one" if self.desk.can_change else "no campaign yet"

    def campaign(self) -> Campaign | None:
        """The campaign under the cursor."""
        found: Campaign | None = self.chosen()
        return found

    def action_mark(self) -> None:
        """Mark the campaign under the cursor for a comparison, or no longer."""
        if (campaign := self.campaign()) is not None:
            self.table.toggle_mark(campaign.campaign_id)
            self.hush()

    def action_compare(self) -> None:
        """Compare the two that are marked: the older is the base."""
        known = self.desk.board.campaigns
        self.table.marked.intersection_update(known)
        marked = sorted(self.table.marked, key=lambda key: (known[key].created_at or "", key))
        if len(marked) == 2:
            self.app.push_screen(CompareScreen(*marked))
        else:
            self.say(f"{len(marked)} campaigns are marked; space marks, and two can be compared", is_bad=True)

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """A campaign's own screen."""
        self.app.push_screen(CampaignScreen(event.key))
