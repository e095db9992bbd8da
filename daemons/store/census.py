"""The whole fleet in numbers, counted at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemons.core.units import STANDARD_UNITS

if TYPE_CHECKING:
    from daemons.store.lua import Scripts


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in one kind of queue."""

    waiting: int = 0
    oldest_ms: float | None = None
    """Since the campaign of the one that waits longest was accepted; None if nothing waits."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of what."""

    devices: dict[str, int]
    """By status."""
    drained: int
    units: dict[str, Waiting]
    """Jobs for any device, by compute unit, with whatever tags."""
    pinned: Waiting
    """Jobs for one device alone."""
    checkups: Waiting
    delayed: int
    running: int
    campaigns: int
    """Those that are running, checkups included."""

    @property
    def pending(self) -> int:
        """Jobs that wait, wherever they do."""
        return sum(queue.waiting for queue in (*self.units.values(), self.pinned, self.checkups)) + self.delayed


class Census:
    """Raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def take(self) -> Counts:
        """Count."""
        return msgspec.convert(await self._scripts.run("census", units=STANDARD_UNITS), Counts)
