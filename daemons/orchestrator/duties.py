"""Does the periodic duties, on one replica at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import Final

import msgspec
import structlog

from daemons.core.errors import StoreUnavailable
from daemons.orchestrator.reaper import Reaper
from daemons.orchestrator.writer import Writer
from daemons.store import Store
from daemons.store.duties import Lease

log = structlog.get_logger(__name__)

TAKE_OVER_S: Final = 5.0
"""A lease whose counter has stood still for this long is taken over."""


class LeaseWatch:
    """How long the lease's counter has stood still, by this process's monotonic clock."""

    def __init__(self) -> None:
        self._counter = -1
        self._since_s = 0.0

    def observe(self, lease: Lease, now_s: float) -> int:
        """The counter with which the lease may be taken over, or -1 while its holder is alive."""
        if lease.counter != self._counter:
            self._counter, self._since_s = lease.counter, now_s
        return self._counter if now_s - self._since_s >= TAKE_OVER_S else -1


class DutyState(msgspec.Struct):
    """What this process knows of the lease."""

    replica: str
    holder: str | None = None
    store_is_away: bool = False

    @property
    def is_held(self) -> bool:
        """Whether this process does the duties."""
        return self.holder == self.replica


def replica_name() -> str:
    """A name for this process that no other has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class DutyRounds:
    """Renews or watches the lease, and does a round of all duties while it holds it."""

    def __init__(self, store: Store, reaper: Reaper, writer: Writer, interval_s: float) -> None:
        self._store = store
        self._reaper = reaper
        self._writer = writer
        self._interval_s = interval_s
        self._watch = LeaseWatch()
        self._stale_counter = -1
        self._poked = asyncio.Event()
        self.state = DutyState(replica=replica_name())

    def poke(self) -> None:
        """There is something to write: the next round need not wait."""
        self._poked.set()

    async def run(self) -> None:
        """Rounds until cancelled; the lease is given up then."""
        try:
            while True:
                await self._round_if_possible()
                await self._pause()
        finally:
            await self._give_up()

    async def _round_if_possible(self) -> None:
        try:
            await self._round()
        except StoreUnavailable as error:
            if not self.state.store_is_away:
                log.warning("store away", error=str(error))
            self.state.store_is_away = True
            self._reaper.restart()
        else:
            if self.state.store_is_away:
                log.info("store back")
            self.state.store_is_away = False

    async def _round(self) -> None:
        lease = await self._store.duties.take(self.state.replica, self._stale_counter)
        self._stale_counter = self._watch.observe(lease, asyncio.get_running_loop().time())
        if lease.holder != self.state.holder:
            self._reaper.restart()
            self.state.holder = lease.holder
            log.info("duties changed hands", holder=lease.holder, is_held=self.state.is_held)
        if self.state.is_held:
            await self._reaper.round()
            await self._writer.flush()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._poked.wait()
        except TimeoutError:
            pass
        self._poked.clear()

    async def _give_up(self) -> None:
        try:
            await self._store.duties.drop(self.state.replica)
        except StoreUnavailable:
            log.info("the lease of the duties will run out by itself")
