"""An event loop in a thread of its own, for code that has none: also where another loop runs already, as in a notebook.

It knows nothing of what it runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

FAREWELL_S: Final = 5.0
"""So long is waited for what was interrupted to end."""

SLICE_S: Final = 0.5
"""A lock that is waited for without end may miss a signal that comes while the waiting begins."""

_END: Final[Any] = object()


class _Outcome(Generic[T]):
    """What becomes of work that another thread waits for. An interruption finds no lock half released: there is one."""

    def __init__(self) -> None:
        self._pending = threading.Lock()
        self._pending.acquire()
        self._value: T | None = None
        self._error: BaseException | None = None
        self.is_known = False

    def settle(self, value: T | None, error: BaseException | None = None) -> None:
        """It is known now."""
        self._value, self._error, self.is_known = value, error, True
        self._pending.release()

    def wait(self) -> None:
        """Return once it is known."""
        while not self._pending.acquire(timeout=SLICE_S):
            pass  # a signal that came just before the lock was waited for is handled now

    def wait_a_little(self) -> None:
        """Return once it is known, or when that takes too long."""
        self._pending.acquire(timeout=FAREWELL_S)

    def get(self) -> T:
        """Return or raise it."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # it is known, and None is a T then


class Portal:
    """Runs coroutines for other threads until it is closed. What an interrupted caller waited for is cancelled."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._is_closed = False
        self._tasks: dict[_Outcome[Any], asyncio.Task[Any]] = {}
        self._thread = threading.Thread(target=self._run, name="benchfleet-client", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._is_closed

    @property
    def is_here(self) -> bool:
        """Whether the caller is something that the portal runs."""
        return threading.current_thread() is self._thread

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises. RuntimeError if the portal is closed, or called by what it runs."""
        outcome: _Outcome[T] = _Outcome()
        try:
            self._schedule(work, outcome)
            outcome.wait()
        finally:
            if not outcome.is_known:  # the caller was interrupted, by Ctrl-C most likely
                self._loop.call_soon_threadsafe(self._cancel, work, outcome)
                outcome.wait_a_little()
        return outcome.get()

    def iterate(self, items: AsyncIterator[T]) -> Generator[T]:
        """The items one by one. Whoever ends early ends what makes them."""
        try:
            while (item := self.call(_next(items))) is not _END:
                yield item
        finally:
            if not self.is_closed:
                self.call(_end(items))

    def close(self) -> None:
        """End what runs, the loop and the thread. Closed twice is closed."""
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        if not self.is_here:
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._wind_up())
            self._loop.close()

    async def _wind_up(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def _schedule(self, work: Coroutine[Any, Any, T], outcome: _Outcome[T]) -> None:
        with self._closing:  # what begins before the portal is closed is ended by that
            if not self._is_closed and not self.is_here:
                self._loop.call_soon_threadsafe(self._begin, work, outcome)
                return
        work.close()
        why = "this client is closed" if self._is_closed else "a client can't wait for itself"
        outcome.settle(None, RuntimeError(why))

    def _begin(self, work: Coroutine[Any, Any, T], outcome: _Outcome[T]) -> None:
        task = self._loop.create_task(work)
        self._tasks[outcome] = task
        task.add_done_callback(lambda _: self._settle(outcome))

    def _cancel(self, work: Coroutine[Any, Any, T], outcome: _Outcome[T]) -> None:
        if task := self._tasks.get(outcome):
            task.cancel()
        elif not outcome.is_known:  # the interruption came before it could begin
            work.close()
            outcome.settle(None, RuntimeError("interrupted"))

    def _settle(self, outcome: _Outcome[Any]) -> None:
        task = self._tasks.pop(outcome)
        if task.cancelled():
            outcome.settle(None, RuntimeError("this client was closed meanwhile"))
        elif error := task.exception():
            outcome.settle(None, error)
        else:
            outcome.settle(task.result())


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items, _END)


async def _end(items: AsyncIterator[object]) -> None:
    if isinstance(items, AsyncGenerator):
        await items.aclose()
