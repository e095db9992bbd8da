"""What the REST API answers: health, statistics, files of results, and clearing everything. See `answers`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from daemons.core.answers import Count, Moment, Seconds


class RedisFacts(Struct, frozen=True, kw_only=True):
    """The Redis or Valkey server. While it is away, that alone is told, and why."""

    connected: bool
    error: str | UnsetType = UNSET
    server: Literal["redis", "valkey"] | UnsetType = UNSET
    version: str | UnsetType | None = UNSET
    latency_ms: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    used_memory_mb: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    append_only: bool | UnsetType = UNSET
    append_fsync: str | UnsetType | None = UNSET
    """null: the server doesn't tell."""
    may_evict: bool | UnsetType = UNSET
    """It would throw keys away when its memory is full."""
    append_only_error: bool | UnsetType = UNSET
    """It can't write its append-only file."""
    uptime_s: Count | UnsetType | None = UNSET


class RedisAddress(Struct, frozen=True, kw_only=True):
    """Where the fleet's events are published, for programs on the orchestrator's own machine."""

    url: str | None
    """null: it would tell a password; ask whoever runs the orchestrator."""
    prefix: str
    """What every key and channel begins with."""
    epoch: str
    """The fleet's life, by which a program sees that it has found the right server."""


class Duties(Struct, frozen=True, kw_only=True):
    """Who does the periodic duties, and how long ago each was done, by whichever replica."""

    replica: str
    """The orchestrator that answers."""
    holder: str | None
    """The one that does the duties."""
    is_held: bool
    """They are the same."""
    lag_s: dict[str, Seconds]
    """Seconds since each duty was done."""


class Health(Struct, frozen=True, kw_only=True):
    """The state of this orchestrator, its database and the fleet's duties."""

    status: Literal["healthy", "degraded", "unhealthy"]
    """`degraded`: it serves, and something wants a person. `unhealthy`: it can't do its work."""
    timestamp: Moment
    version: str
    problems: list[str]
    redis: RedisFacts
    duties: Duties | UnsetType = UNSET
    error: str | UnsetType = UNSET
    """Why the database is not there."""


class HealthMonitor(Struct, frozen=True, kw_only=True):
    """What watches over the devices. Counts are this orchestrator's, since it started."""

    running: bool
    """This orchestrator does it."""
    heartbeat_interval_s: Seconds
    heartbeat_timeout_s: Seconds
    rounds: Count
    workers_total: Count
    workers_healthy: Count
    workers_unhealthy: Count
    workers_lost: Count
    attempts_lost: Count


class TimeoutHandler(Struct, frozen=True, kw_only=True):
    """What watches over the attempts. Counts of what was done are this orchestrator's, since it started."""

    running: bool
    """This orchestrator does it."""
    attempts_running: Count
    attempts_overdue: Count
    waiting_for_retry: Count
    retries_brought_back: Count
    max_lost_attempts: Count


class ResultsWriter(Struct, frozen=True, kw_only=True):
    """What writes the CSV files."""

    waiting: Count
    oldest_waits_s: Seconds | None
    files_written: Count
    last_error: str | None


class FleetCounts(Struct, frozen=True, kw_only=True):
    """What has happened to the whole fleet since the last reset."""

    retries: Count
    lost_silent: Count
    """Attempts whose worker was not heard of."""
    lost_restarted: Count
    """Attempts whose worker was started again."""
    lost_overdue: Count
    """Attempts that ran past their time."""
    device_failures: Count
    poison: Count
    """Jobs that were given up after too many lost attempts."""
    campaigns_forgotten: Count
    webhooks_delivered: Count
    webhook_failures: Count
    """How often a webhook's receiver did not take it."""
    webhooks_given_up: Count
    checkups_started: Count
    checkups_passed: Count
    checkups_failed: Count
    undelivered_results: Count
    """Results that devices keep now because they were refused."""
    webhooks_pending: Count
    """Webhooks that are to be sent now or again."""
    campaigns_leaving: Count
    """Campaigns that are being forgotten now."""


class DutiesInDetail(Duties, frozen=True, kw_only=True):
    """The periodic duties, and whether this orchestrator can do them."""

    store_is_away: bool


class MonitoringStats(Struct, frozen=True, kw_only=True):
    """What has happened to the fleet's jobs, and what this orchestrator's duties have done."""

    timestamp: Moment
    health_monitor: HealthMonitor
    timeout_handler: TimeoutHandler
    results_writer: ResultsWriter
    fleet: FleetCounts
    duties: DutiesInDetail
    waiting_claims: Count
    """Claims that wait for work at this orchestrator."""


class ClearedCounts(Struct, frozen=True, kw_only=True):
    """How much was removed."""

    workers: Count
    campaigns: Count
    jobs: Count


class ResetDone(Struct, frozen=True, kw_only=True):
    """What clearing everything has done. CSV files stay."""

    status: Literal["reset"]
    message: str
    workers_cleared: bool
    campaigns_cleared: bool
    jobs_cleared: bool
    queues_cleared: bool
    results_cleared: bool
    counts: ClearedCounts


class ResultsFile(Struct, frozen=True, kw_only=True):
    """A CSV file of an ended campaign."""

    filename: str
    size_mb: Annotated[float, Meta(ge=0)]
    """In MB of 2^20 bytes."""
    modified: Moment


class ResultsFiles(Struct, frozen=True, kw_only=True):
    """All CSV files, the newest first."""

    count: Count
    files: list[ResultsFile]
