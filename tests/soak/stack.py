"""A fleet of real processes for fault tests: orchestrators, their server, workers, and a proxy between all of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiohttp import ClientError

from daemons.store import Store, open_store
from daemons.worker.engines.tiny import TINY_ONNX
from tests.soak.kept import Kept
from tests.soak.layout import Layout, Programs, free_port
from tests.support import preload
from tests.support.light_models import light_models
from tests.support.model_server import ModelServer, serving_models
from tests.support.proxy import Proxy
from tests.support.wire import Recorder

TINY, LONG = "tiny.onnx", "long.onnx"
"""Models that the harness serves: a run of the first takes microseconds, of the second milliseconds."""

CHILD = "daemons.worker.bench.child"
SERVER = "valkey-server"
ASK_TIMEOUT_S = 3.0
PATIENCE_S = 60.0


def recorded(method: str, path: str) -> bool:
    """What the checker wants to know of."""
    return method == "POST" and (path.endswith("/result") or path == "/api/campaigns" or "/claim" in path)


class Stack:
    """The fleet, while it runs."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self.recorder = Recorder(recorded)
        self.proxy = Proxy(tap=self.recorder.tap)
        self.orchestrators: list[Kept] = []
        self.workers: list[Kept] = []
        self.server: Kept | None = None
        self.models = ModelServer()
        self.made = Programs(folder, layout)
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Stack]:
        """Up, with every worker registered, until the block ends."""
        async with contextlib.AsyncExitStack() as stack:
            self.models = await stack.enter_async_context(serving_models(self.layout.host))
            self.models.files |= {TINY: TINY_ONNX, LONG: (light_models() / "light_squeezenet.onnx").read_bytes()}
            timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
            await stack.enter_async_context(self.proxy.serving(self.layout.host))
            self._make_programs()
            for program in self.programs:
                await stack.enter_async_context(program.running())
            await self._until_all_are_there()
            yield self

    @property
    def programs(self) -> list[Kept]:
        """All that is kept alive, in the order of their start."""
        return [*([self.server] if self.server else []), *self.orchestrators, *self.workers]

    @property
    def url(self) -> str:
        """Where everybody finds the orchestrators."""
        return f"http://{self.layout.host}:{self.proxy.port}"

    def not_synced(self) -> bytes:
        """What the server has written and a power loss would take; nothing where nobody knows."""
        return preload.not_synced(self.made.sync_note) if self.made.sync_note.exists() else b""

    def _make_programs(self) -> None:
        ports = [free_port() for _ in range(self.layout.orchestrators)]
        self.proxy.backends = [("127.0.0.1", port) for port in ports]
        if self.layout.has_server_beside:
            self.server = self.made.server()
        self.orchestrators = [self.made.orchestrator(place, port) for place, port in enumerate(ports)]
        self.workers = [self.made.worker(place, self.url) for place in range(self.layout.workers)]

    async def _until_all_are_there(self) -> None:
        async def look() -> bool:
            answer = await self.ask("GET", "/workers")
            ready = [worker for worker in answer.get("workers", ()) if worker["status"] != "offline"]
            return len(ready) == len(self.workers)

        await self.until(look, "every worker to register")

    async def until(self, question: Any, what: str, timeout_s: float = PATIENCE_S) -> None:
        """Return once `question` is answered with true."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await question():  # noqa: ASYNC110 (what is asked rings no bell)
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}; see {self.folder}") from error

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """One request's document and, in it, its ``status_code``; 0 where nobody answered."""
        assert self._session is not None
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            async with self._session.request(
                method, f"{self.url}/api{path}", json=body if body is not None else {}, headers=sent
            ) as answer:
                document = await answer.json(content_type=None)
                return {**document, "status_code": answer.status}
        except (ClientError, OSError, TimeoutError, ValueError):
            return {"status_code": 0}

    async def insist(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The document that a request ends with, sent again for as long as nobody answers or the store is away."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.ask(method, path, body, **headers)
                if answer["status_code"] not in (0, 503):
                    return answer
                await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The store itself, for whoever wants to look."""
        async with open_store(self.made.server_url, "benchfleet:") as store:
            yield store

    def server_process(self) -> psutil.Process | None:
        """The server's process, whoever keeps it alive."""
        if self.server is not None:
            with contextlib.suppress(psutil.Error):
                return psutil.Process(self.server.pid) if self.server.pid else None
            return None
        return next(iter(self.orchestrators[0].descendants(SERVER)), None)

    async def lose_power(self) -> int | None:
        """The server's machine loses its power, and comes back: how many bytes had not reached the disk."""
        owner, server = self.server or self.orchestrators[0], self.server_process()
        if server is None or not self.made.sync_note.exists():
            return None
        owner.hold_back()
        try:
            owner.send(signal.SIGSTOP)  # it must not see its server die, and start it again
            with contextlib.suppress(psutil.Error):
                await kill_and_wait(server)
            await owner.kill()
            return preload.lose_what_was_not_synced(self.made.sync_note)
        finally:
            owner.let_go()

    def resume(self) -> None:
        """Let go on whatever was stopped."""
        for program in self.programs:
            program.send(signal.SIGCONT)
            for child in program.descendants():
                with contextlib.suppress(psutil.Error):
                    child.resume()


async def kill_and_wait(process: psutil.Process) -> None:
    """Kill it, and return when it holds no file any more: when it is gone, or its parent has only to reap it."""
    with contextlib.suppress(psutil.Error):
        process.kill()
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
