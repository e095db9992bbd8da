"""Jobs that have ended and whose campaign's CSV is not yet on disk: a stream, read by one writer.

An entry is added by the step that ends the job, and deleted after the file is written. A writer that dies in between
finds the entry again and writes the same file, so no bookkeeping of who had read what is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


class Outbox:
    """The stream of results. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._key = f"{prefix}results"

    async def waiting(self, limit: int = 1000) -> dict[str, str]:
        """The oldest entries that wait: entry → job identifier."""
        with translated_errors():
            entries: Any = await self._redis.xrange(self._key, count=limit)
        return {entry: fields["job_id"] for entry, fields in entries}

    async def acknowledge(self, campaign_id: str, entries: list[str], version: int | None = None) -> None:
        """Delete entries of a campaign. `version` names the one whose whole file is on disk, if that is so."""
        await self._scripts.run("acknowledge", campaign_id=campaign_id, entries=entries, version=version)

    async def size(self) -> int:
        """How many wait."""
        with translated_errors():
            return int(await self._redis.xlen(self._key))
