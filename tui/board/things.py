"""The things on the board, read from the API's documents: no more of each than is shown, for there may be 100,000.

What an older or a newer orchestrator doesn't tell has a default, so that a dashboard and a recording outlive versions.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from daemons.core.models import DeviceInfo, Progress

BENCHMARK: Final = "benchmark"


class Checkup(Struct, frozen=True, kw_only=True, gc=False):
    """What a device's last checkup has shown."""

    passed: bool | None = None
    reason: str | None = None
    open_checkup: str | None = None


class Worker(Struct, frozen=True, kw_only=True, gc=False):
    """A device."""

    worker_id: str
    device_name: str
    ip_address: str = ""
    capabilities: list[str] = []
    tags: list[str] = []
    device_info: DeviceInfo = DeviceInfo()
    status: str
    faulty_reason: str | None = None
    drained: bool = False
    drained_reason: str | None = None
    current_job: str | None = None
    progress: Progress | None = None
    undelivered_results: int = 0
    health: Checkup = Checkup()
    jobs_complete: int = 0
    jobs_failed: int = 0
    registered_at: str | None = None
    last_heartbeat: str | None = None
    version: int


class Breakdown(Struct, frozen=True, kw_only=True, gc=False):
    """How many jobs of a campaign have which status."""

    pending: int = 0
    running: int = 0
    complete: int = 0
    failed: int = 0
    cancelled: int = 0


class Campaign(Struct, frozen=True, kw_only=True, gc=False):
    """One model, and the jobs that benchmark it."""

    campaign_id: str
    name: str | None = None
    labels: dict[str, str] = {}
    model_url: str
    model_sha256: str | None = None
    status: str
    total_jobs: int
    job_breakdown: Breakdown
    created_at: str | None = None
    ended_at: str | None = None
    version: int


class JobOptions(Struct, frozen=True, gc=False):
    """Of what a job asks for, what decides where it waits."""

    worker_id: str | None = None
    tags: tuple[str, ...] = ()


class Job(Struct, frozen=True, kw_only=True, gc=False):
    """One benchmark on one device, as far as a row of it goes."""

    job_id: str
    campaign_id: str
    kind: str = BENCHMARK
    compute_unit: str | None = None
    status: str
    attempt: int = 0
    lost_attempts: int = 0
    cancel_requested: bool = False
    worker_id: str | None = None
    options: JobOptions = JobOptions()
    started_at: str | None = None
    ended_at: str | None = None
    version: int

    @property
    def position(self) -> int:
        """Its place in its campaign, from 0."""
        return int(self.job_id.rpartition("-")[2])

    @property
    def is_ended(self) -> bool:
        """Whether nothing but a retry can change it."""
        return self.status not in ("pending", "running")


class AttemptProgress(Struct, frozen=True, kw_only=True, gc=False):
    """How far an attempt is."""

    worker_id: str
    job_id: str
    progress: Progress | None


def worker_of(document: dict[str, Any]) -> Worker:
    """A device. msgspec.ValidationError where the document is none, as for the others."""
    return msgspec.convert(document, Worker)


def campaign_of(document: dict[str, Any]) -> Campaign:
    """A campaign."""
    return msgspec.convert(document, Campaign)


def job_of(document: dict[str, Any]) -> Job:
    """A job."""
    return msgspec.convert(document, Job)


def progress_of(document: dict[str, Any]) -> AttemptProgress:
    """An attempt's progress."""
    return msgspec.convert(document, AttemptProgress)
