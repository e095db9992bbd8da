"""Which way events come: by Redis where the orchestrator names its address to us, by its own stream everywhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tui.links.redis import redis_source
from tui.links.stream import RestSource

if TYPE_CHECKING:
    from daemons.client import Client
    from tui.links.follower import Source

AUTO: Final = "auto"
NONE: Final = "none"


class Chooser:
    """Chooses anew each time that the link is made: after a restart another way may be the right one."""

    def __init__(self, client: Client, wanted: str, prefix: str) -> None:
        """`wanted`: `auto`, `none`, or Redis's address; with an address, `prefix` is the fleet's."""
        self._client = client
        self._wanted = wanted
        self._prefix = prefix

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        """The way that is right now."""
        url, prefix = await self._address()
        if url is None:
            yield RestSource(self._client)
        else:
            async with redis_source(url, prefix) as source:
                yield source

    async def _address(self) -> tuple[str | None, str]:
        if self._wanted == NONE:
            return None, ""
        if self._wanted != AUTO:
            return self._wanted, self._prefix
        named = (await self._client.health()).get("redis", {})
        return named.get("url"), named.get("prefix", "")
