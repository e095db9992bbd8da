"""A lock between processes that the kernel lets go of when its holder ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from daemons.core.errors import AlreadyRunning

FIRST_POLL_S: Final = 0.01
LONGEST_POLL_S: Final = 0.25


class FileLock:
    """A lock on a file, which is made when it is missing and never removed. It is exclusive, unless it is `shared`.

    The file says who holds it, for the sentence that others get. Two locks on one path exclude each other inside one
    process too. A process that was forked without exec shares its parent's lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def held_now(self) -> Iterator[None]:
        """Hold the lock, or AlreadyRunning with the holder's process; OSError if the file can't be opened."""
        descriptor = _open(self._path)
        try:
            if not _try_lock(descriptor):
                holder = _holder(descriptor)
                raise AlreadyRunning(f"{self._path.parent} is in use by {holder}; end it, or choose another folder")
            _sign(descriptor)
            yield
        finally:
            os.close(descriptor)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lock as soon as it is free. The event loop goes on meanwhile; cancelling ends the wait."""
        descriptor = _open(self._path)
        try:
            await _until_locked(descriptor)
            _sign(descriptor)
            yield
        finally:
            os.close(descriptor)

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold the lock together with others who share it, as soon as nobody holds it alone."""
        descriptor = _open(self._path)
        try:
            await _until_locked(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


async def _until_locked(descriptor: int, kind: int = fcntl.LOCK_EX) -> None:
    # A thread that blocks in flock could not be cancelled, and would keep the process from ending: hence the polls.
    pause_s = FIRST_POLL_S
    while not _try_lock(descriptor, kind):
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_POLL_S, 2 * pause_s)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    signature = json.dumps({"pid": os.getpid(), "since": since}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, signature, 0)


def _holder(descriptor: int) -> str:
    """Who signed the file, in words. It may be empty: the holder locks first and signs a moment later."""
    try:
        signature = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {int(signature['pid'])}, which has held it since {signature['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
