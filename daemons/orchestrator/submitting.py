"""A campaign on its way in: checked, multiplied out, recorded whole, and answered with what is to be expected of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import UNSET, structs

from daemons.core import answers
from daemons.core.inputs import check_jobs
from daemons.core.lifecycle import CampaignStatus, JobStatus
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.outlook import Groups, Outlook, groups_of, outlook
from daemons.core.targeting import Device, addresses_in, expand, models_in
from daemons.core.urls import check_model_url
from daemons.core.views import public_url
from daemons.orchestrator.modelstore.resolving import Resolved, resolved
from daemons.orchestrator.modelstore.store import ModelStore
from daemons.store import Store
from daemons.store.campaigns import Recorded, digest_of
from daemons.store.keys import job_id_at


async def accept(
    store: Store, models: ModelStore, wanted: CampaignRequest, key: str | None
) -> answers.SubmittedCampaign:
    """Have the campaign recorded, or find the one that was made of it before; and what is to be expected of it.

    Raises InvalidInput, or Conflict for an `Idempotency-Key` that was used for another campaign.
    """
    _check(wanted)
    campaign_id = await store.campaigns.made_with(key, digest_of(wanted)) if key else None
    if campaign_id is None:
        campaign_id, answer = await _make(store, models, wanted, key)
    return answer if campaign_id is None else await _answer_again(store, campaign_id)


def _check(wanted: CampaignRequest) -> None:
    """InvalidInput for what could never be meant, whatever devices and models there are."""
    for url, field in models_in(wanted).items():
        check_model_url(url, field)
    check_jobs(wanted.jobs)
    if wanted.matrix is not None:
        check_jobs(wanted.matrix.options, ("matrix", "options"))


async def _make(
    store: Store, models: ModelStore, wanted: CampaignRequest, key: str | None
) -> tuple[str | None, answers.SubmittedCampaign]:
    """The answer; and the campaign, if somebody else has made it meanwhile with the same key.

    All that is to be told is read before anything is made: what is made is answered, also if Redis goes away then.
    """
    fleet, units = await store.fleet.devices(), await store.fleet.known_units()
    made = await asyncio.to_thread(expand, wanted, fleet, units)
    plain = structs.replace(wanted, model_url=made.model_url, jobs=made.jobs, matrix=None)
    async with resolved(models, plain, addresses_in(wanted)) as exact:
        expected = await _outlook(store, exact, fleet)
        recorded = Recorded(pins=exact.pins, needs=exact.needs, estimate_s=_whole_estimate(expected))
        submitted = await store.campaigns.submit(exact.request, key, digest=digest_of(wanted), recorded=recorded)
    answer = _answer(submitted.campaign_id, exact.request, [JobStatus.PENDING] * len(made.jobs), expected)
    return submitted.campaign_id if submitted.replayed else None, answer


async def _outlook(store: Store, exact: Resolved, fleet: Sequence[Device]) -> Outlook:
    groups = await asyncio.to_thread(groups_of, exact.request.jobs, exact.request.model_url or "")
    return await _outlook_of(store, groups, exact.pins, fleet)


async def _outlook_of(store: Store, groups: Groups, pins: Mapping[str, str], fleet: Sequence[Device]) -> Outlook:
    durations = await store.history.durations({kind for _, kind in groups}, pins)
    return await asyncio.to_thread(outlook, groups, fleet, durations)


def _whole_estimate(expected: Outlook) -> float | None:
    """What all jobs are expected to take; nobody knows that of jobs that wait for a device which is not there."""
    return None if expected.waiting else expected.estimate_s


async def _answer_again(store: Store, campaign_id: str) -> answers.SubmittedCampaign:
    """A campaign that was made before, as it is now; what is to be expected is that of its waiting jobs."""
    campaign, models = await store.campaigns.get(campaign_id), await store.models.all(campaign_id)
    jobs = await store.campaigns.specs(campaign_id)
    made = CampaignRequest(model_url=models[0].url, jobs=[spec for _, spec in jobs], name=campaign["name"])
    waiting = (spec for status, spec in jobs if status == JobStatus.PENDING)
    pins = {model.url: model.sha256 for model in models if model.sha256 is not None}
    expected = await _outlook_of(store, groups_of(waiting, models[0].url), pins, await store.fleet.devices())
    answer = _answer(campaign_id, made, [JobStatus(status) for status, _ in jobs], expected)
    return structs.replace(answer, status=CampaignStatus(campaign["status"]))


def _answer(
    campaign_id: str, made: CampaignRequest, statuses: Sequence[JobStatus], expected: Outlook
) -> answers.SubmittedCampaign:
    jobs = [
        _submitted_job(job_id_at(campaign_id, place), job, status)
        for place, (job, status) in enumerate(zip(made.jobs, statuses, strict=True))
    ]
    return answers.SubmittedCampaign(
        campaign_id=campaign_id,
        name=made.name or UNSET,
        total_jobs=len(jobs),
        jobs_total=len(jobs),
        status=CampaignStatus.RUNNING,
        jobs=jobs,
        runnable_now=expected.runnable_now,
        waiting=expected.waiting,
        estimate_s=expected.estimate_s,
        estimate_notes=expected.notes,
        warnings=expected.warnings,
    )


def _submitted_job(job_id: str, job: JobSpec, status: JobStatus) -> answers.SubmittedJob:
    return answers.SubmittedJob(
        job_id=job_id,
        compute_unit=job.compute_unit or "",
        worker_id=job.worker_id or UNSET,
        tags=job.tags or UNSET,
        model_url=public_url(job.model_url) if job.model_url else UNSET,
        status=status,
    )
