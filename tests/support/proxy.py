"""A TCP proxy that stands before a server, or shares connections out between several, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

Backend = tuple[str, int] | Path
"""Where a server listens: host and port, or a socket in the file system."""

CHUNK = 2**16


class Ear(Protocol):
    """Hears what passes on one connection."""

    def sent(self, data: bytes) -> None: ...

    def answered(self, data: bytes) -> None: ...


class Deaf:
    """Hears nothing."""

    def sent(self, data: bytes) -> None: ...

    def answered(self, data: bytes) -> None: ...


class Proxy:
    """Passes bytes both ways. A reply for which `drops` is true is swallowed, and its connection cut.

    Each connection goes to the next of `backends` that takes it; where none does it is cut at once.
    """

    def __init__(
        self, *backends: Backend, tap: Callable[[], Ear] = Deaf, drops: Callable[[bytes], bool] = lambda _: False
    ) -> None:
        self.backends = list(backends)
        self.dropped = 0
        self.port = 0
        self._tap = tap
        self.drops = drops
        self._turn = itertools.count()
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The address for HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    def cut_all(self) -> int:
        """Cut every connection that there is; how many."""
        connections = list(self._connections)
        for writer in connections:
            writer.transport.abort()
        return len(connections)

    @contextlib.asynccontextmanager
    async def serving(self, host: str = "127.0.0.1") -> AsyncIterator[Proxy]:
        """Listen on a free port of `host` until the block ends, and cut what is left then."""
        tasks: set[asyncio.Task[None]] = set()

        def took(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._carry(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(took, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ear = self._tap()
        self._connections.add(writer)
        try:
            onward = await self._connect()
            if onward is None:
                return
            server_reader, server_writer = onward
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_requests(reader, server_writer, ear))
                    group.create_task(self._pass_replies(server_reader, writer, ear))
            except* (OSError, _Ended):
                pass
            finally:
                server_writer.close()
        finally:
            self._connections.discard(writer)
            writer.close()  # what was passed on still arrives; a dropped reply has aborted it before

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turn)
        for place in range(len(self.backends)):
            backend = self.backends[(first + place) % len(self.backends)]
            with contextlib.suppress(OSError):
                if isinstance(backend, Path):
                    return await asyncio.open_unix_connection(str(backend))
                return await asyncio.open_connection(*backend)
        return None

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ear: Ear) -> None:
        while data := await reader.read(CHUNK):
            ear.sent(data)
            writer.write(data)
            await writer.drain()
        raise _Ended

    async def _pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ear: Ear) -> None:
        while data := await reader.read(CHUNK):
            ear.answered(data)
            if self.drops(data):
                self.dropped += 1
                writer.transport.abort()
                break
            writer.write(data)
            await writer.drain()
        raise _Ended


class _Ended(Exception):
    """One side has hung up, or was cut off: the other is cut off with it."""
