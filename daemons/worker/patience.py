"""Waiting well: back-off, the first of several things, and asking until the orchestrator answers.

The one place that knows which errors may pass. It says so once when the orchestrator falls silent and once when it is
back, however many requests are tried in between.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

import structlog

from daemons.core.errors import NotAllowed, Unavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

FIRST_DELAY_S: Final = 0.5
MOST_DELAY_S: Final = 10.0
JITTER: Final = (0.5, 1.5)
"""Spreads the requests of a fleet that lost its orchestrator at one moment."""

MAY_PASS: Final = (Unavailable, NotAllowed)
"""Worth asking again: a database that is away comes back, and a token that was replaced is read again."""


def backoff(most_s: float = MOST_DELAY_S, generator: random.Random | None = None) -> Iterator[float]:
    """Delays in seconds without end: each twice the last up to `most_s`, before the jitter."""
    delay_s, pick = FIRST_DELAY_S, (generator or random).uniform
    while True:
        yield min(delay_s, most_s) * pick(*JITTER)
        delay_s = min(delay_s * 2, most_s)


async def first_of(*contenders: Coroutine[Any, Any, T]) -> T:
    """What the first to end returns or raises. The others have been cancelled and have ended when this returns.

    Of several that end at once, the one named first counts.
    """
    tasks = [asyncio.create_task(contender) for contender in contenders]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns, or None: it is cancelled when `stop` is set before it ends."""

    async def bell() -> T | None:
        await stop.wait()
        return None

    return await first_of(work, bell())


class Contact:
    """Whether the orchestrator answers. All requests of a worker go through one of these."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._silent_since: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the latest request was not answered."""
        return self._silent_since is not None

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """The answer to one request, or the error that it ends with."""
        try:
            answer = await request()
        except MAY_PASS as error:
            self._note_silence(error)
            raise
        self._note_answer()
        return answer

    async def insist(self, request: Callable[[], Awaitable[T]], *, most_s: float = MOST_DELAY_S) -> T:
        """The answer to a request that is sent again, with back-off, for as long as its error is one that may pass."""
        delays = backoff(most_s)
        while True:
            try:
                return await self.ask(request)
            except MAY_PASS as error:
                await asyncio.sleep(max(next(delays), _asked_delay_s(error, most_s)))

    def _note_silence(self, error: Exception) -> None:
        if self._silent_since is None:
            self._silent_since = time.monotonic()
            log.warning("orchestrator lost", url=self._url, error=str(error))

    def _note_answer(self) -> None:
        if self._silent_since is not None:
            log.info("orchestrator found again", url=self._url, after_s=round(time.monotonic() - self._silent_since, 1))
            self._silent_since = None


def _asked_delay_s(error: Exception, most_s: float) -> float:
    """What a server asked for with ``Retry-After``; nothing when it was not the server that spoke."""
    return min(float(vars(error).get("retry_after_s", 0.0)), most_s)
