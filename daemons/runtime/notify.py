"""systemd's notify protocol (sd_notify(3), sd_watchdog_enabled(3)): ready, stopping, status, watchdog.

Where no service manager listens, everything here does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Final, Self

import structlog

log = structlog.get_logger(__name__)

MAX_STATUS: Final = 500


class Notifier:
    """Tells the service manager how this process is.

    `address` is the socket that it listens on (a path, or a name that begins with @ in Linux's abstract namespace),
    `watchdog_s` after how much silence it kills the process. None: nobody listens, no watchdog.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s if address else None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ, *, pid: int | None = None) -> Self:
        """As systemd has set the environment: $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID."""
        own = pid if pid is not None else os.getpid()
        return cls(environ.get("NOTIFY_SOCKET") or None, _watchdog_s(environ, own))

    def ready(self, status: str = "") -> None:
        """The program serves."""
        self._send("READY=1", *_as_status(status))

    def stopping(self, status: str = "") -> None:
        """The program has begun to end."""
        self._send("STOPPING=1", *_as_status(status))

    def status(self, text: str) -> None:
        """What the program is doing, one line for `systemctl status`."""
        self._send(*_as_status(text))

    def beat(self) -> None:
        """The program lives: the watchdog starts counting anew."""
        self._send("WATCHDOG=1")

    @contextlib.asynccontextmanager
    async def feeding(self) -> AsyncIterator[None]:
        """Feed the watchdog, at half its time, for as long as the event loop makes progress inside this context.

        It is fed by the loop and by nothing else: a server that is away must not get the program killed.
        """
        feeder = asyncio.create_task(self._feed(), name="watchdog")
        try:
            yield
        finally:
            feeder.cancel()
            await asyncio.wait([feeder])

    async def _feed(self) -> None:
        while self.watchdog_s is not None:
            self.beat()
            await asyncio.sleep(self.watchdog_s / 2)

    def _send(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                # Never wait for the manager: a full queue must not stop the event loop.
                channel.setblocking(False)
                channel.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("service manager not notified", lines=lines, error=str(error))


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """The watchdog's time, when it is meant for this process and not for its parent."""
    meant_for = environ.get("WATCHDOG_PID", "")
    micros = environ.get("WATCHDOG_USEC", "")
    if not micros.isascii() or not micros.isdecimal() or int(micros) == 0:
        return None
    return int(micros) / 1e6 if meant_for in ("", str(pid)) else None


def _as_status(text: str) -> tuple[str, ...]:
    """A status of several lines would be read as several assignments."""
    return (f"STATUS={' '.join(text.split())[:MAX_STATUS]}",) if text else ()
