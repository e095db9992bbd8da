"""Follows the fleet for as long as the dashboard runs: listens, takes snapshots, and comes back when it was cut off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final, Protocol, cast

from daemons.core.errors import BenchfleetError
from daemons.core.events import Event, EventType, Position
from tui.board.told import Document, Happened, Link, Page, Pulse, Told, Whole

BREATHE_EVERY: Final = 50
"""After so many events the terminal gets its turn, however fast they come."""
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 15.0
PULSE_EVERY_S: Final = 5.0
PAGE_SIZE: Final = 500
"""Small, so that reading a page never keeps a key waiting."""

Tell = Callable[[Told], None]


class Listing(Protocol):
    """What snapshots are made of: the client, as far as they need it."""

    async def workers(self, *, limit: int | None = None, cursor: str | None = None) -> Document:
        """A page of devices."""

    async def campaigns(self, *, limit: int | None = None, cursor: str | None = None) -> Document:
        """A page of campaigns."""

    async def health(self) -> Document:
        """The orchestrator's health."""


class Source(Protocol):
    """A way by which events come."""

    name: str

    def events(self, after: Position | None) -> AsyncIterator[Event]:
        """Every event after a place, beginning with `ready`. A BenchfleetError when it is cut off."""


OpenSource = Callable[[], AbstractAsyncContextManager[Source]]


class Follower:
    """Keeps a board whole. Everything it learns goes to `tell`, in the order in which it is to be taken."""

    def __init__(
        self,
        open_source: OpenSource,
        listing: Listing,
        tell: Tell,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._open_source = open_source
        self._listing = listing
        self._tell = tell
        self._sleep = sleep
        self._place: Position | None = None
        """All that was before it is on the board; None: there is no whole snapshot yet."""
        self._heard: Position | None = None
        self._failures = 0

    async def follow(self) -> None:
        """Listen until cancelled."""
        while True:
            why = await self._listen_once()
            delay_s = self._delay_s()
            self._tell(Link(is_live=False, why=why, retry_in_s=delay_s))
            await self._sleep(delay_s)
            self._tell(Link(is_live=False, why=why))

    async def watch_health(self) -> None:
        """Ask for the orchestrator's health now and again, until cancelled."""
        while True:
            try:
                self._tell(Pulse(health=await self._listing.health()))
            except BenchfleetError as error:
                self._tell(Pulse(health=None, why=str(error)))
            await self._sleep(PULSE_EVERY_S)

    async def _listen_once(self) -> str:
        """Why it has ended."""
        why = "the stream of events has ended"
        try:
            async with self._open_source() as source, asyncio.TaskGroup() as group:
                await self._hear(source, group)
        except* BenchfleetError as errors:
            why = _first_sentence(errors)
        return why

    async def _hear(self, source: Source, group: asyncio.TaskGroup) -> None:
        snapshot: asyncio.Task[None] | None = None
        async with aclosing(cast("AsyncGenerator[Event]", source.events(self._place))) as events:
            count = 0
            async for event in events:
                if self._is_void(event):
                    if snapshot is not None:
                        snapshot.cancel()
                        await asyncio.wait((snapshot,))
                    snapshot = group.create_task(self._snapshot(event.position, source.name))
                elif event.type == EventType.READY:
                    self._live(source.name)
                self._take(event)
                count += 1
                if count % BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
        if snapshot is not None:
            snapshot.cancel()

    def _is_void(self, event: Event) -> bool:
        """Whether what is known is not whole any more, and must be fetched again."""
        if event.type in (EventType.RESYNC, EventType.RESET):
            return True
        if event.type == EventType.READY:
            return self._place is None or event.position != self._place
        return self._heard is not None and event.position != (self._heard.epoch, self._heard.seq + 1)

    def _take(self, event: Event) -> None:
        self._heard = event.position
        if event.type not in (EventType.READY, EventType.RESYNC):
            self._tell(Happened(event=event))
        if self._place is not None:
            self._place = event.position

    async def _snapshot(self, place: Position, name: str) -> None:
        """Fetch what there is. It is whole together with the events after `place`."""
        self._place = None
        workers = [worker_id async for worker_id in self._pages("worker", self._listing.workers, "workers", place)]
        campaigns = [one async for one in self._pages("campaign", self._listing.campaigns, "campaigns", place)]
        self._tell(Whole(epoch=place.epoch, seq=place.seq, workers=workers, campaigns=campaigns))
        self._place = self._heard
        self._live(name)

    async def _pages(
        self, kind: str, ask: Callable[..., Awaitable[Document]], name: str, place: Position
    ) -> AsyncIterator[str]:
        cursor = None
        while True:
            answer = await ask(limit=PAGE_SIZE, cursor=cursor)
            self._tell(Page(kind=kind, epoch=place.epoch, items=answer[name]))  # type: ignore[arg-type]
            for item in answer[name]:
                yield str(item[f"{kind}_id"])
            cursor = answer.get("next_cursor")
            if cursor is None:
                return

    def _live(self, name: str) -> None:
        self._failures = 0
        self._tell(Link(is_live=True, by=name))

    def _delay_s(self) -> float:
        longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**self._failures)
        self._failures += 1
        return float(longest * random.uniform(0.8, 1.0))  # noqa: S311 (so that many dashboards don't come back at once)


def _first_sentence(errors: BaseExceptionGroup[BenchfleetError]) -> str:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)
