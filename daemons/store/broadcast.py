"""What Redis publishes: which queues have new jobs, and what has changed. Either may be lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemons.store.lua import translated_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis


class Broadcast:
    """Subscriptions. Each raises StoreUnavailable when the connection breaks; subscribing again is the caller's."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def wakes(self) -> AsyncIterator[dict[str, int]]:
        """Queue name → number of new jobs, as they come. The first item is empty: the subscription stands."""
        async for message in self._messages(f"{self._prefix}wake"):
            yield msgspec.json.decode(message, type=dict[str, int]) if message else {}

    async def _messages(self, channel: str) -> AsyncIterator[str]:
        subscription = self._redis.pubsub()
        try:
            with translated_errors():
                await subscription.subscribe(channel)
                while True:
                    message = await subscription.get_message(timeout=1.0)
                    if message is not None and message["type"] == "subscribe":
                        yield ""
                    elif message is not None and message["type"] == "message":
                        yield message["data"]
        finally:
            await subscription.aclose()  # type: ignore[no-untyped-call]
