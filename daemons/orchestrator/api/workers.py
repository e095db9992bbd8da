"""Workers: registering, claiming, beating, their state and their health."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers, answers_fleet
from daemons.core.errors import Conflict, InvalidInput
from daemons.core.lifecycle import SETTABLE_WORKER_STATUSES
from daemons.core.models import (
    PROTOCOL_VERSION,
    BeatAnswer,
    ClaimRequest,
    DrainRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    Registered,
    RegisterRequest,
    StatusRequest,
)
from daemons.core.retries import policy_of
from daemons.core.units import is_unit_name
from daemons.orchestrator.api.bodies import json_response, read_json
from daemons.orchestrator.api.context import DISPATCHER, DUTIES, SETTINGS, STORE
from daemons.orchestrator.api.parameters import query_of
from daemons.orchestrator.api.routes import LOOK, OPERATE, WORK, WORK_OR_OPERATE, Content, Route

MAX_WAIT_S = 60.0


class ClaimQuery(Struct, frozen=True):
    """How a worker waits for a job."""

    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 0.0
    """Seconds to wait for a job if there is none now."""


class RemoveQuery(Struct, frozen=True):
    """How a device is removed."""

    force: bool = False
    """Also one that lives. It will register again by itself, as a new device."""


async def register(request: web.Request) -> web.Response:
    """Make a device known. The same `UDID` again is the same device; without one, the same name and address are."""
    registration = await read_json(request, RegisterRequest)
    _check_protocol(registration.protocol_version)
    for index, unit in enumerate(registration.capabilities):
        if not is_unit_name(unit):
            raise InvalidInput(
                f"capabilities[{index}]: must be a compute unit such as 'CPU (ONNX)', and is {unit[:60]!r}",
                field=f"capabilities[{index}]",
            )
    fleet = request.app[SETTINGS].fleet
    policy = policy_of(fleet)
    worker_id, action = await request.app[STORE].fleet.register(registration, policy)
    answer = Registered(
        worker_id=worker_id, status="registered", action=action, heartbeat_interval_s=fleet.heartbeat_interval_s
    )
    return json_response(answer, HTTPStatus.CREATED if action == "created" else HTTPStatus.OK)


def _check_protocol(version: int) -> None:
    if version == PROTOCOL_VERSION:
        return
    older = "the worker" if version < PROTOCOL_VERSION else "the orchestrator"
    raise Conflict(f"the worker speaks protocol {version} and this orchestrator {PROTOCOL_VERSION}: upgrade {older}")


async def claim(request: web.Request) -> web.StreamResponse:
    """Take the next job that the device can do. The same `claim_id` again gets the same job. A sign of life, too."""
    wait_s = query_of(request, ClaimQuery).wait
    wanted = await read_json(request, ClaimRequest)

    def is_gone() -> bool:
        return request.transport is None or request.transport.is_closing()

    job = await request.app[DISPATCHER].claim(request.match_info["worker_id"], wanted, wait_s, is_gone)
    return json_response({"job": job}) if job else web.Response(status=HTTPStatus.NO_CONTENT)


async def heartbeat(request: web.Request) -> web.Response:
    """A sign of life, with the attempt that runs and its progress. The answer may ask for its end."""
    beat = await read_json(request, HeartbeatRequest)
    if isinstance(beat.job_id, str) and beat.attempt is None:
        raise InvalidInput("attempt: is missing; a beat that names a job names its attempt, too", field="attempt")
    return json_response(await request.app[STORE].fleet.heartbeat(request.match_info["worker_id"], beat))


async def goodbye(request: web.Request) -> web.Response:
    """Leave in good order. What the device runs goes back to the queue. Its next sign of life brings it back."""
    worker_id = request.match_info["worker_id"]
    farewell = await read_json(request, GoodbyeRequest)
    status = await request.app[STORE].fleet.goodbye(worker_id, farewell.instance_id)
    return json_response({"worker_id": worker_id, "status": status})


async def list_workers(request: web.Request) -> web.Response:
    """Every device that has registered, the oldest first."""
    workers = await request.app[STORE].fleet.everyone()
    return json_response({"count": len(workers), "workers": workers})


async def show(request: web.Request) -> web.Response:
    """One device: what it is, what it does, how it fares."""
    return json_response(await request.app[STORE].fleet.get(request.match_info["worker_id"]))


async def set_status(request: web.Request) -> web.Response:
    """Set a device's status by hand. `faulty` gives its job back to the queue; the others never touch a job."""
    worker_id = request.match_info["worker_id"]
    wanted = (await read_json(request, StatusRequest)).status
    if wanted not in SETTABLE_WORKER_STATUSES:
        allowed = ", ".join(SETTABLE_WORKER_STATUSES)
        raise InvalidInput(f"status: must be one of {allowed}, and is {wanted.value!r}", field="status")
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


_CREATED: Final = Content(type=Registered, text="A device that was not known.")
_CONFLICT: Final = (HTTPStatus.CONFLICT,)

ROUTES: Final = (
    Route(
        "GET",
        "/api/workers",
        list_workers,
        LOOK,
        "List devices",
        answers={200: answers_fleet.WorkerList},
    ),
    Route(
        "GET",
        "/api/workers/{worker_id}",
        show,
        LOOK,
        "Show a device",
        answers={200: answers_fleet.Worker},
    ),
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
    Route(
        "POST",
        "/api/register",
        register,
        WORK,
        "Register a device",
        answers={200: Content(type=Registered, text="A device that was known."), 201: _CREATED},
        body=RegisterRequest,
        refusals=_CONFLICT,
    ),
    Route(
        "POST",
        "/api/workers/{worker_id}/heartbeat",
        heartbeat,
        WORK,
        "Show a sign of life",
        answers={200: BeatAnswer},
        body=HeartbeatRequest,
        is_body_optional=True,
        refusals=_CONFLICT,
    ),
    Route(
        "POST",
        "/api/workers/{worker_id}/claim",
        claim,
        WORK,
        "Claim a job",
        answers={200: answers.ClaimAnswer, 204: Content(media=(), text="No job came in the time.")},
        query=ClaimQuery,
        body=ClaimRequest,
        is_body_optional=True,
        refusals=_CONFLICT,
    ),
    Route(
        "POST",
        "/api/workers/{worker_id}/goodbye",
        goodbye,
        WORK,
        "Leave",
        answers={200: answers_fleet.WorkerState},
        body=GoodbyeRequest,
        is_body_optional=True,
        refusals=_CONFLICT,
    ),
)
