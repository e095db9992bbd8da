"""The orchestrator daemon: everything wired together in one place, started and stopped in good order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web
from msgspec import structs

from daemons.core.errors import AlreadyRunning, ConfigInvalid
from daemons.core.settings import EMBEDDED, HttpSettings, OrchestratorSettings
from daemons.orchestrator.api import context
from daemons.orchestrator.api.app import make_app
from daemons.orchestrator.api.guard import Guard, check_exposure, is_loopback, read_tokens
from daemons.orchestrator.checkups import Checkups
from daemons.orchestrator.dispatch import Dispatcher
from daemons.orchestrator.duties import Duty, DutyRounds
from daemons.orchestrator.feed import Feed
from daemons.orchestrator.metrics import Metrics
from daemons.orchestrator.modelstore.puller import Puller
from daemons.orchestrator.modelstore.receiving import Receiver
from daemons.orchestrator.modelstore.store import ModelStore
from daemons.orchestrator.modelstore.upkeep import EVERY_S as UPKEEP_EVERY_S
from daemons.orchestrator.modelstore.upkeep import Upkeep
from daemons.orchestrator.outputs import folder_mark
from daemons.orchestrator.reaper import Reaper
from daemons.orchestrator.retention import EVERY_S as RETENTION_EVERY_S
from daemons.orchestrator.retention import Retention
from daemons.orchestrator.webhooks import Webhooks
from daemons.orchestrator.writer import Writer
from daemons.runtime.folders import state_folder
from daemons.runtime.locks import FileLock
from daemons.runtime.notify import Notifier
from daemons.runtime.sockets import inherited_socket
from daemons.runtime.supervise import Service, supervise
from daemons.runtime.tether import tethered
from daemons.store import Store, open_store
from daemons.store.embedded import EmbeddedServer

log = structlog.get_logger(__name__)

DRAIN_TIMEOUT_S: Final = 10.0
KEEPALIVE_TIMEOUT_S: Final = 15.0
SHUTDOWN_TIMEOUT_S: Final = 3.0
"""How long requests under way may take once the server is told to stop."""

CANCEL_AGAIN_S: Final = 0.2

AIRPLAY_PORT: Final = 5000
MODELS_MARK: Final = ".benchfleet-models"


class Parts:
    """What serves the API and the duties, made once from the settings and the store."""

    def __init__(
        self, settings: OrchestratorSettings, store: Store, outputs: Path, models: Path, *, is_local: bool = True
    ) -> None:
        self.settings = settings
        self.store = store
        self.dispatcher = Dispatcher(store, beat_s=settings.fleet.heartbeat_interval_s)
        self.feed = Feed(store)
        self.metrics = Metrics()
        self.reaper = Reaper(store, settings.fleet)
        self.writer = Writer(store, outputs)
        self.webhooks = Webhooks(store, settings.webhooks)
        self.models = ModelStore(models, settings.models, store)
        self.receiver = Receiver(self.models)
        self.puller = Puller(self.models, store, settings.models, is_local=is_local)
        self.upkeep = Upkeep(self.models)
        retention = Retention(store, settings.storage.retention_days)
        self.duties = DutyRounds(
            store,
            (
                Duty("reaper", self.reaper.round),
                Duty("writer", self.writer.flush),
                Duty("webhooks", self.webhooks.round),
                Duty("retention", retention.round, RETENTION_EVERY_S),
                Duty("checkups", Checkups(store, settings.fleet.health_interval_s).round),
                Duty("models", self.upkeep.round, UPKEEP_EVERY_S),
            ),
            settings.fleet.duty_interval_s,
            on_gap=self.reaper.restart,
            problems=self._problems,
            mark=f"{folder_mark(outputs)}/{folder_mark(models, MODELS_MARK)}",
        )

    def _problems(self) -> dict[str, str]:
        """What stands in the way of a duty of this process, by the duty's name."""
        found = {
            "writer": ("results can't be written", self.writer.counts.last_error),
            "webhooks": ("webhooks can't be delivered", self.webhooks.last_error),
            "models": ("the folder of models can't be tidied", self.upkeep.last_error),
        }
        return {duty: f"{what}: {error}" for duty, (what, error) in found.items() if error is not None}

    async def _close(self, _app: web.Application) -> None:
        self.feed.close()
        await self.webhooks.close()
        await self.puller.close()

    def application(self, guard: Guard) -> web.Application:
        """The API, with all that its handlers reach for."""
        app = make_app(guard)
        app[context.SETTINGS] = self.settings
        app[context.STORE] = self.store
        app[context.DISPATCHER] = self.dispatcher
        app[context.FEED] = self.feed
        app[context.METRICS] = self.metrics
        app[context.REAPER] = self.reaper
        app[context.WRITER] = self.writer
        app[context.DUTIES] = self.duties
        app[context.MODELS] = self.models
        app[context.RECEIVER] = self.receiver
        app[context.PULLER] = self.puller
        app.on_shutdown.append(self._close)
        return app


