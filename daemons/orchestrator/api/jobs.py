"""Jobs as people see them: listed, shown, cancelled, tried again; and the queues in which they wait."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers, answers_fleet
from daemons.core.lifecycle import JobStatus
from daemons.core.views import result_view
from daemons.orchestrator.api import examples
from daemons.orchestrator.api.bodies import json_response, listing
from daemons.orchestrator.api.context import DUTIES, STORE
from daemons.orchestrator.api.parameters import query_of
from daemons.orchestrator.api.routes import LOOK, OPERATE, CampaignId, Content, Identifier, JobCursor, Route, WorkerId
from daemons.store.lists import JobFilter, place_of

MAX_LISTED: Final = 1000


class JobsQuery(Struct, frozen=True):
    """Which jobs are listed."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED
    """How many at most. With filters an answer may hold fewer and have a `next_cursor` all the same."""
    cursor: JobCursor | None = None
    """Where to go on: `next_cursor` of the answer before."""
    campaign_id: CampaignId | None = None
    """Those of this campaign alone."""
    status: JobStatus | None = None
    """Those of this status alone."""
    worker_id: WorkerId | None = None
    """Those alone whose newest attempt is this device's, or which only this device may run."""
    compute_unit: Identifier | None = None
    """Those for this compute unit alone."""
    kind: Literal["benchmark", "health", "all"] = "benchmark"
    """What people submit, checkups of devices, or both; a campaign that is named may be of any kind."""


async def list_jobs(request: web.Request) -> web.Response:
    """Jobs: of the newest campaign first, in their order within each."""
    query = query_of(request, JobsQuery)
    wanted = JobFilter(
        kind=query.kind,
        campaign_ids=() if query.campaign_id is None else (query.campaign_id,),
        status=query.status,
        worker_id=query.worker_id,
        compute_unit=query.compute_unit,
    )
    start = None if query.cursor is None else place_of(query.cursor)
    since = await request.app[STORE].events.position()
    return listing("jobs", await request.app[STORE].lists.jobs(wanted, query.limit, start), since)


async def show(request: web.Request) -> web.Response:
    """The job with its history, and its result with all samples once it has ended."""
    job, row = await request.app[STORE].campaigns.job(request.match_info["job_id"])
    return json_response({"job": job, "result": result_view(row) if row else None})


async def retry(request: web.Request) -> web.Response:
    """Open a failed job again. Its row is replaced when it ends."""
    job_id = request.match_info["job_id"]
    retried = (await request.app[STORE].campaigns.retry_job(job_id))["retried"]
    job, _ = await request.app[STORE].campaigns.job(job_id)
    message = "the job is open again" if retried else f"only failed jobs are tried again; this one is {job['status']}"
    return json_response({"job_id": job_id, "status": job["status"], "retried": retried, "message": message})


async def cancel(request: web.Request) -> web.Response:
    """End a waiting job at once, a running one as soon as its worker hears of it. An ended one stays as it is."""
    job_id = request.match_info["job_id"]
    outcome = await request.app[STORE].campaigns.cancel_job(job_id)
    request.app[DUTIES].poke()
    return json_response({"job_id": job_id, **outcome})


async def queue_status(request: web.Request) -> web.Response:
    """How much waits where, all counted at one moment."""
    status = await request.app[STORE].queue.status()
    return json_response(
        {
            "worker_queues": status["workers"],
            "capability_queues": status["units"],
            "oldest_waits_s": status["waits"],
            "tagged_queues": status["tagged"],
            "results_queue_size": status["results"],
            "waiting_for_retry": status["delayed"],
            "running": status["running"],
        }
    )


_CONFLICT: Final = (HTTPStatus.CONFLICT,)

ROUTES: Final = (
    Route(
        "GET",
        "/api/jobs",
        list_jobs,
        LOOK,
        "List jobs",
        answers={200: answers.JobList},
        query=JobsQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Route(
        "GET",
        "/api/jobs/{job_id}",
        show,
        LOOK,
        "Show a job",
        answers={200: Content(type=answers.JobAnswer, example=examples.JOB_ANSWER)},
    ),
    Route("POST", "/api/jobs/{job_id}/cancel", cancel, OPERATE, "Cancel a job", answers={200: answers.CancelledJob}),
    Route(
        "POST",
        "/api/jobs/{job_id}/retry",
        retry,
        OPERATE,
        "Retry a failed job",
        answers={200: answers.RetriedJob},
        refusals=_CONFLICT,
    ),
    Route(
        "GET",
        "/api/queue/status",
        queue_status,
        LOOK,
        "Show the queues",
        answers={200: answers_fleet.QueueStatus},
    ),
)
