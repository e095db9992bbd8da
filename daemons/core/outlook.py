"""What is to be expected of jobs before they run: which can run now, which wait for what, how long they may take. Pure.

The estimate is simple list scheduling: each job takes as long as attempts on its unit with its model have taken lately,
and goes to whichever device that could take it is free first; those that fewest devices could take go first, long ones
before short ones. The devices are those that take jobs now. What waits before these jobs is not counted, nor that a job
may ask for more runs than the earlier ones did.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from daemons.core.models import JobSpec
from daemons.core.targeting import Device
from daemons.core.urls import model_file_name

MAX_NOTES: Final = 20


class Target(NamedTuple):
    """Who may take a job: one device, or any that has the unit and the tags."""

    unit: str
    worker_id: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What such a device offers, in words."""
        return f"{self.unit} and has the tags {', '.join(self.tags)}" if self.tags else self.unit


class Kind(NamedTuple):
    """Jobs that take about equally long: on the same unit, with the same model."""

    unit: str
    model_url: str


class Waiting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Jobs that nobody can take now."""

    compute_unit: str
    worker_id: str | None = None
    """The device that they are for alone."""
    tags: list[str] = []
    jobs: int
    """How many they are."""
    why: str


class Outlook(NamedTuple):
    """What is to be expected of some jobs."""

    runnable_now: int
    """So many could be taken now, each by at least one device, at once or after what that has to do."""
    waiting: list[Waiting]
    warnings: list[str]
    """Every reason to expect that a job waits or fails, once."""
    estimate_s: float | None
    """Seconds until those that can run now have run; None if none can, or one is of a kind that has no history."""
    notes: list[str]
    """What the estimate leaves out, or why there is none."""


Groups = Mapping[tuple[Target, Kind], int]
"""How many jobs there are of each."""


def groups_of(jobs: Iterable[JobSpec], model_url: str) -> Counter[tuple[Target, Kind]]:
    """The jobs of a campaign about `model_url`, counted by who may take them and what they do."""
    counts: Counter[tuple[Target, Kind]] = Counter()
    for job in jobs:
        unit = job.compute_unit or ""
        target = Target(unit, job.worker_id, tuple(job.tags))
        counts[target, Kind(unit, job.model_url or model_url)] += 1
    return counts


def outlook(groups: Groups, fleet: Sequence[Device], durations: Mapping[Kind, float]) -> Outlook:
    """What is to be expected of these jobs in this fleet. `durations` are seconds an attempt has taken lately."""
    live = {device.worker_id: device for device in fleet if device.takes_jobs}
    able = {target: _able(target, live) for target in {target for target, _ in groups}}
    totals: Counter[Target] = Counter()
    for (target, _), count in groups.items():
        totals[target] += count
    waiting = [_waiting(target, count) for target, count in totals.items() if not able[target]]
    lacking = [
        f"worker {target.worker_id} doesn't offer {target.unit}; it will report its jobs as failed"
        for target in totals
        if _lacks_unit(target, able[target])
    ]
    runnable = {group: count for group, count in groups.items() if able[group[0]]}
    estimate_s, notes = _estimate(runnable, able, durations)
    if waiting:
        notes.append(f"jobs that wait for a device are not counted: {sum(one.jobs for one in waiting):,}")
    return Outlook(
        runnable_now=sum(runnable.values()),
        waiting=waiting,
        warnings=sorted({*(one.why for one in waiting), *lacking}),
        estimate_s=estimate_s,
        notes=notes,
    )


def _able(target: Target, live: Mapping[str, Device]) -> list[Device]:
    """The devices that would take such a job. One that is meant alone takes it in any case."""
    if target.worker_id is not None:
        return [live[target.worker_id]] if target.worker_id in live else []
    return [device for device in live.values() if device.fits(target.unit, target.tags)]


def _lacks_unit(target: Target, able: Sequence[Device]) -> bool:
    return target.worker_id is not None and any(target.unit not in device.units for device in able)


def _waiting(target: Target, count: int) -> Waiting:
    if target.worker_id is not None:
        why = f"worker {target.worker_id} is away; its jobs wait for it"
    else:
        why = f"no live device offers {target.words}; jobs for it wait until one does"
    return Waiting(compute_unit=target.unit, worker_id=target.worker_id, tags=list(target.tags), jobs=count, why=why)


def _estimate(
    groups: Groups, able: Mapping[Target, Sequence[Device]], durations: Mapping[Kind, float]
) -> tuple[float | None, list[str]]:
    unknown = dict.fromkeys(kind for _, kind in groups if kind not in durations)
    if unknown:
        return None, list(_no_history(list(unknown)))
    work: dict[Target, list[tuple[float, int]]] = {}
    for (target, kind), count in groups.items():
        work.setdefault(target, []).append((durations[kind], count))
    ends: dict[str, float] = {}
    for target in sorted(work, key=lambda one: len(able[one])):
        _schedule(sorted(work[target], reverse=True), able[target], ends)
    return (round(max(ends.values()), 1) if ends else None), []


def _schedule(work: Iterable[tuple[float, int]], able: Sequence[Device], ends: dict[str, float]) -> None:
    """Give each job to the device that is free first; `ends` says when each is, and is changed."""
    free = [(ends.get(device.worker_id, 0.0), device.worker_id) for device in able]
    heapq.heapify(free)
    for duration_s, count in work:
        for _ in range(count):
            end, worker_id = free[0]
            heapq.heapreplace(free, (end + duration_s, worker_id))
    ends |= {worker_id: end for end, worker_id in free}


def _no_history(kinds: Sequence[Kind]) -> Iterator[str]:
    for kind in kinds[:MAX_NOTES]:
        yield f"nothing is known yet of how long {model_file_name(kind.model_url)} takes on {kind.unit}"
    if len(kinds) > MAX_NOTES:
        yield f"nor of {len(kinds) - MAX_NOTES:,} more"
