"""What Redis publishes: which queues have new jobs, and what has changed. Either may be lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from daemons.core.events import Event, EventType, Position, event_of, ready, resync
from daemons.store.lua import translated_errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from redis.asyncio import Redis

    from daemons.store.events import Events

LOOK_EVERY_S: Final = 2.0
"""When nothing was heard for so long, it is asked whether there was something to hear."""

_BEGUN: Final = ""
"""Takes the place of a message where a subscription begins, or begins again."""


class Broadcast:
    """Subscriptions. Each raises StoreUnavailable when the connection breaks; subscribing again is the caller's."""

    def __init__(self, redis: Redis, events: Events, prefix: str) -> None:
        self._redis = redis
        self._events = events
        self._prefix = prefix

    async def wakes(self) -> AsyncIterator[dict[str, int]]:
        """Queue name → number of new jobs, as they come. The first item is empty: the subscription stands."""
        async for message in self._messages("wake"):
            if message is not None:
                yield msgspec.json.decode(message, type=dict[str, int]) if message else {}

    async def events(self, after: Position | None = None) -> AsyncGenerator[Event, None]:
        """Every event after a place, or from now on; each once and in order, also where messages were lost.

        The first item is `ready`, and names the place: what happens after it will be told. Wherever something can't be
        told any more there is a `resync` in its stead: what is known must be fetched again, and what follows is newer.
        """
        place = after
        async for message in self._messages("events"):
            if place is None or message == _BEGUN:
                now = await self._events.position()  # that a subscription stands says little: scripts may fail yet
                place = place or now
                yield ready(place)
                if place == now:
                    continue
            async for event in self._heard(message, place):
                yield event
                place = event.position

    async def _heard(self, message: str | None, place: Position) -> AsyncIterator[Event]:
        """What a message has to tell to those who know all that was before `place`."""
        event = event_of(message) if message else None
        if event is not None and _follows(event, place):
            yield event
        elif event is None or event.epoch != place.epoch or event.seq > place.seq:
            async for missed in self._missed(place):
                yield missed

    async def _missed(self, place: Position) -> AsyncIterator[Event]:
        """What has happened since, by the log: nothing, most of the time."""
        now = None
        while place != now:
            found = await self._events.after(place)
            now = found.now
            if found.events is None and place.seq == 0 and place.epoch != now.epoch:
                place = Position(now.epoch, 0)  # where nothing had happened, every epoch looks the same
                continue
            if found.events is None:
                yield resync(now, "what has happened meanwhile is not known any more")
                return
            for event in found.events:
                yield event
                place = event.position

    async def _messages(self, channel: str) -> AsyncIterator[str | None]:
        """What comes on a channel; _BEGUN where the subscription begins; None when nothing has come for a while."""
        subscription = self._redis.pubsub()
        try:
            with translated_errors():
                await subscription.subscribe(f"{self._prefix}{channel}")
                while True:
                    message = await subscription.get_message(timeout=LOOK_EVERY_S)
                    if message is None:
                        yield None
                    elif message["type"] == "subscribe":
                        yield _BEGUN
                    elif message["type"] == "message":
                        yield message["data"]
        finally:
            await subscription.aclose()  # type: ignore[no-untyped-call]


def _follows(event: Event, place: Position) -> bool:
    """Whether nothing can lie between: at its beginning every epoch is empty, whichever it is."""
    if event.type == EventType.RESET:
        return event.epoch != place.epoch
    return event.seq == place.seq + 1 and (event.epoch == place.epoch or event.seq == 1)