async def run(
    settings: OrchestratorSettings,
    *,
    on_ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set or a signal asks for it. `on_ready` is told the server's address, port included.

    Raises ConfigInvalid for settings that can't be used, AlreadyRunning if the port or the data folder is taken, and
    StoreUnavailable never: an orchestrator without Redis serves, and says so in `/api/health`.
    """
    stop = stop or asyncio.Event()
    tokens, held = read_tokens(settings.http), inherited_socket()
    http = settings.http if held is None else structs.replace(settings.http, host=held.getsockname()[0])
    check_exposure(http, tokens)
    data, outputs, models = _make_folders(settings)
    notifier = Notifier.from_environ()
    async with AsyncExitStack() as resources:
        embedded = await resources.enter_async_context(_embedded_server(settings, data))
        url = embedded.url if embedded else settings.redis.url
        store = await resources.enter_async_context(open_store(url, settings.redis.prefix))
        parts = Parts(settings, store, outputs, models, is_local=is_loopback(http.host))
        app = parts.application(Guard(settings.http, tokens))
        address = await resources.enter_async_context(_serving(app, http, parts.dispatcher, held))
        log.info("orchestrator serving", url=address, outputs=str(outputs))
        notifier.ready(f"serving {address}")
        if on_ready:
            on_ready(address)
        await supervise(_services(parts, embedded), stop, drain_timeout_s=DRAIN_TIMEOUT_S, notifier=notifier)
        log.info("orchestrator stopping")


def _services(parts: Parts, embedded: EmbeddedServer | None) -> dict[str, Service]:
    services: dict[str, Service] = {
        "duties": lambda stop: _until(stop, parts.duties.run()),
        "wake-ups": lambda stop: _until(stop, parts.dispatcher.listen()),
        "events": lambda stop: _until(stop, parts.feed.run()),
    }
    if embedded:
        services["embedded server"] = lambda stop: _until(stop, embedded.keep_alive())
    return services


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until `stop` is set; an error in it travels out."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        while not working.done():
            # One cancellation may not be enough: redis-py 8.1 can swallow it while it opens a connection.
            working.cancel()
            await asyncio.wait((working,), timeout=CANCEL_AGAIN_S)
    if not working.cancelled():
        working.result()


def _make_folders(settings: OrchestratorSettings) -> tuple[Path, Path, Path]:
    """The folders of data, of results and of models, there and ready."""
    data = state_folder("orchestrator", settings.storage.data_dir)
    outputs = Path(settings.storage.outputs_dir or data / "outputs").expanduser().absolute()
    models = data / "models"
    for folder in (data, outputs, models):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigInvalid(
                f"storage: the folder {folder} can't be made ({error.strerror}); set storage.data_dir and "
                "storage.outputs_dir to folders that this user may write"
            ) from error
    return data, outputs, models


@asynccontextmanager
async def _embedded_server(settings: OrchestratorSettings, data: Path) -> AsyncIterator[EmbeddedServer | None]:
    """The embedded server, if the settings want it; one owner a data folder."""
    if settings.redis.url != EMBEDDED:
        yield None
        return
    folder = data / "valkey"
    with FileLock(folder / "owner.lock").held_now():
        # At once, also if it hangs: a second one is started on its file, and all that it has acknowledged is on disk.
        server = EmbeddedServer(folder, partial(tethered, sent=signal.SIGKILL))
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def _serving(
    app: web.Application, http: HttpSettings, dispatcher: Dispatcher, held: socket.socket | None = None
) -> AsyncIterator[str]:
    """The application, served, on a socket that somebody holds for us if there is one; the address that it is at."""
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=KEEPALIVE_TIMEOUT_S, shutdown_timeout=SHUTDOWN_TIMEOUT_S
    )
    await runner.setup()
    try:
        await (_listen(runner, http) if held is None else web.SockSite(runner, held).start())
        yield _address(runner, http.host)
    finally:
        dispatcher.close()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, http: HttpSettings) -> None:
    try:
        await web.TCPSite(runner, http.host, http.port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AlreadyRunning(_port_taken(http, sys.platform)) from error
        raise ConfigInvalid(
            f"http.host: can't listen on {http.host} port {http.port} ({error.strerror}); "
            "set http.host to an address of this machine, and http.port to one that this user may use"
        ) from error


def _port_taken(http: HttpSettings, platform: str) -> str:
    hint = ""
    if platform == "darwin" and http.port == AIRPLAY_PORT:
        hint = " (on a Mac, AirPlay Receiver holds it: System Settings, General, AirDrop & Handoff)"
    choice = "end what holds it, or choose another with http.port or --port"
    return f"port {http.port} of {http.host} is in use{hint}; {choice}"


def _address(runner: web.AppRunner, host: str) -> str:
    port = runner.addresses[0][1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
