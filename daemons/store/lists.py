"""Pages of campaigns, jobs, results and devices. What a page costs is bounded, whatever there is or is wanted.

A page that was given up early is short and has a cursor all the same: who asks goes on until there is none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from daemons.core.errors import NotFound
from daemons.core.health import HEALTH
from daemons.core.lifecycle import JobStatus
from daemons.core.models import JobSpec, Row
from daemons.core.views import BENCHMARK, campaign_view, job_view, result_row, worker_view
from daemons.store.keys import check_campaign_id, job_id_at
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

State = dict[str, str]

LOOKS: Final = 5000
"""So many campaigns and jobs are looked at for a page."""

PORTION: Final = 500
"""So many are read at a time: other requests are answered in between."""

ALL: Final = "all"

_LISTS: Final = {
    BENCHMARK: ("campaigns",),
    HEALTH: ("checkup_campaigns",),
    ALL: ("campaigns", "checkup_campaigns"),
}


_ENDED: Final = tuple(status.value for status in JobStatus if status.is_final)


class Page(NamedTuple):
    """What was found, and where to go on; None if that is all."""

    items: list[dict[str, Any]]
    cursor: str | None


class Place(NamedTuple):
    """A job: its campaign's number, and its position in it."""

    campaign: int
    position: int

    def __str__(self) -> str:
        return f"{self.campaign}-{self.position}"


def place_of(cursor: str) -> Place:
    """The place that `str` has made a cursor of."""
    campaign, _, position = cursor.partition("-")
    return Place(int(campaign), int(position))


class CampaignFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which campaigns are wanted."""

    kind: str = BENCHMARK
    """What people submit, checkups of devices (`health`), or ``all``."""
    status: str | None = None
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    """Keys and values, all of which the campaign has."""

    def takes(self, campaign: State) -> bool:
        """Whether the campaign is wanted."""
        return (
            self.status in (None, campaign["status"])
            and self.name in (None, campaign.get("name"))
            and self._takes_labels(campaign.get("labels"))
        )

    def _takes_labels(self, labels: str | None) -> bool:
        if not self.labels:
            return True
        known = msgspec.json.decode(labels or "{}")
        return all(known.get(key) == value for key, value in self.labels)


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are wanted."""

    kind: str = BENCHMARK
    campaign_ids: tuple[str, ...] = ()
    """None: those of every campaign of the kind."""
    status: str | None = None
    worker_id: str | None = None
    """The device of the newest attempt, or the one that it is for alone."""
    compute_unit: str | None = None
    is_ended: bool = False
    """Those alone that have ended."""
    ended_since: int | None = None
    """Milliseconds: those alone that have ended at that time or later."""

    def takes_any_of(self, campaign: State) -> bool:
        """Whether a job of the campaign may be wanted; costs nothing."""
        possible = (self.status,) if self.status else _ENDED if self.is_ended else ()
        if possible and not any(int(campaign.get(status) or 0) for status in possible):
            return False
        ended = campaign.get("ended_at")
        return self.ended_since is None or ended is None or int(ended) >= self.ended_since

    def takes(self, state: State, spec: JobSpec) -> bool:
        """Whether the job is wanted."""
        ended = state.get("ended_at")
        return (
            self.status in (None, state["status"])
            and (not self.is_ended or state["status"] in _ENDED)
            and self.compute_unit in (None, spec.compute_unit)
            and self.worker_id in (None, state.get("worker_id"), spec.worker_id)
            and (self.ended_since is None or (ended is not None and int(ended) >= self.ended_since))
        )


def ended_jobs_of(campaign_id: str) -> JobFilter:
    """Those of one campaign that have ended."""
    return JobFilter(campaign_ids=(campaign_id,), is_ended=True)


class Portion(NamedTuple):
    """Jobs that follow each other in a campaign, as they were found; and the place after them."""

    campaign: State
    jobs: list[tuple[Place, State, JobSpec]]
    end: Place
    is_torn: bool = False
    """Some of them are not there any more."""


def number_of(campaign_id: str) -> int:
    """What campaigns are ordered by."""
    return int(campaign_id.partition("-")[2])


