"""Events by the REST API's stream, for whoever has no Redis at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemons.client import Client
    from daemons.core.events import Event, Position


class RestSource:
    """The client's own stream."""

    name = "event stream"

    def __init__(self, client: Client) -> None:
        self._client = client

    def events(self, after: Position | None) -> AsyncIterator[Event]:
        """Every event after a place. It is tried once: coming back is the follower's."""
        return self._client.events(after=after, patience_s=0.0)


@asynccontextmanager
async def rest_source(client: Client) -> AsyncIterator[RestSource]:
    """The stream of this client."""
    yield RestSource(client)
