"""When Python looks for garbage: not while somebody presses keys.

A full collection over 10,000 devices takes some tenths of a second, in which no key is answered. So it waits for an
idle moment; in between only the youngest objects are looked at, which is quick.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

YOUNG_EVERY_S: Final = 0.1
FULL_EVERY_S: Final = 300.0
IDLE_S: Final = 30.0


async def tidy(idle_s: Callable[[], float]) -> None:
    """Collect in place of Python, until cancelled. `idle_s` tells how long ago a key was pressed."""
    gc.disable()
    try:
        while True:
            await _until_idle(idle_s)
            gc.collect()
    finally:
        gc.enable()


async def _until_idle(idle_s: Callable[[], float]) -> None:
    waited_s = 0.0
    while waited_s < FULL_EVERY_S or idle_s() < IDLE_S:
        await asyncio.sleep(YOUNG_EVERY_S)
        waited_s += YOUNG_EVERY_S
        gc.collect(0)
