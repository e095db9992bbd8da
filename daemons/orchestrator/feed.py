"""The events of the fleet for those who listen to this orchestrator: one subscription to Redis, shared by all of them.

What was heard last stands in one ring in memory, ready to be sent. A listener is a place in it, so that one more costs
little, and one that is slow falls out of it and is told so.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Final, NamedTuple

import msgspec
import structlog

from daemons.core.errors import StoreUnavailable, Unavailable
from daemons.core.events import Event, EventFilter, EventType, Position, ready, resync
from daemons.store import Store

log = structlog.get_logger(__name__)

MOST_LISTENERS: Final = 1000
MOST_HELD: Final = 5000
MOST_HELD_BYTES: Final = 16 * 2**20
PIECE: Final = 64
"""So many events at most are sent at a time: what waits for a slow listener's socket is bounded."""
GATHER_S: Final = 0.05
"""Listeners are woken no more often than that, however fast events come."""
KEEP_ALIVE_S: Final = 15.0
"""A stream is never silent for longer."""
STAND_S: Final = 2.0
RECONNECT_S: Final = 1.0

AWAY: Final = b": Redis doesn't answer; come again\n\n"
ENDING: Final = b": this orchestrator ends; come again\n\n"


class Block(NamedTuple):
    """An event, and how it is sent."""

    event: Event
    text: bytes


def block_of(event: Event) -> Block:
    """The event as a server-sent one."""
    head = f"event: {event.type}\nid: {event.position}\ndata: ".encode()
    return Block(event, head + msgspec.json.encode(event) + b"\n\n")


