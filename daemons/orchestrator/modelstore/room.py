"""How much still fits: into the share of the disk that models may take, and onto the disk beside everything else on it.

Transfers promise their bytes before they write them, so that two of one process don't count on the same room. Several
processes may still do so; then the disk says it, in the middle.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from daemons.core.errors import NoRoom, TooLarge

GB: Final = 10**9
RESERVE_BYTES: Final = GB
RESERVE_SHARE: Final = 0.05
"""So much of the disk is left alone, the smaller of both: the database beside it must go on writing."""


class Disk(NamedTuple):
    """The disk that the folder is on."""

    total_bytes: int
    free_bytes: int


def disk_of(folder: Path) -> Disk:
    """What the system says of it."""
    found = shutil.disk_usage(folder)
    return Disk(found.total, found.free)


class Promise:
    """The bytes that one transfer is about to write."""

    def __init__(self) -> None:
        self.promised_bytes = 0
        self.written_bytes = 0

    @property
    def outstanding_bytes(self) -> int:
        """What will be taken from the disk yet."""
        return max(0, self.promised_bytes - self.written_bytes)


class Room:
    """What may lie in the folder. `limit_bytes` is for one model, `store_limit_bytes` for all of them."""

    def __init__(
        self, folder: Path, limit_bytes: int, store_limit_bytes: int, disk: Callable[[Path], Disk] = disk_of
    ) -> None:
        self.limit_bytes = limit_bytes
        self.store_limit_bytes = store_limit_bytes
        self._folder = folder
        self._disk = disk
        self._promises: set[Promise] = set()

    @contextlib.contextmanager
    def promise(self) -> Iterator[Promise]:
        """A promise that holds for the time of the block."""
        promise = Promise()
        self._promises.add(promise)
        try:
            yield promise
        finally:
            self._promises.discard(promise)

    def check_size(self, size_bytes: int, what: str) -> None:
        """TooLarge, if no model may be of that size."""
        if size_bytes > self.limit_bytes:
            raise TooLarge(f"{what} is larger than {shown_size(self.limit_bytes)}, this orchestrator's models.limit_gb")

    def missing(self, size_bytes: int, stored_bytes: int) -> int:
        """How many of the `stored_bytes` would have to go for `size_bytes` to fit; 0 if they fit as it is."""
        return max(0, size_bytes - self._free(), size_bytes - self._left(stored_bytes))

    def refusal(self, size_bytes: int, stored_bytes: int) -> NoRoom:
        """The sentence for what doesn't fit."""
        needs = f"there is no room for this model: it needs {shown_size(size_bytes)}, and "
        advice = "; DELETE /api/models/NAME makes room"
        if size_bytes > self._free():
            return NoRoom(f"{needs}{shown_size(self._free())} can be taken from the orchestrator's disk{advice}")
        left, limit = shown_size(self._left(stored_bytes)), shown_size(self.store_limit_bytes)
        return NoRoom(f"{needs}{left} are left of {limit}, this orchestrator's models.store_limit_gb{advice}")

    def _free(self) -> int:
        """What may be taken from the disk."""
        disk = self._disk(self._folder)
        reserve = min(RESERVE_BYTES, int(disk.total_bytes * RESERVE_SHARE))
        return max(0, disk.free_bytes - reserve - self._outstanding())

    def _left(self, stored_bytes: int) -> int:
        return max(0, self.store_limit_bytes - stored_bytes - self._outstanding())

    def _outstanding(self) -> int:
        return sum(promise.outstanding_bytes for promise in self._promises)


def shown_size(size_bytes: int) -> str:
    """A size for people."""
    for unit, scale in (("GB", GB), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= scale:
            number = size_bytes / scale
            return f"{number:,.0f} {unit}" if number >= 1000 else f"{number:.3g} {unit}"
    return f"{size_bytes} bytes"
