"""What happens, as it happens: the orchestrator's stream of events, over connections that may break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from daemons.client.connection import Connection, Query
from daemons.client.modelfiles import chunks_of
from daemons.client.patience import Patience
from daemons.client.sse import Frames
from daemons.core.errors import Unavailable
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
        patience_s: float | None = None,
    ) -> AsyncGenerator[Event]:
        """What happens from now on, or since the position `after`, until the caller has had enough.

        `ready` says that nothing is missed from here on: whoever wants a snapshot takes it then. A connection that
        breaks is made again, for `patience_s` without an answer (None: the client's own patience), and goes on where
        it ended; where that is too long ago, `resync` says that something is missing and a snapshot is due. Raises
        OrchestratorUnavailable in the end, and NotFound from an orchestrator that has no such stream.
        """
        clock = asyncio.get_running_loop().time
        patience = Patience(self._patience_s if patience_s is None else patience_s, clock())
        reached = None if after is None else str(after)
        query: Query = {"campaign_id": campaign_id, "worker_id": worker_id, "types": tuple(types)}
        while True:
            try:
                async with aclosing(self._listen(query, reached)) as events:
                    async for event in events:
                        patience.renew(clock())
                        reached = str(event.position)
                        yield event
                failure: Exception | None = None
            except Unavailable as error:
                failure = error
            delay_s = patience.delay_s(clock())
            if delay_s is None:
                raise failure or Unavailable("the orchestrator ends its stream of events again and again")
            await asyncio.sleep(delay_s)

    async def _listen(self, query: Query, after: str | None) -> AsyncGenerator[Event]:
        """The events of one connection, until it ends."""
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
        frames = Frames()
        async with self.stream("GET", PATH, query=query, headers=headers, answer_in_s=SILENCE_S) as answer:
            async for chunk in chunks_of(answer):
                for frame in frames.feed(chunk):
                    yield self._decode(frame.data.encode(), Event)
