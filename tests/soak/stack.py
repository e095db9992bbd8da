"""A fleet of real processes for fault tests: orchestrators, their server, workers, and a proxy between all of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
from aiohttp import ClientError

from daemons.core.settings import FleetSettings
from daemons.store import Store, open_store
from daemons.store.embedded import server_arguments, server_binary, socket_path
from daemons.worker.engines.tiny import TINY_ONNX
from tests.soak.kept import Kept
from tests.soak.launch import Setup, command
from tests.support import preload
from tests.support.light_models import light_models
from tests.support.model_server import ModelServer, serving_models
from tests.support.processes import environment
from tests.support.proxy import Proxy
from tests.support.wire import Recorder

TINY, LONG = "tiny.onnx", "long.onnx"
"""Models that the harness serves: a run of the first takes microseconds, of the second milliseconds."""

CHILD = "daemons.worker.bench.child"
SERVER = "valkey-server"
ASK_TIMEOUT_S = 3.0
PATIENCE_S = 60.0

SCALED_BY_30 = {
    "HEARTBEAT_INTERVAL_S": "0.17",
    "HEARTBEAT_TIMEOUT_S": "1.0",
    "RETRY_DELAY_S": "0.33",
    "DUTY_INTERVAL_S": "0.05",
}
"""Leases by which workers are judged, and the pace of what judges them."""
TAKE_OVER_S = 0.5
"""The lease of the duties; a thirtieth would be lost by every hiccup of a busy machine."""


@dataclass(frozen=True)
class Layout:
    """What a fleet is made of."""

    orchestrators: int = 1
    """One has its server embedded; several share a server that runs beside them."""
    workers: int = 3
    quick_ms_per_run: float | None = None
    fleet: dict[str, str] = field(default_factory=lambda: dict(SCALED_BY_30))
    take_over_s: float | None = TAKE_OVER_S
    script_swaps: list[tuple[str, str]] = field(default_factory=list)
    server_settings: dict[str, str] = field(default_factory=dict)
    notes_syncs: bool = True
    """Have the server's syncs noted where a shim for that can be built, so that power can be lost."""


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
        self._sync_note = folder / "synced"
        self._server_environ: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Stack]:
        """Up, with every worker registered, until the block ends."""
        async with contextlib.AsyncExitStack() as stack:
            self.models = await stack.enter_async_context(serving_models())
            self.models.files |= {TINY: TINY_ONNX, LONG: (light_models() / "light_squeezenet.onnx").read_bytes()}
            timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
            await stack.enter_async_context(self.proxy.serving())
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
    def outputs(self) -> Path:
        return self.folder / "data" / "outputs"

    def not_synced(self) -> bytes:
        """What the server has written and a power loss would take; nothing where nobody knows."""
        return preload.not_synced(self._sync_note) if self._sync_note.exists() else b""

    def _make_programs(self) -> None:
        ports = [_free_port() for _ in range(self.layout.orchestrators)]
        self.proxy.backends = [("127.0.0.1", port) for port in ports]
        if self.layout.notes_syncs and preload.why_not() is None:
            library = preload.compiled(preload.SYNCED_SIZE, self.folder)
            self._server_environ = preload.noting_syncs(library, self._sync_note)
        if len(ports) > 1:
            self.server = self._make_server()
        self.orchestrators = [self._make_orchestrator(place, port) for place, port in enumerate(ports)]
        self.workers = [self._make_worker(place) for place in range(self.layout.workers)]

    @property
    def _server_folder(self) -> Path:
        return self.folder / "data" / "valkey"

    @property
    def _server_url(self) -> str:
        return f"unix://{socket_path(self._server_folder)}"

    def _make_server(self) -> Kept:
        self._server_folder.mkdir(parents=True)
        changed = [part for key, value in self.layout.server_settings.items() for part in (f"--{key}", value)]
        line = server_arguments(server_binary(), self._server_folder, socket_path(self._server_folder))
        return Kept("valkey", [*line, *changed], environment(**self._server_environ), self.folder / "valkey.log")

    def _make_orchestrator(self, place: int, port: int) -> Kept:
        setup = self._write_setup(
            f"orchestrator-{place}",
            script_swaps=self.layout.script_swaps,
            server_settings=self.layout.server_settings,
            take_over_s=self.layout.take_over_s,
        )
        line = command(setup, "orchestrator", "--port", str(port), "--data-dir", str(self.folder / "data"))
        fleet = {f"BENCHFLEET_FLEET__{name}": value for name, value in self.layout.fleet.items()} | _no_health_jobs()
        if self.server is not None:
            fleet["BENCHFLEET_REDIS__URL"] = self._server_url
        environ = environment(**fleet, **({} if self.server else self._server_environ))
        return Kept(f"orchestrator {place}", line, environ, self.folder / f"orchestrator-{place}.log")

    def _make_worker(self, place: int) -> Kept:
        setup = self._write_setup(
            f"worker-{place}",
            lock_dir=str(self.folder / "locks" / str(place)),
            quick_ms_per_run=self.layout.quick_ms_per_run,
        )
        state = self.folder / "workers" / str(place)
        line = command(setup, "worker", "--url", self.proxy.url, "--state-dir", str(state), "--name", f"device {place}")
        environ = environment(BENCHFLEET_LIMITS__DRAIN_TIMEOUT_S="1")
        return Kept(f"worker {place}", line, environ, self.folder / f"worker-{place}.log")

    def _write_setup(self, name: str, **setup: Any) -> Path:
        path = self.folder / f"{name}.json"
        path.write_bytes(msgspec.json.encode(Setup(**setup)))
        return path

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
                method, f"{self.proxy.url}/api{path}", json=body if body is not None else {}, headers=sent
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
        async with open_store(self._server_url, "benchfleet:") as store:
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
        if server is None or not self._sync_note.exists():
            return None
        owner.hold_back()
        try:
            owner.send(signal.SIGSTOP)  # it must not see its server die, and start it again
            with contextlib.suppress(psutil.Error):
                await kill_and_wait(server)
            await owner.kill()
            return preload.lose_what_was_not_synced(self._sync_note)
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


def _no_health_jobs() -> dict[str, str]:
    """Jobs that nobody submitted would be taken for a fault."""
    name = "health_interval_s"
    return {f"BENCHFLEET_FLEET__{name.upper()}": "null"} if name in FleetSettings.__struct_fields__ else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
