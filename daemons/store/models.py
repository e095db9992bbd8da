"""What campaigns need of the models that are kept, and the bytes that each of them is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from daemons.core.errors import NotFound
from daemons.store.keys import check_campaign_id
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


class CampaignModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a campaign."""

    url: str
    sha256: str | None = None
    """The bytes that all of its rows are about, once that is known."""
    credentials: str | None = None


class Models:
    """Questions about campaigns' models. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = prefix

    async def of(self, campaign_id: str) -> CampaignModel:
        """The model of a campaign, or NotFound."""
        with translated_errors():
            found: Any = await self._redis.hmget(
                self._campaign_key(check_campaign_id(campaign_id)), ["model_url", "model_sha256", "credentials"]
            )
        url, sha256, credentials = found
        if url is None:
            raise NotFound(f"there is no campaign {campaign_id}; GET /api/campaigns lists them")
        return CampaignModel(url=url, sha256=sha256, credentials=credentials)

    async def pin(self, campaign_id: str, sha256: str) -> str:
        """Have the campaign be about these bytes, unless it is about others already: the ones it is about; NotFound."""
        answer = await self._scripts.run("pin_model", campaign_id=check_campaign_id(campaign_id), sha256=sha256)
        return str(answer["sha256"])

    async def in_use(self) -> dict[str, str]:
        """Every SHA-256 that an unfinished campaign needs → one such campaign."""
        with translated_errors():
            unfinished: Any = await self._redis.zdiff([f"{self._prefix}campaigns", f"{self._prefix}ended"])
            pipeline = self._redis.pipeline(transaction=False)
            for campaign_id in unfinished:
                pipeline.hmget(self._campaign_key(campaign_id), ["model_sha256", "needs"])
            needs: list[list[str | None]] = await pipeline.execute()
        return {
            sha256: campaign_id
            for campaign_id, hashes in zip(unfinished, needs, strict=True)
            for sha256 in " ".join(filter(None, hashes)).split()
        }

    def _campaign_key(self, campaign_id: str) -> str:
        return f"{self._prefix}campaign:{campaign_id}"
