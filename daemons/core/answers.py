"""What the REST API answers: campaigns, jobs and results. `answers_fleet` has devices, `answers_system` the rest.

The API's document is made of these types, and the tests hold every answer to them. Whoever decodes with them accepts
keys that they don't have, so that an older client can talk to a newer orchestrator. A field that may be UNSET is left
out where it says nothing; one that may be None is always there.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from daemons.core.lifecycle import CampaignStatus, JobStatus, ReportStatus
from daemons.core.models import ClaimedJob, JobSpec
from daemons.core.outlook import Waiting
from daemons.core.results import Conditions, Measurement, Samples

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""ISO 8601, in UTC, to the millisecond."""
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Kind = Literal["benchmark", "health"]
"""What people submit, and the checkups of devices."""
Cursor = Annotated[str, Meta(min_length=1, max_length=100)]


class Problem(Struct, frozen=True, kw_only=True):
    """Why a request was not answered as it was meant (RFC 9457)."""

    type: str
    title: str
    """The name of the HTTP status."""
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    """The same as `error`."""
    error: str
    """A sentence that a person can act on."""
    code: str
    """The kind of error, for programs."""
    field: str | UnsetType | None = UNSET
    """Where the first mistake is, in a request with mistakes."""
    mistakes: list[str] | UnsetType = UNSET
    """Every mistake with its place."""


class JobBreakdown(Struct, frozen=True, kw_only=True):
    """How many jobs of a campaign have which status."""

    pending: Count
    running: Count
    complete: Count
    failed: Count
    cancelled: Count


class WebhookState(Struct, frozen=True, kw_only=True):
    """What has become of the message that a campaign has ended."""

    url: str
    """Without its query."""
    status: Literal["waiting", "pending", "delivered", "given_up"]
    """`waiting`: the campaign goes on. `pending`: it has ended, and the message is yet to be taken by its receiver."""
    attempts: Count
    """How often it was sent since the campaign has ended."""
    last_error: str | None
    """Why it was not taken the last time."""
    delivered_at: Moment | None


class Campaign(Struct, frozen=True, kw_only=True):
    """One model, and the jobs that benchmark it."""

    campaign_id: str
    kind: Kind
    model_url: str
    """Without the name and password that it may carry."""
    model_sha256: str | None
    """The bytes that all of its devices measure, once one has fetched them."""
    models_total: Annotated[int, Meta(ge=1)]
    """How many models its jobs are about, this one included."""
    name: str | None
    """What people call it."""
    labels: dict[str, str]
    status: CampaignStatus
    """`completed`: all jobs have ended, at least one complete. `failed`: all have ended, none complete."""
    total_jobs: Count
    completed_jobs: Count
    """Those that are complete."""
    failed_jobs: Count
    job_breakdown: JobBreakdown
    estimate_left_s: Seconds | None
    """What `estimate_s` was when it was submitted, of the jobs that have not ended. null: there was none."""
    cancel_requested: bool
    """Its waiting jobs are cancelled, and the devices of its running ones are told to end them."""
    webhook: WebhookState | None
    """null: nobody is to be told when it has ended."""
    created_at: Moment
    ended_at: Moment | None
    version: Count
    """Rises with every change; events about the campaign carry it, too."""


class BenchmarkedModel(Struct, frozen=True, kw_only=True):
    """A model that a campaign is about."""

    model_url: str
    """Without the name and password that it may carry."""
    model_sha256: str | None
    """The bytes that all of its rows are about, once one device has fetched them."""
    jobs: Count


class CampaignWithModels(Campaign, frozen=True, kw_only=True):
    """A campaign, and all models that it is about."""

    models: list[BenchmarkedModel]
    """Its own first."""


class CampaignEnded(Struct, frozen=True, kw_only=True):
    """What a campaign's webhook is sent."""

    type: Literal["campaign.ended"]
    delivery: str
    """Names this message: it may come twice."""
    campaign: Campaign
    results_url: str
    """Where its results are; a path, if the orchestrator's `webhooks.public_url` is not set."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """Something that was read after the event of this epoch and number, and before all later ones were."""

    epoch: str
    seq: Count


class CampaignList(Snapshot, frozen=True, kw_only=True):
    """Campaigns, the newest first."""

    count: Count
    campaigns: list[Campaign]
    next_cursor: Cursor | UnsetType = UNSET
    """There may be more: ask again with it as `cursor`."""


class SubmittedJob(Struct, frozen=True, kw_only=True):
    """A job that was accepted."""

    job_id: str
    compute_unit: str
    worker_id: str | UnsetType = UNSET
    """The device that it is for alone."""
    tags: list[str] | UnsetType = UNSET
    """What a device must have to run it."""
    model_url: str | UnsetType = UNSET
    """Its model, if that is another than the campaign's, without the name and password that it may carry."""
    status: JobStatus


