"""Jobs per minute, by the times at which jobs ended."""

from __future__ import annotations

from typing import Final

SLOT_S: Final = 10
SLOTS: Final = 60
"""Ten minutes in all."""


class Tempo:
    """How many jobs ended in each of the last slots of time. Times are seconds since 1970, as the fleet tells them."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def count(self, at_s: float) -> None:
        """A job ended then."""
        slot = int(at_s // SLOT_S)
        self._counts[slot] = self._counts.get(slot, 0) + 1
        if len(self._counts) > 2 * SLOTS:
            newest = max(self._counts)
            self._counts = {known: n for known, n in self._counts.items() if known > newest - SLOTS}

    def per_minute(self, now_s: float) -> float:
        """Jobs that ended in the last full minute."""
        newest = int(now_s // SLOT_S)
        return float(sum(self._counts.get(newest - back, 0) for back in range(60 // SLOT_S)))

    def slots(self, now_s: float, count: int) -> list[int]:
        """How many ended in each of the last `count` slots, the oldest first."""
        newest = int(now_s // SLOT_S)
        return [self._counts.get(newest - back, 0) for back in range(count - 1, -1, -1)]
