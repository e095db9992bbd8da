"""Events as Redis publishes them, where the dashboard may see it: one hop less, and no load on the orchestrator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemons.core.events import Event, Position
    from daemons.store import Store


class RedisSource:
    """The store's broadcast."""

    name = "Redis"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def position(self) -> Position:
        """Where its events are now. StoreUnavailable if it can't be reached."""
        return await self._store.events.position()

    def events(self, after: Position | None) -> AsyncIterator[Event]:
        """Every event after a place."""
        return self._store.broadcast.events(after)


@asynccontextmanager
async def redis_source(url: str, prefix: str) -> AsyncIterator[RedisSource]:
    """The fleet's Redis at `url`."""
    from daemons.store import open_store  # noqa: PLC0415 (where no Redis is at hand its client is never loaded)

    async with open_store(url, prefix) as store:
        yield RedisSource(store)