class Ring:
    """The newest events. They are counted through, also beyond a reset; the oldest go when there are too many."""

    def __init__(self, newest: Position) -> None:
        self.newest = newest
        self.begin = 0
        self._blocks: list[Block] = []
        self._bytes = 0

    @property
    def end(self) -> int:
        """The place after the newest."""
        return self.begin + len(self._blocks)

    def add(self, event: Event) -> None:
        """Take the next event."""
        block = block_of(event)
        self._blocks.append(block)
        self._bytes += len(block.text)
        self.newest = event.position
        if len(self._blocks) > MOST_HELD or self._bytes > MOST_HELD_BYTES:
            self._drop(max(1, len(self._blocks) // 4))

    def _drop(self, count: int) -> None:
        self._bytes -= sum(len(block.text) for block in self._blocks[:count])
        del self._blocks[:count]
        self.begin += count

    def piece(self, start: int) -> list[Block] | None:
        """The next few from a place on, none if there is nothing newer; None if they have gone."""
        if start < self.begin:
            return None
        return self._blocks[start - self.begin : start - self.begin + PIECE]

    def place_after(self, position: Position) -> int | None:
        """The place of what follows an event; None if that is older than what is here."""
        if position.epoch == self.newest.epoch and position.seq >= self.newest.seq:
            return self.end
        wanted = (position.epoch, position.seq + 1)
        for index in range(len(self._blocks) - 1, -1, -1):
            if self._blocks[index].event.position == wanted:
                return self.begin + index
        return None


class Listener:
    """One that listens: how far it has come, in the ring and in the order of events."""

    def __init__(self, ring: Ring, wanted: EventFilter, heard: Position) -> None:
        self.ring = ring
        self.heard = heard
        self._place = ring.end
        self._wanted = wanted

    @property
    def is_behind(self) -> bool:
        """Whether there is more for it now."""
        return self._place < self.ring.end

    def enter(self) -> bool:
        """Go on in the ring, if what comes next is there."""
        place = self.ring.place_after(self.heard)
        if place is not None:
            self._place = place
        return place is not None

    def take(self) -> bytes:
        """The next piece of what is new for it."""
        blocks = self.ring.piece(self._place)
        if blocks is None:
            return self.miss("this listener is slower than the events, and some are gone")
        self._place += len(blocks)
        return self.tell(blocks)

    def tell(self, blocks: Iterable[Block]) -> bytes:
        """What it is sent of these."""
        texts = []
        for event, text in blocks:
            is_heard = event.epoch == self.heard.epoch and event.seq <= self.heard.seq
            if not is_heard:
                self.heard = event.position
                if self._wanted.takes(event):
                    texts.append(text)
        return b"".join(texts)

    def miss(self, reason: str) -> bytes:
        """Go on with what is newest; what it is sent of that."""
        self.heard, self._place = self.ring.newest, self.ring.end
        return block_of(resync(self.heard, reason)).text

    def sign(self) -> bytes:
        """What it is sent when there is nothing to tell: where it may go on, were it cut off now."""
        return f": nothing new\nid: {self.heard}\n\n".encode()


class Feed:
    """Hears for everybody. It listens to Redis only while somebody listens to it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ring: Ring | None = None
        """None: nothing is heard now."""
        self._farewell = ENDING
        self._is_closing = False
        self._count = 0
        self._wanted = asyncio.Event()
        self._bell = asyncio.Event()
        self._is_to_ring = False

    def __len__(self) -> int:
        """How many listen."""
        return self._count

    def close(self) -> None:
        """End every stream: the server is about to end."""
        self._is_closing = True
        self._ring_bell()

    async def run(self) -> None:
        """Hear while anybody wants it, and subscribe again whenever the connection breaks; until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self._hear()
            except StoreUnavailable as error:
                self._farewell = AWAY
                log.warning("events are not heard", error=str(error))
                await asyncio.sleep(RECONNECT_S)

    async def _hear(self) -> None:
        """One subscription after the other, while somebody listens; StoreUnavailable if one doesn't even begin."""
        try:
            while self._count:
                await self._hear_once()
        finally:
            self._ring = None
            if not self._count:
                self._wanted.clear()
            self._ring_bell()

    async def _hear_once(self) -> None:
        has_begun = False
        try:
            async with aclosing(self._store.broadcast.events(self._ring.newest if self._ring else None)) as events:
                async for event in events:
                    has_begun = True
                    self._take(event)
                    if not self._count:
                        return
        except StoreUnavailable:
            if not has_begun:
                raise

    def _take(self, event: Event) -> None:
        if self._ring is None:
            self._ring = Ring(event.position)
            self._farewell = ENDING
            self._ring_bell()
        elif event.type != EventType.READY:
            self._ring.add(event)
            self._ring_soon()

    def _ring_soon(self) -> None:
        if not self._is_to_ring:
            self._is_to_ring = True
            asyncio.get_running_loop().call_later(GATHER_S, self._ring_bell)

    def _ring_bell(self) -> None:
        self._is_to_ring = False
        self._bell.set()
        self._bell = asyncio.Event()

    async def _rung(self, timeout_s: float) -> bool:
        """Whether something has happened within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return False
        return True

    async def stream(
        self, after: Position | None, wanted: EventFilter, seconds: float = math.inf
    ) -> AsyncGenerator[bytes, None]:
        """What a listener is sent, piece by piece: all that has happened since `after`, or what happens from now on.

        It ends after `seconds`, and sooner when the server ends or Redis is away: then the listener comes again.
        Raises StoreUnavailable before the first piece if nothing can be heard.
        """
        async with self._listening() as ring:
            listener = Listener(ring, wanted, after or ring.newest)
            yield block_of(ready(listener.heard)).text
            try:
                async for piece in self._missed(listener):
                    yield piece
            except StoreUnavailable:
                yield AWAY
                return
            async for piece in self._news(listener, asyncio.get_running_loop().time() + seconds):
                yield piece

    @asynccontextmanager
    async def _listening(self) -> AsyncGenerator[Ring, None]:
        """Be counted among the listeners, from when there is something to hear."""
        if self._count >= MOST_LISTENERS:
            raise Unavailable(
                f"{self._count} listen to this orchestrator's events, and more it doesn't take; try later"
            )
        self._count += 1
        try:
            await self._store.events.position()  # who can't be served is told so at once
            self._wanted.set()
            while self._ring is None:
                if self._is_closing or not await self._rung(STAND_S):
                    raise StoreUnavailable("Redis doesn't answer (no events are heard from it); try again")
            yield self._ring
        finally:
            self._count -= 1

    async def _missed(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """What has happened before the ring began."""
        while not listener.enter():
            found = await self._store.events.after(listener.heard)
            if found.events is None:
                yield listener.miss("what has happened meanwhile is not known any more")
                return
            if not found.events:
                return
            if piece := listener.tell(map(block_of, found.events)):
                yield piece

    async def _news(self, listener: Listener, deadline: float) -> AsyncGenerator[bytes, None]:
        """What happens, as it happens; and a sign of life where nothing does."""
        clock = asyncio.get_running_loop().time
        while True:
            while listener.is_behind:
                if piece := listener.take():
                    yield piece
            if self._is_closing or self._ring is not listener.ring:
                yield self._farewell
                return
            left_s = deadline - clock()
            if left_s <= 0:
                return
            if not await self._rung(min(KEEP_ALIVE_S, left_s)):
                yield listener.sign()
