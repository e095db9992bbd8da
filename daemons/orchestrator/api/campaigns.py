"""Campaigns: submitted, listed, cancelled, and their results."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct, structs

from daemons.core import answers
from daemons.core.errors import InvalidInput, NotFound
from daemons.core.inputs import check_jobs
from daemons.core.lifecycle import CampaignStatus
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.urls import check_model_url
from daemons.orchestrator.api import examples
from daemons.orchestrator.api.bodies import json_response, listing, read_json
from daemons.orchestrator.api.context import DUTIES, MODELS, STORE, WRITER
from daemons.orchestrator.api.parameters import headers_of, query_of
from daemons.orchestrator.api.routes import LOOK, OPERATE, Content, Route
from daemons.orchestrator.modelstore.resolving import resolved
from daemons.store import Store
from daemons.store.campaigns import Submitted
from daemons.store.keys import job_id_at
from daemons.store.lists import CampaignFilter

MAX_LISTED: Final = 1000
MAX_KEY_LENGTH: Final = 200
_KEY_ALLOWED: Final = f"1 to {MAX_KEY_LENGTH} printable ASCII characters"

_WHY_UNSERVED: Final = {
    "no_device": "no live device offers {unit}; jobs for it wait until one does",
    "worker_away": "worker {worker} is away; its jobs wait for it",
    "worker_lacks_unit": "worker {worker} doesn't offer {unit}; it will report its jobs as failed",
}


class SubmitHeaders(Struct, frozen=True, rename={"idempotency_key": "Idempotency-Key"}):
    """What may stand beside a campaign."""

    idempotency_key: (
        Annotated[str, Meta(pattern=f"^[ -~]{{1,{MAX_KEY_LENGTH}}}$", extra={"allowed": _KEY_ALLOWED})] | None
    ) = None
    """The same key and campaign again, within a week, name the campaign that was made the first time."""


class CampaignsQuery(Struct, frozen=True):
    """Which campaigns are listed."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED
    """How many at most."""
    cursor: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Where to go on: `next_cursor` of the answer before."""
    status: CampaignStatus | None = None
    """Those of this status alone."""
    kind: Literal["benchmark", "health", "all"] = "benchmark"
    """What people submit, checkups of devices, or both."""


async def submit(request: web.Request) -> web.Response:
    """Make a campaign: accepted whole and durably before this answers, or not at all."""
    key = headers_of(request, SubmitHeaders).idempotency_key
    wanted = await read_json(request, CampaignRequest)
    check_model_url(wanted.model_url)
    check_jobs(wanted.jobs)
    store = request.app[STORE]
    jobs = await _with_units(wanted.jobs, store)
    wanted = structs.replace(wanted, jobs=jobs)
    async with resolved(request.app[MODELS], wanted) as exact:
        submitted = await store.campaigns.submit(
            exact.request, key, as_sent=wanted, model_sha256=exact.model_sha256, needs=exact.needs
        )
    return json_response(
        _answer(submitted, jobs), HTTPStatus.CREATED, Location=f"/api/campaigns/{submitted.campaign_id}"
    )


async def _with_units(jobs: list[JobSpec], store: Store) -> list[JobSpec]:
    """The jobs, each with a known compute unit: the one that it names, or the first of the worker that it names."""
    known = await store.fleet.known_units()
    first_units: dict[str, str] = {}
    complete: list[JobSpec] = []
    for index, job in enumerate(jobs):
        if job.compute_unit is None:
            unit = await _first_unit(job, index, store, first_units)
            complete.append(structs.replace(job, compute_unit=unit))
        elif job.compute_unit in known:
            complete.append(job)
        else:
            raise InvalidInput(
                f"jobs[{index}].compute_unit: must be one of {', '.join(sorted(known))}, "
                f"and is {job.compute_unit[:60]!r}",
                field=f"jobs[{index}].compute_unit",
            )
    return complete


async def _first_unit(job: JobSpec, index: int, store: Store, first_units: dict[str, str]) -> str:
    if job.worker_id is None:
        raise InvalidInput(
            f"jobs[{index}].compute_unit: is missing; a job names a compute unit, a worker_id or both",
            field=f"jobs[{index}].compute_unit",
        )
    if job.worker_id not in first_units:
        try:
            worker = await store.fleet.get(job.worker_id)
        except NotFound as error:
            raise InvalidInput(f"jobs[{index}].worker_id: {error}", field=f"jobs[{index}].worker_id") from error
        if not worker["capabilities"]:
            raise InvalidInput(
                f"jobs[{index}].worker_id: {job.worker_id} offers no compute unit; name one in compute_unit",
                field=f"jobs[{index}].worker_id",
            )
        first_units[job.worker_id] = worker["capabilities"][0]
    return first_units[job.worker_id]


def _answer(submitted: Submitted, jobs: list[JobSpec]) -> dict[str, Any]:
    warnings = {
        _WHY_UNSERVED[problem].format(unit=spec.compute_unit, worker=spec.worker_id)
        for spec, problem in submitted.unserved
    }
    return {
        "campaign_id": submitted.campaign_id,
        "total_jobs": len(jobs),
        "status": CampaignStatus.RUNNING,
        "jobs": [
            {
                "job_id": job_id_at(submitted.campaign_id, place),
                "compute_unit": job.compute_unit,
                "status": "pending",
            }
            for place, job in enumerate(jobs)
        ],
        "warnings": sorted(warnings),
    }


async def list_campaigns(request: web.Request) -> web.Response:
    """Campaigns, the newest first; `next_cursor` leads on when there are more."""
    query = query_of(request, CampaignsQuery)
    wanted = CampaignFilter(kind=query.kind, status=query.status)
    return listing("campaigns", await request.app[STORE].lists.campaigns(wanted, query.limit, query.cursor))


async def show(request: web.Request) -> web.Response:
    """One campaign, and how far its jobs are."""
    return json_response(await request.app[STORE].campaigns.get(request.match_info["campaign_id"]))


async def cancel(request: web.Request) -> web.Response:
    """Cancel what has not ended: waiting jobs at once, running ones as soon as their workers hear of it."""
    campaign_id = request.match_info["campaign_id"]
    outcome = await request.app[STORE].campaigns.cancel(campaign_id)
    request.app[DUTIES].poke()
    message = f"{outcome['cancelled']} waiting jobs cancelled; {outcome['stopping']} running ones are told to stop"
    return json_response({"campaign_id": campaign_id, **outcome, "message": message})


async def retry(request: web.Request) -> web.Response:
    """Open the failed jobs of a campaign again. Their rows are replaced when they end."""
    campaign_id = request.match_info["campaign_id"]
    outcome = await request.app[STORE].campaigns.retry(campaign_id)
    message = f"{outcome['retried']} failed jobs are open again"
    return json_response({"campaign_id": campaign_id, **outcome, "message": message})


async def delete(request: web.Request) -> web.Response:
    """Forget a campaign that has ended, with its jobs and samples. Its CSV file stays, and answers for its results."""
    campaign_id, store = request.match_info["campaign_id"], request.app[STORE]
    await request.app[WRITER].flush()
    jobs = await store.campaigns.delete(campaign_id)
    has_more = True
    while has_more:
        _, has_more = await store.campaigns.forget_old(None)
    message = f"the campaign and its {jobs} jobs are forgotten; CSV files stay"
    return json_response({"campaign_id": campaign_id, "deleted": True, "jobs": jobs, "message": message})


ROUTES: Final = (
    Route(
        "POST",
        "/api/campaigns",
        submit,
        OPERATE,
        "Submit a campaign",
        answers={
            201: Content(
                type=answers.SubmittedCampaign,
                headers={"Location": "The campaign."},
                example=examples.SUBMITTED_CAMPAIGN,
            )
        },
        headers=SubmitHeaders,
        body=Content(type=CampaignRequest, example=examples.CAMPAIGN_REQUEST),
        refusals=(HTTPStatus.CONFLICT,),
    ),
    Route(
        "GET",
        "/api/campaigns",
        list_campaigns,
        LOOK,
        "List campaigns",
        answers={200: answers.CampaignList},
        query=CampaignsQuery,
    ),
    Route(
        "GET",
        "/api/campaigns/{campaign_id}",
        show,
        LOOK,
        "Show a campaign",
        answers={200: Content(type=answers.Campaign, example=examples.CAMPAIGN)},
    ),
    Route(
        "POST",
        "/api/campaigns/{campaign_id}/cancel",
        cancel,
        OPERATE,
        "Cancel a campaign",
        answers={200: answers.CancelledCampaign},
    ),
    Route(
        "POST",
        "/api/campaigns/{campaign_id}/retry",
        retry,
        OPERATE,
        "Retry what has failed",
        answers={200: answers.RetriedCampaign},
        refusals=(HTTPStatus.CONFLICT,),
    ),
    Route(
        "DELETE",
        "/api/campaigns/{campaign_id}",
        delete,
        OPERATE,
        "Delete a campaign",
        answers={200: answers.DeletedCampaign},
        refusals=(HTTPStatus.CONFLICT,),
    ),
)
