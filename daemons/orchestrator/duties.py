"""Does the periodic duties, on one replica at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from daemons.core.errors import StoreUnavailable
from daemons.orchestrator.health import Replica
from daemons.store import Store
from daemons.store.duties import Lease

log = structlog.get_logger(__name__)

TAKE_OVER_S: Final = 5.0
"""A lease whose counter has stood still for this long is taken over."""


class Duty(NamedTuple):
    """Something that one replica does again and again. Two at once do no harm."""

    name: str
    do: Callable[[], Awaitable[None]]
    every_s: float = 0.0
    """Not more often than that; 0 is at every round."""


class LeaseWatch:
    """How long the lease's counter has stood still, by this process's monotonic clock."""

    def __init__(self, take_over_s: float = TAKE_OVER_S) -> None:
        self._take_over_s = take_over_s
        self._counter = -1
        self._since_s = 0.0

    def observe(self, lease: Lease, now_s: float) -> int:
        """The counter with which the lease may be taken over, or -1 while its holder is alive."""
        if lease.counter != self._counter:
            self._counter, self._since_s = lease.counter, now_s
        return self._counter if now_s - self._since_s >= self._take_over_s else -1


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
    """Renews or watches the lease, and does the duties that are due while it holds it.

    `on_gap` is told when nothing could be observed for a while; `problems` says what stands in the way of a duty, by
    the duty's name; `mark` names the folder of results that this process writes to.
    """

    def __init__(
        self,
        store: Store,
        duties: Sequence[Duty],
        interval_s: float,
        *,
        on_gap: Callable[[], None],
        problems: Callable[[], dict[str, str]],
        mark: str,
    ) -> None:
        self._store = store
        self._duties = duties
        self._interval_s = interval_s
        self._on_gap = on_gap
        self._problems = problems
        self._mark = mark
        self._began_s = time.monotonic()
        self._done_at: dict[str, float] = {}
        self._watch = LeaseWatch()
        self._stale_counter = -1
        self._poked = asyncio.Event()
        self.state = DutyState(replica=replica_name())

    @property
    def replica(self) -> Replica:
        """What this process knows of itself."""
        return Replica(
            self.state.is_held,
            {duty.name: duty.every_s for duty in self._duties},
            time.monotonic() - self._began_s,
            self._mark,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of all duties."""
        return tuple(duty.name for duty in self._duties)

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
            self._on_gap()
        else:
            if self.state.store_is_away:
                log.info("store back")
            self.state.store_is_away = False

    async def _round(self) -> None:
        lease = await self._store.duties.take(self.state.replica, self._stale_counter)
        self._stale_counter = self._watch.observe(lease, _now_s())
        if lease.holder != self.state.holder:
            self._on_gap()
            self.state.holder = lease.holder
            log.info("duties changed hands", holder=lease.holder, is_held=self.state.is_held)
        if self.state.is_held:
            await self._do_what_is_due()

    async def _do_what_is_due(self) -> None:
        due = [duty for duty in self._duties if _now_s() - self._done_at.get(duty.name, -duty.every_s) >= duty.every_s]
        for duty in due:
            await duty.do()
            self._done_at[duty.name] = _now_s()
        done = {name: _now_s() - at_s for name, at_s in self._done_at.items()}
        await self._store.duties.note(self.state.replica, done, self._problems(), self._mark)

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


def _now_s() -> float:
    return asyncio.get_running_loop().time()
