"""The same seed, the same faults."""

from __future__ import annotations

import itertools
from collections import Counter

from tests.soak.plan import LONGEST_HOLD_S, SHORTEST_HOLD_S, WEIGHTS, Kind, make_plan


def drawn(seed, count=2000, gap_s=0.5):
    return list(itertools.islice(make_plan(seed, gap_s), count))


def test_a_plan_is_its_seeds():
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_faults_come_in_order_of_every_kind_and_at_the_pace_asked_for():
    plan = drawn(3)
    times = [fault.at_s for fault in plan]
    assert times == sorted(times)
    assert 0.4 < times[-1] / len(plan) < 0.6
    assert Counter(fault.kind for fault in plan).keys() == set(Kind) == set(WEIGHTS)
    assert all(SHORTEST_HOLD_S <= fault.hold_s <= LONGEST_HOLD_S and 0 <= fault.pick < 1 for fault in plan)
