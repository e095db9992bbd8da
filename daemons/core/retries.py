"""When a lost attempt is tried again."""

from __future__ import annotations

import random
from typing import Any, Final

from msgspec import Struct

JITTER: Final = (0.5, 1.5)
"""Spreads retries, so that what was lost together does not come back together."""

MAX_DELAY_S: Final = 3600.0


class RetryPolicy(Struct, frozen=True):
    """After the n-th loss a job waits ``delay_s · 2^(n-1)``, jittered; after `max_losses` it has failed."""

    delay_s: float = 10.0
    max_losses: int = 3

    def draw(self, generator: random.Random | None = None) -> dict[str, Any]:
        """The policy as one step in the store takes it: a delay in milliseconds for each loss, and the limit."""
        pick = (generator or random).uniform
        delays = [min(self.delay_s * 2**loss, MAX_DELAY_S) * pick(*JITTER) for loss in range(self.max_losses)]
        return {"delay_ms": [round(delay * 1000) for delay in delays], "max_losses": self.max_losses}
