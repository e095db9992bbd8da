"""What campaigns need of the models that are kept, and the bytes that each of them is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from daemons.core.errors import NotFound
from daemons.core.models import JobSpec
from daemons.store.keys import campaign_of, check_campaign_id
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


class CampaignModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of a campaign."""

    url: str
    is_own: bool = True
    """It is the campaign's own, and not one that jobs name instead."""
    sha256: str | None = None
    """The bytes that all rows with it are about, once that is known."""
    credentials: str | None = None
    """Which headers of each device lead to it."""
    jobs: int = 0
    """How many are about it."""


class OtherModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that jobs name instead of their campaign's own, as the store keeps it."""

    place: int
    jobs: int
    sha256: str | None = None


def other_models(kept: dict[str, str]) -> dict[str, OtherModel]:
    """By URL, in the order of their places, what the store keeps of a campaign's other models."""
    found = {url: msgspec.json.decode(text, type=OtherModel) for url, text in kept.items()}
    return dict(sorted(found.items(), key=lambda item: item[1].place))


class Models:
    """Questions about campaigns' models. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = prefix

    async def all(self, campaign_id: str) -> list[CampaignModel]:
        """The models of a campaign, its own first; or NotFound."""
        with translated_errors():
            found: Any = await self._redis.hmget(
                self._campaign_key(check_campaign_id(campaign_id)),
                ["model_url", "model_sha256", "credentials", "models", "total"],
            )
        url, sha256, credentials, count, total = found
        if url is None:
            raise NotFound(f"there is no campaign {campaign_id}; GET /api/campaigns lists them")
        others = {} if count is None else await self._others(campaign_id)
        jobs = int(total) - sum(other.jobs for other in others.values())
        return [
            CampaignModel(url=url, sha256=sha256, credentials=credentials, jobs=jobs),
            *(
                CampaignModel(url=url, is_own=False, sha256=other.sha256, credentials=credentials, jobs=other.jobs)
                for url, other in others.items()
            ),
        ]

    async def of(self, campaign_id: str, job_id: str | None = None) -> CampaignModel | None:
        """The model of a campaign's job; None if no job is named, and the campaign has several. Or NotFound."""
        own, *others = await self.all(campaign_id)
        if job_id is None:
            return None if others else own
        named = await self._named_by(campaign_id, job_id)
        return next((other for other in others if other.url == named), own)

    async def pin(self, campaign_id: str, sha256: str, url: str | None = None) -> str:
        """Have jobs be about these bytes, unless they are about others already: the ones they are about; or NotFound.

        The jobs are those of the campaign with its own model, or with another, by its `url`.
        """
        answer = await self._scripts.run(
            "pin_model", campaign_id=check_campaign_id(campaign_id), model_url=url, sha256=sha256
        )
        return str(answer["sha256"])

    async def _named_by(self, campaign_id: str, job_id: str) -> str | None:
        """The model that the job names instead of its campaign's own."""
        if campaign_of(job_id) != campaign_id:
            raise NotFound(f"{job_id[:80]} is no job of {campaign_id}")
        with translated_errors():
            place: Any = await self._redis.hget(f"{self._prefix}job:{job_id}", "spec")
            spec: Any = place and await self._redis.hget(f"{self._campaign_key(campaign_id)}:specs", place)
        if not spec:
            raise NotFound(f"there is no job {job_id}")
        return msgspec.json.decode(spec, type=JobSpec).model_url

    async def _others(self, campaign_id: str) -> dict[str, OtherModel]:
        with translated_errors():
            kept: Any = await self._redis.hgetall(f"{self._campaign_key(campaign_id)}:models")
        return other_models(kept)

    async def in_use(self) -> dict[str, str]:
        """Every SHA-256 that an unfinished campaign needs → one such campaign."""
        with translated_errors():
            unfinished: Any = await self._redis.zdiff([f"{self._prefix}campaigns", f"{self._prefix}ended"])
            pipeline = self._redis.pipeline(transaction=False)
            for campaign_id in unfinished:
                pipeline.hmget(self._campaign_key(campaign_id), ["model_sha256", "needs", "models"])
            needs: list[list[str | None]] = await pipeline.execute()
        found = {
            sha256: campaign_id
            for campaign_id, hashes in zip(unfinished, needs, strict=True)
            for sha256 in " ".join(filter(None, hashes[:2])).split()
        }
        for campaign_id, hashes in zip(unfinished, needs, strict=True):
            if hashes[2] is not None:
                others = (await self._others(campaign_id)).values()
                found |= {other.sha256: campaign_id for other in others if other.sha256 is not None}
        return found

    def _campaign_key(self, campaign_id: str) -> str:
        return f"{self._prefix}campaign:{campaign_id}"
