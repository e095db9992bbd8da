"""Takes jobs back from workers that are gone, and from attempts that never end; brings retries back when due."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import structlog

from daemons.core.errors import NotFound
from daemons.core.models import DEFAULT_TIMEOUT_S
from daemons.core.retries import policy_of
from daemons.core.settings import FleetSettings
from daemons.orchestrator.watch import AttemptWatch, SilenceWatch
from daemons.store import Store
from daemons.store.queue import Attempt

log = structlog.get_logger(__name__)

GRACE_S: Final = 60.0
"""A worker ends its own overdue jobs. Only one that hasn't done so by then is overruled."""

WAITING_PHASE: Final = "waiting"
"""The phase of an attempt whose device is busy with another one; its time has not begun."""


class ReaperCounts(msgspec.Struct):
    """What the reaper of this process has done since it started."""

    rounds: int = 0
    workers_lost: int = 0
    attempts_lost: int = 0
    attempts_overdue: int = 0
    retries_brought_back: int = 0


class Reaper:
    """One round looks once at everybody. Two reapers at once do no harm: every step checks what it leaves."""

    def __init__(self, store: Store, settings: FleetSettings) -> None:
        self._store = store
        self._policy = policy_of(settings)
        self._silence = SilenceWatch(settings.heartbeat_timeout_s)
        self._attempts = AttemptWatch(GRACE_S, DEFAULT_TIMEOUT_S)
        self.counts = ReaperCounts()

    def restart(self) -> None:
        """Nothing could be observed for a while: every lease gets a full new window."""
        self._silence.restart()
        self._attempts.restart()

    async def round(self) -> None:
        """Look at every worker and attempt once. Raises StoreUnavailable."""
        await self._lose_silent_workers()
        await self._end_overdue_attempts()
        self.counts.retries_brought_back += await self._store.queue.promote_due()
        self.counts.rounds += 1

    async def _lose_silent_workers(self) -> None:
        for silence in self._silence.observe(await self._store.fleet.beats(), _now_s()):
            lost = await self._store.fleet.lose(silence.worker_id, silence.beats, silence.silent_s, self._policy)
            if lost is False:
                continue
            self.counts.workers_lost += 1
            job_id = lost if isinstance(lost, str) else None
            self.counts.attempts_lost += job_id is not None
            log.warning("worker lost", worker=silence.worker_id, silent_s=round(silence.silent_s, 1), job=job_id)

    async def _end_overdue_attempts(self) -> None:
        for attempt in self._attempts.observe(await self._store.queue.running(), _now_s()):
            if await self._is_waiting(attempt):
                self._attempts.excuse(attempt, _now_s())
            else:
                await self._end(attempt)

    async def _is_waiting(self, attempt: Attempt) -> bool:
        try:
            worker: dict[str, Any] = await self._store.fleet.get(attempt.worker_id)
        except NotFound:
            return False
        return (worker["progress"] or {}).get("phase") == WAITING_PHASE

    async def _end(self, attempt: Attempt) -> None:
        limit = attempt.timeout_s or DEFAULT_TIMEOUT_S
        reason = f"ran past its {limit:g} s and its worker did not end it"
        if await self._store.queue.lose_attempt(attempt, reason, self._policy):
            self.counts.attempts_overdue += 1
            log.warning("attempt overdue", job=attempt.job_id, attempt=attempt.attempt, worker=attempt.worker_id)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
