"""What the REST API tells as it happens: the events of its stream. See `answers`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from daemons.core.answers import Campaign, Count, Job, Moment
from daemons.core.answers_fleet import Worker
from daemons.core.models import Progress

Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]


class Told(Struct, frozen=True, kw_only=True):
    """What every event says."""

    seq: Count
    """Its number. They rise without gaps within an epoch."""
    epoch: Epoch
    """The life of the database: a reset begins another one."""
    at: Moment
    """When it happened."""


class WorkerEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="worker"):
    """A device is new or has changed."""

    state: Worker


class RemovedWorkerState(Struct, frozen=True, kw_only=True):
    """A device that is forgotten."""

    worker_id: str


class WorkerRemovedEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="worker_removed"):
    """A device was removed."""

    state: RemovedWorkerState


class JobEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="job"):
    """A job has changed.

    Where a campaign is accepted, opened again or cancelled as a whole, its own event tells for its waiting jobs.
    """

    state: Job


class ProgressState(Struct, frozen=True, kw_only=True):
    """How far an attempt is."""

    job_id: str
    campaign_id: str
    worker_id: str
    attempt: Count
    progress: Progress


class ProgressEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="progress"):
    """An attempt has come further."""

    state: ProgressState


class CampaignEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="campaign"):
    """A campaign is new or has changed."""

    state: Campaign


class RemovedCampaignState(Struct, frozen=True, kw_only=True):
    """A campaign that is forgotten, with its jobs."""

    campaign_id: str


class CampaignRemovedEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="campaign_removed"):
    """A campaign was forgotten."""

    state: RemovedCampaignState


class NoState(Struct, frozen=True, kw_only=True):
    """There is nothing to say."""


class ResetEvent(Told, frozen=True, kw_only=True, tag_field="type", tag="reset"):
    """Everything was cleared: there are no devices, campaigns and jobs. It has the new epoch, and 0 as its `seq`."""

    state: NoState


class Said(Struct, frozen=True, kw_only=True):
    """What the stream says of itself."""

    seq: Count
    """That of the last event before."""
    epoch: Epoch
    at: None


class ReadyEvent(Said, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """Whatever happens after this will be told."""

    state: NoState


class Reason(Struct, frozen=True, kw_only=True):
    """Why."""

    reason: str


class ResyncEvent(Said, frozen=True, kw_only=True, tag_field="type", tag="resync"):
    """Something is missing here: fetch again what you know. What follows is newer than this."""

    state: Reason


AnyEvent = (
    WorkerEvent
    | WorkerRemovedEvent
    | JobEvent
    | ProgressEvent
    | CampaignEvent
    | CampaignRemovedEvent
    | ResetEvent
    | ReadyEvent
    | ResyncEvent
)
