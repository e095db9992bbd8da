"""Jobs: shown, reported, handed back, cancelled, tried again."""

from __future__ import annotations

from aiohttp import web

from daemons.core.models import ReleaseRequest
from daemons.core.results import JobReport
from daemons.core.retries import policy_of
from daemons.core.views import result_view
from daemons.orchestrator.api.bodies import json_response, read_json
from daemons.orchestrator.api.context import DUTIES, SETTINGS, STORE
from daemons.orchestrator.checkups import judgement_on


async def show(request: web.Request) -> web.Response:
    """`GET /api/jobs/{job_id}`: the job with its history, and its result once it has ended."""
    job, row = await request.app[STORE].campaigns.job(request.match_info["job_id"])
    return json_response({"job": job, "result": result_view(row) if row else None})


async def report(request: web.Request) -> web.Response:
    """`POST /api/jobs/{job_id}/result`: taken once, from the newest attempt."""
    job_id, store = request.match_info["job_id"], request.app[STORE]
    told = await read_json(request, JobReport)
    judgement = await judgement_on(store, job_id, told)
    outcome = await store.queue.finish(job_id, told, policy_of(request.app[SETTINGS].fleet), judgement)
    request.app[DUTIES].poke()
    return json_response({"job_id": job_id, **outcome})


async def release(request: web.Request) -> web.Response:
    """`POST /api/jobs/{job_id}/release`: the worker hands the job back unharmed."""
    job_id = request.match_info["job_id"]
    status = await request.app[STORE].queue.release(job_id, await read_json(request, ReleaseRequest))
    return json_response({"job_id": job_id, "status": status})


async def retry(request: web.Request) -> web.Response:
    """`POST /api/jobs/{job_id}/retry`: a failed job is open again."""
    job_id = request.match_info["job_id"]
    retried = (await request.app[STORE].campaigns.retry_job(job_id))["retried"]
    job, _ = await request.app[STORE].campaigns.job(job_id)
    message = "the job is open again" if retried else f"only failed jobs are tried again; this one is {job['status']}"
    return json_response({"job_id": job_id, "status": job["status"], "retried": retried, "message": message})


async def cancel(request: web.Request) -> web.Response:
    """`POST /api/jobs/{job_id}/cancel`."""
    job_id = request.match_info["job_id"]
    outcome = await request.app[STORE].campaigns.cancel_job(job_id)
    request.app[DUTIES].poke()
    return json_response({"job_id": job_id, **outcome})
