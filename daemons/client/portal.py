"""An event loop in a thread of its own, for code that has none: also where another loop runs already, as in a notebook.

It knows nothing of what it runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any, Final, TypeVar

T = TypeVar("T")

FAREWELL_S: Final = 5.0
"""So long is waited for what was interrupted to end."""

_END: Final[Any] = object()


class Portal:
    """Runs coroutines for other threads until it is closed. What an interrupted caller waited for is cancelled."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._is_closed = False
        self._tasks: dict[Future[Any], asyncio.Task[Any]] = {}
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
        outcome: Future[T] = Future()
        try:
            self._schedule(work, outcome)
            return outcome.result()
        finally:
            if not outcome.done():  # the caller was interrupted, by Ctrl-C most likely
                self._loop.call_soon_threadsafe(self._cancel, work, outcome)
                wait_for([outcome], FAREWELL_S)

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

    def _schedule(self, work: Coroutine[Any, Any, T], outcome: Future[T]) -> None:
        with self._closing:  # what begins before the portal is closed is ended by that
            if not self._is_closed and not self.is_here:
                self._loop.call_soon_threadsafe(self._begin, work, outcome)
                return
        work.close()
        why = "this client is closed" if self._is_closed else "a client can't wait for itself"
        outcome.set_exception(RuntimeError(why))

    def _begin(self, work: Coroutine[Any, Any, T], outcome: Future[T]) -> None:
        task = self._loop.create_task(work)
        self._tasks[outcome] = task
        task.add_done_callback(lambda _: self._settle(outcome))

    def _cancel(self, work: Coroutine[Any, Any, T], outcome: Future[T]) -> None:
        if task := self._tasks.get(outcome):
            task.cancel()
        elif not outcome.done():  # the interruption came before it could begin
            work.close()
            outcome.set_exception(RuntimeError("interrupted"))

    def _settle(self, outcome: Future[Any]) -> None:
        task = self._tasks.pop(outcome)
        if task.cancelled():
            outcome.set_exception(RuntimeError("this client was closed meanwhile"))
        elif error := task.exception():
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items, _END)


async def _end(items: AsyncIterator[object]) -> None:
    if isinstance(items, AsyncGenerator):
        await items.aclose()
