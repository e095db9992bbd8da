"""What the REST API answers: devices, their health, and the queues that lead to them. See `answers`."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from daemons.core.answers import Count, Cursor, Judged, Moment, Snapshot
from daemons.core.lifecycle import WorkerStatus
from daemons.core.models import DeviceInfo, Progress


class Checkup(Struct, frozen=True, kw_only=True):
    """What a device's last checkup has shown."""

    checked_at: Moment | None
    passed: bool | None
    reason: str | None
    units: dict[str, Judged]
    """By compute unit."""
    open_checkup: str | None
    """The campaign of the checkup that is open."""


class Worker(Struct, frozen=True, kw_only=True):
    """A device."""

    worker_id: str
    device_name: str
    ip_address: str
    """As the device has told it; it may be empty."""
    capabilities: list[str]
    """Compute units, the preferred one first."""
    tags: list[str]
    """What jobs may ask a device to have."""
    device_info: DeviceInfo
    status: WorkerStatus
    faulty_reason: str | None
    drained: bool
    """It takes no more jobs until it is undrained."""
    drained_reason: str | None
    current_job: str | None
    progress: Progress | None
    """How far its current job is."""
    undelivered_results: Count
    """Results that the device keeps because they were refused."""
    health: Checkup
    jobs_complete: Count
    jobs_failed: Count
    registered_at: Moment
    last_heartbeat: Moment
    version: Count
    """Rises with every change; events about the device carry it, too."""


class WorkerList(Snapshot, frozen=True, kw_only=True):
    """Devices, the oldest first."""

    count: Count
    workers: list[Worker]
    next_cursor: Cursor | UnsetType = UNSET
    """There may be more: ask again with it as `cursor`."""


class WorkerHealth(Struct, frozen=True, kw_only=True):
    """Whether a device lives, and what its last checkup has shown."""

    worker_id: str
    device_name: str
    status: WorkerStatus
    is_healthy: bool
    """Neither faulty nor offline."""
    faulty_reason: str | None
    last_heartbeat: Moment | None
    seconds_since_heartbeat: Annotated[float, Meta(ge=0)] | None
    health: Checkup


class FleetHealth(Struct, frozen=True, kw_only=True):
    """Whether each device lives."""

    total: Count
    healthy: Count
    unhealthy: Count
    workers: list[WorkerHealth]


class WorkerState(Struct, frozen=True, kw_only=True):
    """A device's status after a change."""

    worker_id: str
    status: WorkerStatus


class RecoveredWorker(WorkerState, frozen=True, kw_only=True):
    """What the resetting of a faulty device has done."""

    message: str


class DrainedWorker(WorkerState, frozen=True, kw_only=True):
    """What draining or undraining has done."""

    drained: bool
    message: str


class StartedCheckup(Struct, frozen=True, kw_only=True):
    """A checkup that was started."""

    worker_id: str
    campaign_id: str
    total_jobs: Count
    message: str


class RemovedWorker(Struct, frozen=True, kw_only=True):
    """What the removing of a device has done."""

    worker_id: str
    removed: bool
    failed_jobs: Count
    """Jobs that waited for it alone."""
    message: str


Waited = Annotated[float, Meta(ge=0)]


class WorkerQueue(Struct, frozen=True, kw_only=True):
    """What waits for one device alone."""

    device_name: str
    queue_size: Count


class TaggedQueue(Struct, frozen=True, kw_only=True):
    """What waits for devices with a compute unit and tags."""

    compute_unit: str
    tags: list[str]
    queue_size: Count
    oldest_wait_s: Waited | None
    """How long ago its oldest job was submitted; null: nothing waits."""


class QueueStatus(Struct, frozen=True, kw_only=True):
    """How much waits where, all counted at one moment."""

    worker_queues: dict[str, WorkerQueue]
    """By `worker_id`."""
    capability_queues: dict[str, Count]
    """By compute unit, with whatever tags."""
    oldest_waits_s: dict[str, Waited]
    """How long ago the oldest job was submitted that waits there, where one does: by compute unit, of those without
    tags; and by `worker_id`."""
    tagged_queues: list[TaggedQueue]
    """What of that is for devices with tags alone."""
    results_queue_size: Count
    """Jobs that have ended and whose CSV file is not yet written."""
    waiting_for_retry: Count
    running: Count
