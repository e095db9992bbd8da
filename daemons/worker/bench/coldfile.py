"""Puts a model's files out of the page cache, so that the first load reads them from the disk, and sees to it."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from typing import Any, Final

from daemons.worker.engines.base import EngineError

_NO_WAY: Final = (
    "cold_file: this system has no way to put a file out of its page cache, "
    "so the first load may have found the model there"
)
_MAP_FAILED: Final = ctypes.c_void_p(-1).value


def cool(files: Iterable[str]) -> tuple[str, ...]:
    """Put `files` out of the page cache. What did not succeed, in sentences; EngineError if a file can't be read."""
    if not hasattr(os, "posix_fadvise"):
        return (_NO_WAY,)
    kept, total = 0, 0
    try:
        for file in files:
            still, pages = _cooled(file)
            kept, total = kept + still, total + pages
    except OSError as error:
        raise EngineError(f"The model can't be read: {error.strerror} ({error.filename}).") from error
    return (_told(kept, total),) if kept else ()


def _told(kept: int, total: int) -> str:
    return (
        f"cold_file: {kept / total:.0%} of the model was still in the page cache when the first load began; "
        "it is in use by another process, or this system keeps it or doesn't tell"
    )


def _cooled(file: str) -> tuple[int, int]:
    """Pages of a file that are in the cache even so, and all of them. It is synced, for unwritten pages would stay."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return resident_pages(descriptor)
    finally:
        os.close(descriptor)


def resident_pages(descriptor: int) -> tuple[int, int]:
    """Pages of an open file that are in the page cache, and all of its pages, by mincore(2)."""
    size = os.fstat(descriptor).st_size
    pages = -(-size // mmap.PAGESIZE)
    if pages == 0:
        return 0, 0
    states = (ctypes.c_ubyte * pages)()
    libc = _libc()
    # A shared read-only mapping: a private one, as the module mmap makes them, counts against the memory limit.
    place = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    if place == _MAP_FAILED:
        return pages, pages
    try:
        was_told = libc.mincore(place, size, states) == 0
    finally:
        libc.munmap(place, size)
    return (pages - bytes(states).count(0) if was_told else pages), pages


def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc
