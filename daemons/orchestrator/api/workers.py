"""Devices as people see them: listed, shown, drained, checked, removed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers_fleet
from daemons.core.lifecycle import WorkerStatus
from daemons.core.models import (
    DrainRequest,
    StatusRequest,
)
from daemons.core.naming import Tags
from daemons.orchestrator.api.bodies import json_response, listing, read_json
from daemons.orchestrator.api.context import DUTIES, STORE
from daemons.orchestrator.api.parameters import query_of
from daemons.orchestrator.api.routes import CURSOR_ALLOWED, LOOK, OPERATE, WORK_OR_OPERATE, Content, Identifier, Route

MAX_LISTED: Final = 10_000

WorkerCursor = Annotated[str, Meta(pattern=r"^[0-9]{1,20}-worker-[0-9a-f]{1,32}$", extra={"allowed": CURSOR_ALLOWED})]


class WorkersQuery(Struct, frozen=True):
    """Which devices are listed."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED
    """How many at most."""
    cursor: WorkerCursor | None = None
    """Where to go on: `next_cursor` of the answer before."""
    status: WorkerStatus | None = None
    """Those of this status alone."""
    compute_unit: Identifier | None = None
    """Those alone that offer this compute unit."""
    tag: Tags = []
    """Those alone that have this tag; it may be given several times, for all of them."""


class RemoveQuery(Struct, frozen=True):
    """How a device is removed."""

    force: bool = False
    """Also one that lives. It will register again by itself, as a new device."""


async def list_workers(request: web.Request) -> web.Response:
    """Every device that has registered, the oldest first."""
    query = query_of(request, WorkersQuery)
    since = await request.app[STORE].events.position()
    page = await request.app[STORE].lists.workers(
        query.limit, status=query.status, compute_unit=query.compute_unit, tags=query.tag, after=query.cursor
    )
    return listing("workers", page, since)


async def show(request: web.Request) -> web.Response:
    """One device: what it is, what it does, how it fares."""
    return json_response(await request.app[STORE].fleet.get(request.match_info["worker_id"]))


async def set_status(request: web.Request) -> web.Response:
    """Set a device's status by hand. `faulty` gives its job back to the queue; the others never touch a job."""
    worker_id = request.match_info["worker_id"]
    wanted = WorkerStatus((await read_json(request, StatusRequest)).status)
    status = await request.app[STORE].fleet.set_status(worker_id, wanted, "set by hand through the API")
    return json_response({"worker_id": worker_id, "status": status})


async def recover(request: web.Request) -> web.Response:
    """Take a faulty device back into service. What its checkups have shown is forgotten in any case."""
    worker_id = request.match_info["worker_id"]
    status, is_changed = await request.app[STORE].fleet.recover(worker_id)
    message = "the worker is active again" if is_changed else f"the worker was not faulty; it stays {status}"
    return json_response({"worker_id": worker_id, "status": status, "message": message})


async def drain(request: web.Request) -> web.Response:
    """The device ends what it runs and takes nothing more."""
    worker_id = request.match_info["worker_id"]
    reason = (await read_json(request, DrainRequest)).reason
    outcome = await request.app[STORE].fleet.drain(worker_id, reason)
    job_id = outcome.get("job_id")
    message = f"the worker takes no more jobs once {job_id} has ended" if job_id else "the worker takes no more jobs"
    return json_response({"worker_id": worker_id, "status": outcome["status"], "drained": True, "message": message})


async def undrain(request: web.Request) -> web.Response:
    """The device takes jobs again."""
    worker_id = request.match_info["worker_id"]
    outcome = await request.app[STORE].fleet.drain(worker_id, None)
    message = "the worker takes jobs again"
    return json_response({"worker_id": worker_id, "status": outcome["status"], "drained": False, "message": message})


async def check(request: web.Request) -> web.Response:
    """Let the device measure the reference model, before its other jobs."""
    worker_id = request.match_info["worker_id"]
    started = await request.app[STORE].health.start(worker_id)
    message = f"the worker measures the reference model on {started['jobs']} of its units as soon as it is free"
    campaign_id = started["campaign_id"]
    answer = {"worker_id": worker_id, "campaign_id": campaign_id, "total_jobs": started["jobs"], "message": message}
    return json_response(answer, HTTPStatus.CREATED, Location=f"/api/campaigns/{campaign_id}")


async def remove(request: web.Request) -> web.Response:
    """Forget a device that is offline or faulty. What waits for it alone has failed."""
    worker_id = request.match_info["worker_id"]
    outcome = await request.app[STORE].fleet.remove(worker_id, force=query_of(request, RemoveQuery).force)
    request.app[DUTIES].poke()
    failed = outcome["failed"]
    message = "the worker is forgotten" + (f"; {failed} jobs that waited for it alone have failed" if failed else "")
    return json_response({"worker_id": worker_id, "removed": True, "failed_jobs": failed, "message": message})


async def health(request: web.Request) -> web.Response:
    """Whether a device lives, and how long ago it was heard of."""
    return json_response(await request.app[STORE].fleet.health(request.match_info["worker_id"]))


async def health_of_all(request: web.Request) -> web.Response:
    """Whether each device lives, and how long ago it was heard of."""
    workers = await request.app[STORE].fleet.health_of_all()
    healthy = sum(worker["is_healthy"] for worker in workers)
    return json_response(
        {"total": len(workers), "healthy": healthy, "unhealthy": len(workers) - healthy, "workers": workers}
    )


_CONFLICT: Final = (HTTPStatus.CONFLICT,)

ROUTES: Final = (
    Route(
        "GET",
        "/api/workers",
        list_workers,
        LOOK,
        "List devices",
        answers={200: answers_fleet.WorkerList},
        query=WorkersQuery,
    ),
    Route("GET", "/api/workers/{worker_id}", show, LOOK, "Show a device", answers={200: answers_fleet.Worker}),
    Route(
        "GET",
        "/api/workers/{worker_id}/health",
        health,
        LOOK,
        "Show a device's health",
        answers={200: answers_fleet.WorkerHealth},
    ),
    Route(
        "GET",
        "/api/health/workers",
        health_of_all,
        LOOK,
        "Show every device's health",
        answers={200: answers_fleet.FleetHealth},
    ),
    Route(
        "PUT",
        "/api/workers/{worker_id}/status",
        set_status,
        WORK_OR_OPERATE,
        "Set a device's status",
        answers={200: answers_fleet.WorkerState},
        body=StatusRequest,
    ),
    Route(
        "PUT",
        "/api/workers/{worker_id}/reset",
        recover,
        OPERATE,
        "Reset a faulty device",
        answers={200: answers_fleet.RecoveredWorker},
    ),
    Route(
        "POST",
        "/api/workers/{worker_id}/drain",
        drain,
        OPERATE,
        "Drain a device",
        answers={200: answers_fleet.DrainedWorker},
        body=DrainRequest,
        is_body_optional=True,
    ),
    Route(
        "POST",
        "/api/workers/{worker_id}/undrain",
        undrain,
        OPERATE,
        "Undrain a device",
        answers={200: answers_fleet.DrainedWorker},
    ),
    Route(
        "POST",
        "/api/workers/{worker_id}/check",
        check,
        OPERATE,
        "Check a device",
        answers={201: Content(type=answers_fleet.StartedCheckup, headers={"Location": "The checkup's campaign."})},
        refusals=_CONFLICT,
    ),
    Route(
        "DELETE",
        "/api/workers/{worker_id}",
        remove,
        OPERATE,
        "Remove a device",
        answers={200: answers_fleet.RemovedWorker},
        query=RemoveQuery,
        refusals=_CONFLICT,
    ),
)
