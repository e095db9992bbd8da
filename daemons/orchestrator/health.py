"""Whether this orchestrator and the fleet's duties are well, and what is wrong if not. What was read is passed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from daemons.store.duties import FleetFacts

HEALTHY: Final = "healthy"
DEGRADED: Final = "degraded"
"""It serves, and something wants a person."""
UNHEALTHY: Final = "unhealthy"
"""It can't do its work."""

LATE_S: Final = 30.0
"""A duty that was not done for so long, beyond its own interval, is late."""
WAITS_LONG_S: Final = 60.0
"""So long a result may wait for its file."""


class Replica(NamedTuple):
    """What this process knows of itself."""

    is_holder: bool
    duties: Mapping[str, float]
    """Every duty's name, and how often it is to be done, in seconds."""
    uptime_s: float
    mark: str
    """Of the folder that its results go to, a stroke, and of that with its models; each empty if it is not known."""


class Problem(NamedTuple):
    """Something that is wrong."""

    text: str
    is_grave: bool = False
    """Whether this replica can't do its work."""


def judge(redis: Mapping[str, Any], fleet: FleetFacts, me: Replica) -> tuple[str, list[str]]:
    """``healthy``, ``degraded`` or ``unhealthy``, and every problem in a sentence."""
    found = [*_durability(redis), *_late_duties(fleet, me), *_results(fleet), *_folders(fleet, me)]
    texts = [problem.text for problem in found] + sorted(fleet.problems.values())
    if any(problem.is_grave for problem in found):
        return UNHEALTHY, texts
    return (DEGRADED if texts else HEALTHY), texts


def _durability(redis: Mapping[str, Any]) -> Iterator[Problem]:
    if not redis["append_only"]:
        yield Problem("Redis keeps no append-only file: what was acknowledged is lost if it ends; set appendonly yes")
    elif redis["append_fsync"] not in (None, "always"):
        yield Problem(
            f"Redis syncs its append-only file {redis['append_fsync']}: a power loss takes what was acknowledged since "
            "then; set appendfsync always"
        )
    if redis["append_only_error"]:
        yield Problem("Redis can't write its append-only file; its log says why, and a full disk is the usual reason")
    if redis["may_evict"]:
        yield Problem("Redis throws keys away when its memory is full: set maxmemory-policy noeviction")


def _late_duties(fleet: FleetFacts, me: Replica) -> Iterator[Problem]:
    for name, every_s in me.duties.items():
        done_ms = fleet.duties.get(name)
        since_s = me.uptime_s if done_ms is None else min(done_ms / 1000, me.uptime_s)
        if since_s > every_s + LATE_S:
            holder = fleet.holder or "nobody"
            text = f"the duty {name} was not done for {since_s:.0f} s; {holder} holds the lease of the duties"
            yield Problem(text, is_grave=me.is_holder or fleet.holder is None)


def _results(fleet: FleetFacts) -> Iterator[Problem]:
    waits_s = (fleet.oldest_result_ms or 0.0) / 1000
    if waits_s > WAITS_LONG_S and "writer" not in fleet.problems and "writer" in fleet.duties:
        yield Problem(f"the oldest result has waited for its file for {waits_s:.0f} s")
    if fleet.undelivered:
        yield Problem(
            f"{fleet.undelivered} results are kept on devices because they were refused; the workers' logs say why"
        )


def _folders(fleet: FleetFacts, me: Replica) -> Iterator[Problem]:
    """Whether this orchestrator has the folders of the one that does the duties."""
    my_outputs, _, my_models = me.mark.partition("/")
    outputs, _, models = (fleet.outputs or "").partition("/")
    if my_outputs and outputs and my_outputs != outputs:
        yield Problem(
            "results are written to another folder than this orchestrator reads from: give all orchestrators of the "
            "fleet the same storage.outputs_dir"
        )
    if my_models and models and my_models != models:
        yield Problem(
            "models are kept in another folder than this orchestrator's: give all orchestrators of the fleet the same "
            "storage.data_dir, on a disk that they share"
        )
