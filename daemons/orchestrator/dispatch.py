"""Claims that wait for work, woken one at a time when some arrives.

A waiting claim first listens, then tries, then waits: nothing can arrive unheard in between. Messages may still be
lost on their way from Redis, so each claim tries again every few seconds regardless.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog

from daemons.core.errors import StoreUnavailable
from daemons.core.models import ClaimedJob, ClaimRequest
from daemons.store import Store
from daemons.store.keys import parts_of

log = structlog.get_logger(__name__)

RETRY_S: Final = 5.0
"""How often a waiting claim tries regardless. Each try is a sign of life of its worker, too."""

RECONNECT_S: Final = 1.0


class Ticket:
    """One waiting claim: the queues that it listens to, and the wake-ups that it has not yet answered for."""

    def __init__(self) -> None:
        self.queues: tuple[str, ...] = ()
        self.tags: frozenset[str] = frozenset()
        """It listens as well to those queues of its units whose tags are among these."""
        self.wakeups: list[str] = []
        self._bell = asyncio.Event()

    def ring(self, queue: str) -> None:
        """Wake the claim for a job in `queue`."""
        self.wakeups.append(queue)
        self.wake()

    def wake(self) -> None:
        """Wake the claim for whatever reason it will find."""
        self._bell.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when rung, or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return
        self._bell.clear()

    def spend(self, count: int) -> None:
        """The first `count` wake-ups have served: whoever tried after them found the queues empty."""
        del self.wakeups[:count]

    def took_from(self, queue: str | None) -> None:
        """One wake-up for `queue` has served: its job was taken."""
        if queue in self.wakeups:
            self.wakeups.remove(queue)


class Doorbell:
    """Who waits for which queue, in the order of coming."""

    def __init__(self) -> None:
        self._tickets: set[Ticket] = set()
        self._waiting: defaultdict[str, dict[Ticket, None]] = defaultdict(dict)

    @contextmanager
    def waiting(self) -> Iterator[Ticket]:
        """A ticket for the time of the block. A wake-up that it leaves unspent is passed on."""
        ticket = Ticket()
        self._tickets.add(ticket)
        try:
            yield ticket
        finally:
            self._tickets.discard(ticket)
            self.listen(ticket, ())
            self.pass_on(ticket)

    def listen(self, ticket: Ticket, queues: tuple[str, ...], tags: frozenset[str] = frozenset()) -> None:
        """Let the ticket wait for these queues, for those of its units with such tags, and for no others."""
        for queue in ticket.queues:
            self._waiting[queue].pop(ticket, None)
            if not self._waiting[queue]:
                del self._waiting[queue]
        ticket.queues, ticket.tags = queues, tags
        for queue in queues:
            self._waiting[queue][ticket] = None

    def ring(self, counts: Mapping[str, int], *, but: Ticket | None = None) -> None:
        """Wake as many waiting claims of each queue as there are new jobs in it, the longest waiting first.

        Those that are already awake come last, and are rung all the same: their try may have come too early. `but` is
        passed over.
        """
        for queue, count in counts.items():
            unit_queue, tags = parts_of(queue)
            listening = self._waiting.get(unit_queue, ())
            others = [ticket for ticket in listening if ticket is not but and ticket.tags.issuperset(tags)]
            waiting = sorted(others, key=lambda ticket: bool(ticket.wakeups))
            for ticket in waiting[:count]:
                ticket.ring(queue)

    def pass_on(self, ticket: Ticket) -> None:
        """Wake others in the place of a claim that can't answer its wake-ups."""
        unanswered = Counter(ticket.wakeups)
        ticket.wakeups.clear()
        self.ring(unanswered, but=ticket)

    def __len__(self) -> int:
        """How many wait, those included that may take nothing now."""
        return len(self._tickets)

    def ring_all(self) -> None:
        """Wake everybody, for no queue."""
        for ticket in self._tickets:
            ticket.wake()


class Dispatcher:
    """Answers claims with jobs, at once or as soon as there is one."""

    def __init__(self, store: Store, *, beat_s: float = RETRY_S) -> None:
        """`beat_s` is how often a worker must be heard of: a waiting claim tries at least as often."""
        self._store = store
        self._beat_s = beat_s
        self.doorbell = Doorbell()
        self._is_closing = False

    def close(self) -> None:
        """Answer every waiting claim with nothing: the server is about to end."""
        self._is_closing = True
        self.doorbell.ring_all()

    async def claim(
        self, worker_id: str, request: ClaimRequest, wait_s: float, is_gone: Callable[[], bool]
    ) -> ClaimedJob | None:
        """The worker's next job, or None if none came within `wait_s` or the caller `is_gone`."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait_s
        with self.doorbell.waiting() as ticket:
            while not (is_gone() or self._is_closing):
                heard = len(ticket.wakeups)
                claimed = await self._store.queue.claim(worker_id, request)
                if claimed.job is not None:
                    ticket.took_from(claimed.queue)
                    return claimed.job
                if claimed.is_ready and not claimed.has_left:
                    ticket.spend(heard)
                else:
                    self.doorbell.pass_on(ticket)
                # One that may take nothing listens for its own name all the same: so it is told that it may again.
                if (ticket.queues, ticket.tags) != (claimed.queues, claimed.tags):
                    self.doorbell.listen(ticket, claimed.queues, claimed.tags)
                    continue
                if clock() >= deadline:
                    return None
                await ticket.wait(min(RETRY_S, self._beat_s, deadline - clock()))
        return None

    async def listen(self) -> None:
        """Ring for what Redis announces, and subscribe again whenever the connection breaks; until cancelled."""
        is_away = False
        while True:
            try:
                async for counts in self._store.broadcast.wakes():
                    if is_away:
                        log.info("wake-ups are heard again")
                        is_away = False
                    self.doorbell.ring(counts)
            except StoreUnavailable as error:
                if not is_away:
                    log.warning("wake-ups are not heard", error=str(error))
                    is_away = True
                await asyncio.sleep(RECONNECT_S)
