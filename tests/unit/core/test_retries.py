"""When an attempt that was lost, or failed by the device's fault, is tried again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from daemons.core.retries import JITTER, MAX_DELAY_S, RetryPolicy, policy_of
from daemons.core.settings import FleetSettings


class Middle(random.Random):
    def uniform(self, a, b):
        return (a + b) / 2


def test_each_loss_doubles_the_wait():
    drawn = RetryPolicy(delay_s=10.0, max_losses=4, max_device_failures=2, max_in_a_row=7).draw(Middle())
    assert drawn == {
        "delay_ms": [10_000, 20_000, 40_000, 80_000],
        "max_losses": 4,
        "max_device_failures": 2,
        "max_in_a_row": 7,
    }


@given(seed=st.integers(), delay_s=st.floats(0, 86_400), losses=st.integers(1, 100), failures=st.integers(1, 100))
def test_a_delay_is_jittered_and_never_beyond_the_longest(seed, delay_s, losses, failures):
    drawn = RetryPolicy(delay_s, losses, failures).draw(random.Random(seed))
    assert len(drawn["delay_ms"]) == max(losses, failures), "there is one for each time that either may come to"
    for loss, delay_ms in enumerate(drawn["delay_ms"]):
        plain = min(delay_s * 2**loss, MAX_DELAY_S) * 1000
        assert plain * JITTER[0] - 1 <= delay_ms <= plain * JITTER[1] + 1


def test_what_was_lost_together_does_not_come_back_together():
    policy = RetryPolicy(delay_s=10.0)
    assert len({policy.draw()["delay_ms"][0] for _ in range(20)}) > 1


def test_the_policy_is_what_is_configured():
    fleet = FleetSettings(retry_delay_s=1.5, max_lost_attempts=2, max_device_failures=7, failures_until_set_aside=4)
    assert policy_of(fleet) == RetryPolicy(1.5, 2, 7, 4)
