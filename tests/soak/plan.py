"""Which faults come when: drawn from a seed, the same for the same seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What is done to whom."""

    KILL_WORKER = "kill worker"
    STOP_WORKER = "stop worker"
    TERMINATE_WORKER = "terminate worker"
    KILL_CHILD = "kill measuring process"
    STOP_CHILD = "stop measuring process"
    KILL_ORCHESTRATOR = "kill orchestrator"
    STOP_ORCHESTRATOR = "stop orchestrator"
    TERMINATE_ORCHESTRATOR = "terminate orchestrator"
    KILL_SERVER = "kill Valkey"
    STOP_SERVER = "stop Valkey"
    LOSE_POWER = "power loss of Valkey"
    CUT_CONNECTIONS = "cut all connections"
    CANCEL_CAMPAIGN = "cancel campaign"
    CANCEL_JOB = "cancel job"
    DRAIN_WORKER = "drain worker"
    RETRY_CAMPAIGN = "retry campaign"


WEIGHTS: Final[Mapping[Kind, int]] = {
    Kind.KILL_WORKER: 12,
    Kind.STOP_WORKER: 14,
    Kind.TERMINATE_WORKER: 6,
    Kind.KILL_CHILD: 10,
    Kind.STOP_CHILD: 5,
    Kind.KILL_ORCHESTRATOR: 6,
    Kind.STOP_ORCHESTRATOR: 4,
    Kind.TERMINATE_ORCHESTRATOR: 2,
    Kind.KILL_SERVER: 7,
    Kind.STOP_SERVER: 4,
    Kind.LOSE_POWER: 2,
    Kind.CUT_CONNECTIONS: 5,
    Kind.CANCEL_CAMPAIGN: 4,
    Kind.CANCEL_JOB: 4,
    Kind.DRAIN_WORKER: 4,
    Kind.RETRY_CAMPAIGN: 4,
}

SHORTEST_HOLD_S: Final = 0.2
LONGEST_HOLD_S: Final = 2.5
"""What is stopped goes on after so long: well within a worker's lease of one second, or well beyond it."""


class Fault(NamedTuple):
    """One fault. `pick`, in [0, 1), chooses among those that it can hit then."""

    at_s: float
    kind: Kind
    pick: float
    hold_s: float


def make_plan(seed: int, gap_s: float, weights: Mapping[Kind, int] = WEIGHTS) -> Iterator[Fault]:
    """Faults without end, `gap_s` apart on average, in the order of their times."""
    generator = random.Random(seed)
    kinds, shares, at_s = list(weights), list(weights.values()), 0.0
    while True:
        at_s += generator.expovariate(1 / gap_s)
        (kind,) = generator.choices(kinds, shares)
        yield Fault(at_s, kind, generator.random(), generator.uniform(SHORTEST_HOLD_S, LONGEST_HOLD_S))
