"""How long a transfer is tried again: until nothing new has come for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from daemons.transfer.download import Unreachable
from daemons.transfer.partial import Partial

T = TypeVar("T")

RETRY_WINDOW_S: Final = 10.0
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 10.0


async def persistently(attempt: Callable[[], Awaitable[T]], partial: Partial, window_s: float) -> T:
    """What `attempt` returns, tried again while it is Unreachable, until `partial` has not grown for `window_s`."""
    clock = asyncio.get_running_loop().time
    delay_s, failed_at, tries, most_bytes = FIRST_DELAY_S, None, 0, partial.size_bytes
    while True:
        try:
            return await attempt()
        except Unreachable as error:
            tries += 1
            if failed_at is None or partial.size_bytes > most_bytes:
                failed_at, delay_s = clock(), FIRST_DELAY_S
            most_bytes = max(most_bytes, partial.size_bytes)
            if clock() + delay_s > failed_at + window_s:
                raise Unreachable(f"{error} (tried {tries} times)" if tries > 1 else str(error)) from error
        await asyncio.sleep(delay_s)
        delay_s = min(LONGEST_DELAY_S, 2 * delay_s)
