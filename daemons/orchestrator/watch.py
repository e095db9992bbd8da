"""Who has been silent, and what has run for too long: judged by this process's monotonic clock alone.

Pure: time is passed in. What Redis's clock says is never asked, since it may be set, and a lease by it would vanish
or never end. After a pause in which nothing could be observed, everybody gets a full new window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from daemons.store.queue import Attempt


class Silence(NamedTuple):
    """A worker whose count of beats has stood still."""

    worker_id: str
    beats: int
    silent_s: float


class SilenceWatch:
    """Remembers when each worker's count of beats last changed."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._changed: dict[str, tuple[int, float]] = {}
        self._told: set[tuple[str, int]] = set()

    def restart(self) -> None:
        """Give everybody a full new window."""
        self._changed.clear()
        self._told.clear()

    def observe(self, beats: Mapping[str, int], now_s: float) -> list[Silence]:
        """Take in the counts as they are at `now_s`; who has been silent for the whole time-out, each silence once."""
        self._changed = {
            worker_id: known if (known := self._changed.get(worker_id)) and known[0] == count else (count, now_s)
            for worker_id, count in beats.items()
        }
        silent = [
            Silence(worker_id, count, now_s - since)
            for worker_id, (count, since) in self._changed.items()
            if now_s - since >= self._timeout_s
        ]
        told, self._told = self._told, {(silence.worker_id, silence.beats) for silence in silent}
        return [silence for silence in silent if (silence.worker_id, silence.beats) not in told]


class AttemptWatch:
    """Remembers when each attempt was first seen running."""

    def __init__(self, grace_s: float, default_timeout_s: float) -> None:
        self._grace_s = grace_s
        self._default_timeout_s = default_timeout_s
        self._since: dict[tuple[str, int], float] = {}

    def restart(self) -> None:
        """Give every attempt a full new window."""
        self._since.clear()

    def excuse(self, attempt: Attempt, now_s: float) -> None:
        """The attempt has not begun to measure: its time counts from now."""
        self._since[attempt.job_id, attempt.attempt] = now_s

    def observe(self, running: Iterable[Attempt], now_s: float) -> list[Attempt]:
        """Take in what runs at `now_s`; which of it is past its time and the grace that its worker has to say so."""
        attempts = {(attempt.job_id, attempt.attempt): attempt for attempt in running}
        self._since = {key: self._since.get(key, now_s) for key in attempts}
        return [
            attempt
            for key, attempt in attempts.items()
            if now_s - self._since[key] >= (attempt.timeout_s or self._default_timeout_s) + self._grace_s
        ]