class SubmittedCampaign(Struct, frozen=True, kw_only=True):
    """A campaign that was accepted whole, and what is to be expected of it."""

    campaign_id: str
    name: str | UnsetType = UNSET
    total_jobs: Count
    jobs_total: Count
    """The same as `total_jobs`."""
    status: CampaignStatus
    jobs: list[SubmittedJob]
    runnable_now: Count
    """So many could be taken now: at least one device that is there takes them, at once or after its other jobs."""
    waiting: list[Waiting]
    """Those that wait for a device which is not there."""
    estimate_s: Seconds | None
    """Seconds that the runnable jobs take, if nothing else is waiting: as long each as attempts on their unit with
    their model have taken lately, on the devices that could take them now. null: for some, nothing is known."""
    estimate_notes: list[str]
    """What the estimate leaves out, or why there is none."""
    warnings: list[str]
    """Why jobs wait, or will fail."""


class CancelledCampaign(Struct, frozen=True, kw_only=True):
    """What the cancelling of a campaign has done."""

    campaign_id: str
    status: CampaignStatus
    cancelled: Count
    """Waiting jobs that were cancelled now."""
    stopping: Count
    """Running jobs, which end as soon as their workers hear of it."""
    message: str


class RetriedCampaign(Struct, frozen=True, kw_only=True):
    """What the retrying of a campaign has done."""

    campaign_id: str
    status: CampaignStatus
    retried: Count
    """Failed jobs that are open again."""
    message: str


class DeletedCampaign(Struct, frozen=True, kw_only=True):
    """What the deleting of a campaign has done."""

    campaign_id: str
    deleted: bool
    jobs: Count
    """How many went with it."""
    message: str


class Judged(Struct, frozen=True, kw_only=True):
    """What a health job has shown of its device."""

    passed: bool | None
    """null: nothing, either way."""
    reason: str | UnsetType | None = UNSET
    """Why it is not passed."""
    median_ms: float | UnsetType | None = UNSET
    usual_ms: float | UnsetType | None = UNSET
    """What the device usually takes, once it has shown that often enough."""


class Job(Struct, frozen=True, kw_only=True):
    """One benchmark on one device."""

    job_id: str
    campaign_id: str
    kind: Kind
    compute_unit: str
    status: JobStatus
    attempt: Count
    """How often it was begun; 0 before the first time."""
    lost_attempts: Count
    """How many of them ended with their worker."""
    device_failures: Count
    """How many of them the device could not do."""
    worker_id: str | None
    """The device of the newest attempt."""
    cancel_requested: bool
    """It runs, and its worker is told to end it."""
    started_at: Moment | None
    ended_at: Moment | None
    options: JobSpec
    """What was asked for; options with their default values are left out."""
    health: Judged | None
    """What a health job has shown."""
    version: Count
    """Rises with every change; events about the job carry it, too."""


class JobList(Snapshot, frozen=True, kw_only=True):
    """Jobs: of the newest campaign first, and in their order within each."""

    count: Count
    jobs: list[Job]
    next_cursor: Cursor | UnsetType = UNSET
    """There may be more: ask again with it as `cursor`."""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One transition of a job."""

    at: Moment
    event: str
    """`claimed`, `complete`, `failed`, `cancelled`, `lost`, `requeued`, `resumed`, `device_failed`, `doubted` or
    `retried`."""
    attempt: Count | UnsetType = UNSET
    worker_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class JobWithHistory(Job, frozen=True, kw_only=True):
    """One benchmark on one device, and all that has happened to it."""

    history: list[HistoryEntry]


class ResultRow(Measurement, frozen=True, kw_only=True, rename="pascal", omit_defaults=False):
    """The result of one job under the CSV's column names. Times in milliseconds, memory in MB of 2^20 bytes.

    What is not known is null, never 0.
    """

    status: ReportStatus
    job_id: str
    device_name: str | None = None
    soc: str | None = None
    ram: str | None = None
    """GB, as the device's owner would say it."""
    device_os: str | None = None
    campaign_id: str
    worker_id: str | None = None
    attempt: Count | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None


class ResultList(Struct, frozen=True, kw_only=True):
    """Results of jobs that have ended."""

    count: Count
    results: list[ResultRow]
    next_cursor: Cursor | UnsetType = UNSET
    """There may be more: ask again with it as `cursor`."""


class JobResult(ResultRow, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The result of one job with what stands behind its figures. What is not known is left out."""

    word: ReportStatus = msgspec.field(name="status")
    """The same as `Status`."""
    samples: Samples | UnsetType = UNSET
    conditions: Conditions | UnsetType = UNSET
    """`before` and `after` the measuring: what was read of the device then, by name."""


class JobAnswer(Struct, frozen=True, kw_only=True):
    """A job, and its result once it has ended."""

    job: JobWithHistory
    result: JobResult | None


class ClaimAnswer(Struct, frozen=True, kw_only=True):
    """The job that a worker is to do."""

    job: ClaimedJob


class ReportedJob(Struct, frozen=True, kw_only=True):
    """What became of a report."""

    job_id: str
    status: JobStatus
    """`pending`, if the job is tried again."""
    duplicate: bool
    """The same report was taken before; nothing was changed."""


class JobState(Struct, frozen=True, kw_only=True):
    """A job's status after a change."""

    job_id: str
    status: JobStatus


class CancelledJob(JobState, frozen=True, kw_only=True):
    """What the cancelling of a job has done."""

    stopping: bool
    """It runs, and ends as soon as its worker hears of it."""


class RetriedJob(JobState, frozen=True, kw_only=True):
    """What the retrying of a job has done."""

    retried: Annotated[int, Meta(ge=0, le=1)]
    message: str
