"""Webhooks to be sent: entries are made by the step that ends a campaign, and removed by the one that settles them.

Who sends takes entries for a while. One that dies in between leaves them to the next, so that a message is sent at
least once, and names itself alike each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from daemons.store.lua import Scripts


class DueWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent now."""

    campaign_id: str
    delivery: str
    url: str
    attempts: int
    """How often it was sent before."""
    age_ms: float
    """Since its campaign has ended."""


class Webhooks:
    """Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def take(self, limit: int, again_s: float) -> list[DueWebhook]:
        """What is due, of campaigns whose results are on disk; it is due again after `again_s` if it isn't settled."""
        answer = await self._scripts.run("take_webhooks", limit=limit, again_ms=round(again_s * 1000))
        return msgspec.convert(list(answer["webhooks"]), list[DueWebhook])

    async def delivered(self, due: DueWebhook) -> None:
        """Its receiver has taken it."""
        await self._scripts.run("settle_webhook", campaign_id=due.campaign_id, delivery=due.delivery, error=None)

    async def failed(self, due: DueWebhook, error: str, again_s: float | None) -> None:
        """Its receiver has not taken it; it is sent again in `again_s`, or never (None)."""
        again_ms = None if again_s is None else round(again_s * 1000)
        await self._scripts.run(
            "settle_webhook", campaign_id=due.campaign_id, delivery=due.delivery, error=error, again_ms=again_ms
        )
