"""Jobs: shown, reported, handed back, cancelled, tried again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web

from daemons.core import answers
from daemons.core.models import ReleaseRequest
from daemons.core.results import JobReport
from daemons.core.retries import policy_of
from daemons.core.views import result_view
from daemons.orchestrator.api.bodies import json_response, read_json
from daemons.orchestrator.api.context import DUTIES, SETTINGS, STORE
from daemons.orchestrator.api.routes import LOOK, OPERATE, WORK, Route
from daemons.orchestrator.checkups import judgement_on


async def show(request: web.Request) -> web.Response:
    """The job with its history, and its result with all samples once it has ended."""
    job, row = await request.app[STORE].campaigns.job(request.match_info["job_id"])
    return json_response({"job": job, "result": result_view(row) if row else None})


async def report(request: web.Request) -> web.Response:
    """Deliver the result of an attempt. It is taken once, and from the newest attempt alone."""
    job_id, store = request.match_info["job_id"], request.app[STORE]
    told = await read_json(request, JobReport)
    judgement = await judgement_on(store, job_id, told)
    outcome = await store.queue.finish(job_id, told, policy_of(request.app[SETTINGS].fleet), judgement)
    request.app[DUTIES].poke()
    return json_response({"job_id": job_id, **outcome})


async def release(request: web.Request) -> web.Response:
    """Hand a job back unharmed: it waits again at its old place."""
    job_id = request.match_info["job_id"]
    status = await request.app[STORE].queue.release(job_id, await read_json(request, ReleaseRequest))
    return json_response({"job_id": job_id, "status": status})


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


_CONFLICT: Final = (HTTPStatus.CONFLICT,)

ROUTES: Final = (
    Route(
        "GET",
        "/api/jobs/{job_id}",
        show,
        LOOK,
        "Show a job",
        answers={200: answers.JobAnswer},
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/cancel",
        cancel,
        OPERATE,
        "Cancel a job",
        answers={200: answers.CancelledJob},
    ),
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
        "POST",
        "/api/jobs/{job_id}/result",
        report,
        WORK,
        "Deliver a result",
        answers={200: answers.ReportedJob},
        body=JobReport,
        refusals=_CONFLICT,
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/release",
        release,
        WORK,
        "Hand a job back",
        answers={200: answers.JobState},
        body=ReleaseRequest,
        refusals=_CONFLICT,
    ),
)
