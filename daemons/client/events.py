"""What happens, as it happens: the orchestrator's stream of events, over connections that may break."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from daemons.client.connection import Connection, Query, asked_to_wait
from daemons.client.modelfiles import chunks_of
from daemons.client.patience import Patience
from daemons.client.sse import Frames
from daemons.core.errors import OrchestratorUnavailable, Unavailable
from daemons.core.events import Event, Position

PATH: Final = "events"
SILENCE_S: Final = 45.0
"""The server says something more often than that, if only that nothing has happened."""


class Events(Connection):
    """Requests about events."""

    async def events(
        self,
        *,
        after: Position | str | None = None,
        campaign_id: str | None = None,
        worker_id: str | None = None,
        types: Sequence[str] = (),
        seconds: float | None = None,
        patience_s: float | None = None,
    ) -> AsyncGenerator[Event]:
        """What happens from now on, or since the position `after`, until the caller has had enough.

        `ready` says that nothing is missed from here on: whoever wants a snapshot takes it then. A connection that
        breaks is made again, for `patience_s` without an answer (None: the client's own patience), and goes on where
        it ended; where that is too long ago, `resync` says that something is missing and a snapshot is due. With
        `seconds` it ends after so long; 0: when all is told that has happened. Raises OrchestratorUnavailable in the
        end, and NotFound from an orchestrator that has no such stream.
        """
        clock = asyncio.get_running_loop().time
        until_s = math.inf if seconds is None else clock() + seconds
        patience = Patience(self._patience_s if patience_s is None else patience_s, clock())
        wanted: dict[str, object] = {"campaign_id": campaign_id, "worker_id": worker_id, "type": tuple(types)}
        reached = None if after is None else str(after)
        while True:
            frames = Frames()
            failure: Unavailable = OrchestratorUnavailable(f"{self._base} has ended its stream of events")
            left_s = None if seconds is None else max(0.0, until_s - clock())
            try:
                async with aclosing(self._listen(wanted | {"seconds": left_s}, reached, frames)) as events:
                    async for event in events:
                        yield event
                if clock() >= until_s:
                    return
            except Unavailable as error:
                failure = error
            if frames.position:
                reached = frames.position
                patience.renew(clock())
            delay_s = patience.delay_s(clock(), asked_to_wait(failure))
            if delay_s is None:
                raise failure
            await asyncio.sleep(delay_s)

    async def _listen(self, query: Query, after: str | None, frames: Frames) -> AsyncGenerator[Event]:
        """The events of one connection, until it ends."""
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
        async with self.stream("GET", PATH, query=query, headers=headers, answer_in_s=SILENCE_S) as answer:
            async for chunk in chunks_of(answer):
                for frame in frames.feed(chunk):
                    yield self._decode(frame.data.encode(), Event)