class Lists:
    """Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = prefix

    async def campaigns(self, wanted: CampaignFilter, limit: int, before: int | None = None) -> Page:
        """Campaigns, the newest first; `before` is a cursor."""
        found: list[dict[str, Any]] = []
        looks = 0
        async for campaign in self._newest(wanted.kind, before, min(limit + 1, PORTION)):
            if wanted.takes(campaign):
                if len(found) == limit:
                    return Page(found, str(number_of(found[-1]["campaign_id"])))
                found.append(campaign_view(campaign))
            looks += 1
            if looks >= LOOKS:
                return Page(found, str(number_of(campaign["campaign_id"])))
        return Page(found, None)

    async def jobs(self, wanted: JobFilter, limit: int, start: Place | None = None) -> Page:
        """Jobs, of the newest campaign first, in their order within each; `start` is a cursor.

        Raises NotFound if a campaign that is wanted isn't there.
        """
        return await self._page(wanted, limit, start, _viewed)

    async def results(self, wanted: JobFilter, limit: int, start: Place | None = None) -> Page:
        """The rows of jobs that have ended, in the same order."""
        return await self._page(wanted, limit, start, _row)

    async def rows(self, wanted: JobFilter, start: Place | None = None) -> AsyncIterator[list[Row]]:
        """All rows of jobs that have ended, in portions; or NotFound, also if a campaign goes while it is read."""
        begun = None
        async for portion in self._portions(wanted, start, PORTION):
            if portion.is_torn and (wanted.campaign_ids or begun == portion.end.campaign):
                raise NotFound(f"campaign-{portion.end.campaign} was removed while it was read")
            if not portion.is_torn:
                begun = portion.end.campaign
                yield [_row(portion.campaign, *job) for job in portion.jobs if wanted.takes(*job[1:])]

    async def workers(
        self,
        limit: int,
        *,
        status: str | None = None,
        compute_unit: str | None = None,
        tags: Sequence[str] = (),
        after: str | None = None,
    ) -> Page:
        """Devices, the oldest first, that have all the `tags`; `after` is a cursor."""
        told = after.split("-", 1) if after else None
        answer = await self._scripts.run(
            "list_workers", limit=limit, status=status, compute_unit=compute_unit, tags=tags, after=told
        )
        listed = list(answer["workers"])
        identifiers = [worker_id for _, worker_id in listed[:limit]]
        found: list[dict[str, Any]] = []
        for start in range(0, len(identifiers), PORTION):
            keys = [f"{self._prefix}worker:{worker_id}" for worker_id in identifiers[start : start + PORTION]]
            found.extend(worker_view(state) for state in await self._hashes(keys) if state)
        return Page(found, "-".join(listed[limit - 1]) if len(listed) > limit else None)

    async def _page(self, wanted: JobFilter, limit: int, start: Place | None, show: Any) -> Page:
        found: list[dict[str, Any]] = []
        looks = 0
        async for portion in self._portions(wanted, start, min(limit + 1, PORTION)):
            for job in portion.jobs:
                if wanted.takes(*job[1:]):
                    if len(found) == limit:
                        return Page(found, str(job[0]))
                    found.append(show(portion.campaign, *job))
            looks += 1 + len(portion.jobs)
            if looks >= LOOKS:
                return Page(found, str(portion.end))
        return Page(found, None)

    async def _portions(self, wanted: JobFilter, start: Place | None, size: int) -> AsyncIterator[Portion]:
        """The jobs among which the wanted ones are; a campaign that has none is there with no jobs."""
        async for campaign in self._campaigns_of(wanted, start):
            number, total = number_of(campaign["campaign_id"]), int(campaign["total"])
            position = start.position if start and start.campaign == number else 0
            if not wanted.takes_any_of(campaign):
                position = total
            while position < total:
                end = min(position + size, total)
                jobs = await self._jobs(campaign, range(position, end))
                yield Portion(campaign, jobs, Place(number, end), is_torn=len(jobs) < end - position)
                position = end
            yield Portion(campaign, [], Place(number, total))

    async def _campaigns_of(self, wanted: JobFilter, start: Place | None) -> AsyncIterator[State]:
        if not wanted.campaign_ids:
            async for campaign in self._newest(wanted.kind, start.campaign + 1 if start else None, PORTION):
                yield campaign
            return
        for campaign_id in sorted({*map(check_campaign_id, wanted.campaign_ids)}, key=number_of, reverse=True):
            if start is None or number_of(campaign_id) <= start.campaign:
                (state,) = await self._hashes([f"{self._prefix}campaign:{campaign_id}"])
                if not state:
                    raise NotFound(f"there is no campaign {campaign_id}; GET /api/campaigns lists them")
                yield state

    async def _newest(self, kind: str, before: int | None, size: int) -> AsyncIterator[State]:
        """Campaigns with numbers below `before`, the newest first, read in portions."""
        while True:
            identifiers = await self._identifiers(kind, before, size)
            for state in await self._hashes([f"{self._prefix}campaign:{one}" for one in identifiers]):
                if state:
                    yield state
            if len(identifiers) < size:
                return
            before = number_of(identifiers[-1])

    async def _identifiers(self, kind: str, before: int | None, size: int) -> list[str]:
        highest = "+inf" if before is None else f"({before}"
        found: list[str] = []
        with translated_errors():
            for listed in _LISTS[kind]:
                page: Any = await self._redis.zrange(
                    self._prefix + listed, highest, "-inf", desc=True, byscore=True, offset=0, num=size
                )
                found.extend(page)
        return sorted(found, key=number_of, reverse=True)[:size]

    async def _jobs(self, campaign: State, positions: range) -> list[tuple[Place, State, JobSpec]]:
        campaign_id = campaign["campaign_id"]
        keys = [f"{self._prefix}job:{job_id_at(campaign_id, position)}" for position in positions]
        states = [
            (position, state) for position, state in zip(positions, await self._hashes(keys), strict=True) if state
        ]
        specs = await self._specs(campaign_id, sorted({state["spec"] for _, state in states}))
        number = number_of(campaign_id)
        return [
            (Place(number, position), state, specs[state["spec"]])
            for position, state in states
            if state["spec"] in specs  # a campaign may be removed while it is read
        ]

    async def _specs(self, campaign_id: str, wanted: list[str]) -> dict[str, JobSpec]:
        if not wanted:
            return {}
        with translated_errors():
            texts: Any = await self._redis.hmget(f"{self._prefix}campaign:{campaign_id}:specs", wanted)
        found = zip(wanted, texts, strict=True)
        return {index: msgspec.json.decode(text, type=JobSpec) for index, text in found if text is not None}

    async def _hashes(self, keys: list[str]) -> list[State]:
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(key)
            states: list[State] = await pipeline.execute()
        return states


def _viewed(campaign: State, place: Place, state: State, spec: JobSpec) -> dict[str, Any]:
    campaign_id = campaign["campaign_id"]
    kind = {"kind": campaign["kind"]} if "kind" in campaign else {}
    return job_view(job_id_at(campaign_id, place.position), campaign_id, state | kind, spec)


def _row(campaign: State, place: Place, state: State, spec: JobSpec) -> Row:
    row = result_row(job_id_at(campaign["campaign_id"], place.position), state, spec, campaign)
    assert row is not None  # noqa: S101 (a filter of results takes ended jobs alone)
    return row
