"""When an attempt that was lost, or failed by the device's fault, is tried again."""

from __future__ import annotations

import random
from typing import Any, Final

from msgspec import Struct

from daemons.core.settings import FleetSettings

JITTER: Final = (0.5, 1.5)
"""Spreads retries, so that what was lost together does not come back together."""

MAX_DELAY_S: Final = 3600.0


class RetryPolicy(Struct, frozen=True):
    """After the n-th time a job waits ``delay_s · 2^(n-1)``, jittered.

    It has failed after `max_losses` lost attempts, or `max_device_failures` that its devices failed in. A device that
    failed `max_in_a_row` times in a row is set aside.
    """

    delay_s: float = 10.0
    max_losses: int = 3
    max_device_failures: int = 5
    max_in_a_row: int = 3

    def draw(self, generator: random.Random | None = None) -> dict[str, Any]:
        """The policy as one step in the store takes it: a delay in milliseconds for each time, and the limits."""
        pick, times = (generator or random).uniform, max(self.max_losses, self.max_device_failures)
        delays = [min(self.delay_s * 2**time, MAX_DELAY_S) * pick(*JITTER) for time in range(times)]
        return {
            "delay_ms": [round(delay * 1000) for delay in delays],
            "max_losses": self.max_losses,
            "max_device_failures": self.max_device_failures,
            "max_in_a_row": self.max_in_a_row,
        }


def policy_of(fleet: FleetSettings) -> RetryPolicy:
    """The policy that is configured."""
    return RetryPolicy(
        fleet.retry_delay_s, fleet.max_lost_attempts, fleet.max_device_failures, fleet.failures_until_set_aside
    )
