"""A real Valkey for the tests, and a store in it under a prefix of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from daemons.store import Store, open_store
from daemons.store.embedded import EmbeddedServer


@contextmanager
def running_server(folder: Path) -> Iterator[EmbeddedServer]:
    """An embedded server in `folder`, started and stopped outside any test's event loop."""
    with asyncio.Runner() as runner:
        server = EmbeddedServer(folder, wrap=list)
        runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(server.stop())


@asynccontextmanager
async def fresh_store(url: str) -> AsyncIterator[Store]:
    """A store that nobody else sees; what it wrote is removed at the end."""
    async with open_store(url, f"test-{secrets.token_hex(4)}:") as store:
        yield store
        await store.server.reset()
