"""Campaigns: submitted, listed, cancelled, tried again, deleted."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TypedDict, Unpack

import msgspec
from msgspec import UnsetType

from daemons.client.address import segment
from daemons.client.connection import UPLOAD_TIMEOUT_S, Connection, Document
from daemons.client.jobs import AnyKind
from daemons.client.paging import all_of
from daemons.core import answers


class CampaignFilters(TypedDict, total=False):
    """Which campaigns: those of this status, kind and name, and with all these labels (`key=value`), alone."""

    status: str | None
    name: str | None
    label: str | Sequence[str] | None
    kind: AnyKind | None


class Campaigns(Connection):
    """Requests about campaigns."""

    async def submit(self, campaign: Document | msgspec.Struct, *, idempotency_key: str | None = None) -> Document:
        """Create a campaign. With the same `idempotency_key` again, the first one's answer comes back."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body = await self._send(
            "POST", "campaigns", campaign, headers=headers, extra_s=UPLOAD_TIMEOUT_S, is_repeatable=True
        )
        return self._decode(body, Document)

    async def campaigns(
        self, *, limit: int | None = None, cursor: str | None = None, **wanted: Unpack[CampaignFilters]
    ) -> Document:
        """One page of campaigns, the newest first; with `next_cursor` where there are more."""
        return await self._get("campaigns", {**wanted, "limit": limit, "cursor": cursor})

    def iter_campaigns(self, **wanted: Unpack[CampaignFilters]) -> AsyncIterator[answers.Campaign]:
        """All such campaigns, the newest first, however many pages they take."""

        async def page(cursor: str | None) -> tuple[list[answers.Campaign], str | UnsetType]:
            body = await self._send("GET", "campaigns", query={**wanted, "cursor": cursor})
            found = self._decode(body, answers.CampaignList)
            return found.campaigns, found.next_cursor

        return all_of(page)

    async def campaign(self, campaign_id: str) -> Document:
        """One campaign with the states of its jobs."""
        return await self._get(f"campaigns/{segment(campaign_id)}")

    async def cancel(self, campaign_id: str) -> Document:
        """Cancel what is pending and running of a campaign."""
        return await self._typed(Document, "POST", f"campaigns/{segment(campaign_id)}/cancel", is_repeatable=True)

    async def retry(self, campaign_id: str) -> Document:
        """Open the failed jobs of a campaign again."""
        return await self._typed(Document, "POST", f"campaigns/{segment(campaign_id)}/retry")

    async def delete_campaign(self, campaign_id: str) -> Document:
        """Forget a campaign that has ended, with its jobs. Its CSV file stays."""
        gone: Document = {"campaign_id": campaign_id, "deleted": True, "jobs": None}
        return await self._delete(f"campaigns/{segment(campaign_id)}", gone)
