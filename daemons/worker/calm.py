"""Waiting for a device to be fit to measure: rested since its last measurement, and left alone by others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import psutil
import structlog

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.5
CALM_LOOKS: Final = 3
"""So many looks in a row must find the processor free."""
BUSY_SHARE: Final = 0.1


def busy_share() -> float:
    """Share of the processor time of all cores that was used since the last look."""
    return psutil.cpu_percent(interval=None) / 100


class Calm:
    """Waits before a measurement, within the limits of the worker's settings; both waits may be 0."""

    def __init__(self, wait_for_calm_s: float, cool_down_s: float, busy: Callable[[], float] = busy_share) -> None:
        self._wait_for_calm_s = wait_for_calm_s
        self._cool_down_s = cool_down_s
        self._busy = busy
        self._measured_at: float | None = None

    def note_end(self) -> None:
        """A measurement has ended now."""
        self._measured_at = asyncio.get_running_loop().time()

    async def settle(self) -> bool:
        """Rest, then wait until the processor is free; False if it was not so within the limit."""
        if self._measured_at is not None:
            rested_s = asyncio.get_running_loop().time() - self._measured_at
            await asyncio.sleep(max(0.0, self._cool_down_s - rested_s))
        if self._wait_for_calm_s == 0:
            return True
        try:
            async with asyncio.timeout(self._wait_for_calm_s):
                await self._until_calm()
        except TimeoutError:
            log.info("device was not calm in time", waited_s=self._wait_for_calm_s)
            return False
        return True

    async def _until_calm(self) -> None:
        self._busy()
        free = 0
        while free < CALM_LOOKS:
            await asyncio.sleep(LOOK_EVERY_S)
            free = free + 1 if self._busy() < BUSY_SHARE else 0
