"""Which way events come: by Redis where the orchestrator names its address to us, by its own stream everywhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from daemons.core.errors import ConfigInvalid, NotAllowed, NotAuthenticated, NotFound, StoreUnavailable
from tui.board.told import Document
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
        async with AsyncExitStack() as stack:
            yield await self._find(stack)

    async def _find(self, stack: AsyncExitStack) -> Source:
        if self._wanted not in (AUTO, NONE):
            return await stack.enter_async_context(redis_source(self._wanted, self._prefix))
        if self._wanted == AUTO and _is_here(self._client.url):
            named = await self._named()
            if named is not None:
                return await self._checked(named, stack)
        return RestSource(self._client)

    async def _named(self) -> Document | None:
        """Where the orchestrator says that Redis is; None if it doesn't tell us."""
        try:
            named = await self._client.redis_address()
        except (NotAllowed, NotAuthenticated, NotFound):  # a viewer, another machine, an older orchestrator
            return None
        return named if named["url"] else None

    async def _checked(self, named: Document, stack: AsyncExitStack) -> Source:
        """That Redis, if it is there and is the fleet's: behind a tunnel, an address may lead to another one."""
        async with AsyncExitStack() as tried:
            try:
                source = await tried.enter_async_context(redis_source(named["url"], named["prefix"]))
                is_ours = (await source.position()).epoch == named["epoch"]
            except (StoreUnavailable, ConfigInvalid):
                is_ours = False
            if not is_ours:
                return RestSource(self._client)
            stack.push_async_exit(tried.pop_all())
        return source


def _is_here(url: str) -> bool:
    """Whether the orchestrator may be on this machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"
