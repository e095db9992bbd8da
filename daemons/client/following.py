"""A campaign followed to its end: snapshots and events put together, each change told once.

The stream is opened first, and the snapshot is taken when it stands: so nothing falls in between. What both tell is
told once, by its version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from daemons.client.connection import Document
from daemons.core.errors import NotFound
from daemons.core.events import Event, EventType
from daemons.core.lifecycle import CampaignStatus

if TYPE_CHECKING:
    from daemons.client.client import Client

POLL_S: Final = 1.0
"""Where the orchestrator has no stream of events, it is asked so often."""

_TYPES: Final = (EventType.CAMPAIGN, EventType.CAMPAIGN_REMOVED)
_TYPES_WITH_JOBS: Final = (*_TYPES, EventType.JOB, EventType.PROGRESS)


class _NoStream(Exception):
    """The orchestrator has no stream of events."""


class _Jobs(Enum):
    """When a snapshot of a campaign includes its jobs."""

    NEVER = auto()
    ALWAYS = auto()
    IF_CHANGED = auto()


class Following:
    """One way through the life of a campaign."""

    def __init__(self, client: Client, campaign_id: str, *, with_jobs: bool) -> None:
        self._client = client
        self._campaign_id = campaign_id
        self._with_jobs = with_jobs
        self._epoch = ""
        self._told: dict[str, tuple[int, str]] = {}
        """Version and status of what was told last, by identifier: a status may change without a version."""
        self._has_ended = False

    async def events(self) -> AsyncGenerator[Event]:
        """See `daemons.client.campaign.Campaign.follow`."""
        try:
            async with aclosing(self._streamed()) as changes:
                async for event in changes:
                    yield event
        except _NoStream:
            async with aclosing(self._polled()) as changes:
                async for event in changes:
                    yield event

    async def _streamed(self) -> AsyncGenerator[Event]:
        async for event in self._snapshot(_Jobs.NEVER):  # at once, for whoever waits for a first sign
            yield event
        if self._is_over():
            return
        is_whole = False
        async with aclosing(self._stream()) as stream:
            async for event in stream:
                self._epoch = event.epoch
                if event.type == EventType.READY and is_whole:
                    continue
                is_change = event.type not in (EventType.READY, EventType.RESYNC)
                is_whole = True
                async for told in self._take(event) if is_change else self._snapshot(_Jobs.ALWAYS):
                    yield told
                if self._is_over():
                    return

    async def _stream(self) -> AsyncGenerator[Event]:
        types = _TYPES_WITH_JOBS if self._with_jobs else _TYPES
        stream = self._client.events(campaign_id=self._campaign_id, types=types)
        async with aclosing(stream):
            while True:
                try:
                    event = await anext(stream)
                except NotFound as error:
                    raise _NoStream from error
                yield event

    async def _polled(self) -> AsyncGenerator[Event]:
        jobs = _Jobs.ALWAYS
        while not self._is_over():
            async for event in self._snapshot(jobs):
                yield event
            jobs = _Jobs.IF_CHANGED
            if not self._is_over():
                await asyncio.sleep(POLL_S)

    async def _take(self, event: Event) -> AsyncGenerator[Event]:
        """What an event of the stream tells that has not been told."""
        match event.type:
            case EventType.CAMPAIGN:
                async for told in self._campaign_changed(event):
                    yield told
            case EventType.JOB:
                if self._is_new(event.state["job_id"], event.state):
                    yield event
            case EventType.PROGRESS:
                yield event
            case EventType.RESET | EventType.CAMPAIGN_REMOVED:
                await self._client.campaign(self._campaign_id)  # says itself that the campaign is gone

    async def _snapshot(self, jobs: _Jobs) -> AsyncGenerator[Event]:
        """What of the campaign and its jobs has not been told. At its end, all of them are told."""
        document = await self._client.campaign(self._campaign_id)
        event = self._event(EventType.CAMPAIGN, document)
        is_new, is_final = self._is_new(self._campaign_id, document), CampaignStatus(document["status"]).is_final
        if is_new and not is_final:
            yield event
        if is_final or jobs is _Jobs.ALWAYS or (is_new and jobs is _Jobs.IF_CHANGED):
            async for told in self._jobs():
                yield told
        if is_final:
            self._has_ended = True
            yield event

    async def _campaign_changed(self, event: Event) -> AsyncGenerator[Event]:
        if not self._is_new(self._campaign_id, event.state):
            return
        if CampaignStatus(event.state["status"]).is_final:
            self._has_ended = True
            if event.state["job_breakdown"]["cancelled"]:  # waiting jobs are cancelled without events of their own
                async for told in self._jobs():
                    yield told
        yield event

    def _is_over(self) -> bool:
        return self._has_ended

    async def _jobs(self) -> AsyncGenerator[Event]:
        """The jobs' states that have not been told."""
        cursor: str | None = None
        while self._with_jobs:
            try:
                page = await self._client.jobs(campaign_id=self._campaign_id, cursor=cursor)
            except NotFound:  # it has ended and was deleted since
                return
            for job in page["jobs"]:
                if self._is_new(job["job_id"], job):
                    yield self._event(EventType.JOB, job)
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def _is_new(self, identifier: str, state: Document) -> bool:
        version, status = int(state["version"]), str(state["status"])
        before = self._told.get(identifier)
        if before is not None and (version < before[0] or (version, status) == before):
            return False
        self._told[identifier] = (version, status)
        return True

    def _event(self, kind: EventType, state: Document) -> Event:
        return Event(type=kind, seq=state["version"], epoch=self._epoch, at=None, state=state)
