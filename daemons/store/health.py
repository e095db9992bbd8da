"""Checkups: campaigns of health jobs, each for one device, and what a device has shown in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from daemons.core import health
from daemons.core.health import Past
from daemons.core.models import JobSpec
from daemons.store.keys import campaign_of, check_worker_id
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

_WHAT: Final[dict[str, Any]] = {
    "model": health.MODEL,
    "model_url": health.MODEL_URL,
    "model_sha256": health.MODEL_SHA256,
    "units": dict.fromkeys(health.UNITS, True),
    "spec": msgspec.to_builtins(health.SPEC),
}
"""What a checkup consists of, as the scripts take it."""


class HealthJob(msgspec.Struct, frozen=True):
    """What it takes to judge a report on a health job."""

    unit: str
    past: list[Past]
    """What the device has shown on this unit, the oldest first."""


class Health:
    """The devices' checkups. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = prefix

    async def start_due(self, interval_s: float, limit: int = 100) -> tuple[int, bool]:
        """Start the checkups that are due: how many, and whether there is more to do now.

        At most `limit` devices are looked at. Two callers at once start each checkup once.
        """
        answer = await self._scripts.run("start_checkups", interval_ms=interval_s * 1000, limit=limit, **_WHAT)
        return int(answer["started"]), bool(answer["more"])

    async def start(self, worker_id: str) -> dict[str, Any]:
        """Start a checkup of one device: ``{campaign_id, jobs}``. NotFound, or Conflict if there can't be one now."""
        return await self._scripts.run("check_worker", worker_id=check_worker_id(worker_id), **_WHAT)

    async def job(self, job_id: str) -> HealthJob | None:
        """What it takes to judge a report on this job; None if it is not a health job."""
        campaign_id = campaign_of(job_id)
        with translated_errors():
            kind, place = await self._redis.hmget(f"{self._prefix}job:{job_id}", ["kind", "spec"])
            if kind != health.HEALTH:
                return None
            text: Any = await self._redis.hget(f"{self._prefix}campaign:{campaign_id}:specs", str(place))
            if text is None:
                return None  # its campaign has just left, long after its end
            spec = msgspec.json.decode(text, type=JobSpec)
            figures: Any = await self._redis.hget(f"{self._prefix}health:{spec.worker_id}", str(spec.compute_unit))
        return HealthJob(str(spec.compute_unit), msgspec.json.decode(figures or "[]", type=list[Past]))
