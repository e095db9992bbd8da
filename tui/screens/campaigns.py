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
        return "no campaign yet; submit one with: benchfleet submit MODEL"

    def campaign(self) -> Campaign | None:
        """The campaign under the cursor."""
        found: Campaign | None = self.chosen()
        return found

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """A campaign's own screen."""
        self.app.push_screen(CampaignScreen(event.key))
