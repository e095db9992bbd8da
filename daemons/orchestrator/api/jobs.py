"""Jobs as people see them: shown, cancelled, tried again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web

from daemons.core import answers
from daemons.core.views import result_view
from daemons.orchestrator.api import examples
from daemons.orchestrator.api.bodies import json_response
from daemons.orchestrator.api.context import DUTIES, STORE
from daemons.orchestrator.api.routes import LOOK, OPERATE, Content, Route


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


_CONFLICT: Final = (HTTPStatus.CONFLICT,)

ROUTES: Final = (
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
)
