"""What has changed, as those see it who listen: made from what Redis publishes, the same for everybody.

Events are numbered without gaps within an epoch, and carry the whole new state of what changed, as the REST API would
show it. A listener takes a snapshot, which names its epoch and number, and then applies what is newer; where something
is missing in between it takes a snapshot again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from daemons.core.models import JobSpec
from daemons.core.views import campaign_view, iso_time, job_view, worker_view

State = dict[str, Any]

POSITION_PATTERN: Final = r"^[0-9a-f]{12}-[0-9]{1,15}$"


class EventType(StrEnum):
    """What an event tells of. The last two are said by a stream about itself: nothing has changed with them."""

    WORKER = "worker"
    WORKER_REMOVED = "worker_removed"
    JOB = "job"
    PROGRESS = "progress"
    CAMPAIGN = "campaign"
    CAMPAIGN_REMOVED = "campaign_removed"
    RESET = "reset"
    READY = "ready"
    RESYNC = "resync"


class Position(NamedTuple):
    """A place in the order of all events: the fleet's epoch, and the number of the last event before it."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


def position_of(text: str) -> Position:
    """The position that `str` has made a text of; ValueError for any other text."""
    if re.fullmatch(POSITION_PATTERN, text) is None:
        raise ValueError(f"an event's identifier is like 0123456789ab-42, and not {text[:60]!r}")
    epoch, _, seq = text.partition("-")
    return Position(epoch, int(seq))


class Event(Struct, frozen=True, kw_only=True):
    """Something that has happened."""

    type: str
    """One of `worker`, `worker_removed`, `job`, `progress`, `campaign`, `campaign_removed`, `reset`, `ready` and
    `resync`; a newer orchestrator may know more."""
    seq: int
    """Its number. `reset` has 0, and those that a stream says of itself have that of the last event before them."""
    epoch: str
    """The life of the database: a reset begins another one, in which numbers begin again."""
    at: str | None
    """When it happened, in ISO 8601 and UTC."""
    state: State
    """The whole new state of what changed."""

    @property
    def position(self) -> Position:
        """Where it stands among all events."""
        return Position(self.epoch, self.seq)

    @property
    def campaign_id(self) -> str | None:
        """The campaign that it is about, or to whose job it has happened."""
        return self.state.get("campaign_id")

    @property
    def worker_id(self) -> str | None:
        """The device that it is about, or that has, had or is to have the job to which it has happened."""
        options: State = self.state.get("options", {})
        return self.state.get("worker_id") or options.get("worker_id")


class EventFilter(NamedTuple):
    """Which events are wanted; what concerns everything is wanted always."""

    types: frozenset[str] = frozenset()
    """None: all."""
    campaign_id: str | None = None
    worker_id: str | None = None

    def takes(self, event: Event) -> bool:
        """Whether the event is wanted."""
        if event.type in _ALWAYS:
            return True
        return (
            (not self.types or event.type in self.types)
            and self.campaign_id in (None, event.campaign_id)
            and self.worker_id in (None, event.worker_id)
        )


_ALWAYS: Final = frozenset({EventType.RESET, EventType.READY, EventType.RESYNC})


def ready(position: Position) -> Event:
    """A stream has begun here: nothing that happens later is missing from it."""
    return Event(type=EventType.READY, seq=position.seq, epoch=position.epoch, at=None, state={})


def resync(position: Position, reason: str) -> Event:
    """Something is missing: what is known must be fetched again, and is whole with what happens after this."""
    return Event(type=EventType.RESYNC, seq=position.seq, epoch=position.epoch, at=None, state={"reason": reason})


def event_of(message: str | bytes | Mapping[str, Any]) -> Event:
    """The event that a message is about, which the store has published or kept, as JSON or decoded.

    A kind of event that is not known here has an empty state: nobody can say what of it may be shown.
    """
    told = msgspec.json.decode(message) if isinstance(message, str | bytes) else message
    make = _STATES.get(told["type"], _nothing)
    return Event(
        type=told["type"],
        seq=told["seq"],
        epoch=told["epoch"],
        at=iso_time(told["at"]),
        state=make(told.get("state") or {}),
    )


def _job(kept: Mapping[str, Any]) -> State:
    job_id = kept["job_id"]
    spec = msgspec.json.decode(kept["spec_json"], type=JobSpec)
    return job_view(job_id, _campaign_of(job_id), kept, spec)


def _progress(kept: Mapping[str, Any]) -> State:
    return {
        "job_id": kept["job_id"],
        "campaign_id": _campaign_of(kept["job_id"]),
        "worker_id": kept["worker_id"],
        "attempt": kept["attempt"],
        "progress": msgspec.json.decode(kept["progress"]),
    }


def _campaign_of(job_id: str) -> str:
    return job_id.rpartition("-job-")[0]


def _removed_worker(kept: Mapping[str, Any]) -> State:
    return {"worker_id": kept["worker_id"]}


def _removed_campaign(kept: Mapping[str, Any]) -> State:
    return {"campaign_id": kept["campaign_id"]}


def _nothing(_kept: Mapping[str, Any]) -> State:
    return {}


_STATES: Final[dict[str, Callable[[Mapping[str, Any]], State]]] = {
    EventType.WORKER: worker_view,
    EventType.WORKER_REMOVED: _removed_worker,
    EventType.JOB: _job,
    EventType.PROGRESS: _progress,
    EventType.CAMPAIGN: campaign_view,
    EventType.CAMPAIGN_REMOVED: _removed_campaign,
    EventType.RESET: _nothing,
}
