"""Blocking work in a thread that is never left running behind its caller's back."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The work was given up because its caller was cancelled."""


class Stop:
    """What long work looks at between two of its steps."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Have the work end at its next look."""
        self._asked.set()

    def look(self) -> None:
        """Raise Stopped if the work is no longer wanted."""
        if self._asked.is_set():
            raise Stopped


async def in_thread(work: Callable[[Stop], T], threads: Executor | None = None) -> T:
    """What `work` returns or raises, from a thread: one of `threads`, or of those that everybody shares.

    Cancelled, it asks the work to stop and waits until it has: a thread that goes on would write into files which its
    caller is about to close or remove.
    """
    stop = Stop()
    context = contextvars.copy_context()
    task = asyncio.get_running_loop().run_in_executor(threads, context.run, work, stop)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.ask()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # whatever it is, nobody waits for it any more
        raise
