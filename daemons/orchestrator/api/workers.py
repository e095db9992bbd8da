"""Workers: registering, claiming, beating, their state and their health."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from daemons.core.errors import Conflict, InvalidInput
from daemons.core.lifecycle import SETTABLE_WORKER_STATUSES
from daemons.core.models import (
    PROTOCOL_VERSION,
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
from daemons.orchestrator.api.bodies import json_response, query_flag, query_number, read_json
from daemons.orchestrator.api.context import DISPATCHER, DUTIES, SETTINGS, STORE

MAX_WAIT_S = 60.0


async def register(request: web.Request) -> web.Response:
    """`POST /api/register`."""
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
    """`POST /api/workers/{worker_id}/claim?wait=S`: 200 with a job, or 204."""
    wait_s = query_number(request, "wait", default=0.0, least=0.0, most=MAX_WAIT_S)
    wanted = await read_json(request, ClaimRequest, empty=ClaimRequest())

    def is_gone() -> bool:
        return request.transport is None or request.transport.is_closing()

    job = await request.app[DISPATCHER].claim(request.match_info["worker_id"], wanted, wait_s, is_gone)
    return json_response({"job": job}) if job else web.Response(status=HTTPStatus.NO_CONTENT)


async def heartbeat(request: web.Request) -> web.Response:
    """`POST /api/workers/{worker_id}/heartbeat`."""
    beat = await read_json(request, HeartbeatRequest, empty=HeartbeatRequest())
    if isinstance(beat.job_id, str) and beat.attempt is None:
        raise InvalidInput("attempt: is missing; a beat that names a job names its attempt, too", field="attempt")
    return json_response(await request.app[STORE].fleet.heartbeat(request.match_info["worker_id"], beat))


async def goodbye(request: web.Request) -> web.Response:
    """`POST /api/workers/{worker_id}/goodbye`."""
    worker_id = request.match_info["worker_id"]
    farewell = await read_json(request, GoodbyeRequest, empty=GoodbyeRequest())
    status = await request.app[STORE].fleet.goodbye(worker_id, farewell.instance_id)
    return json_response({"worker_id": worker_id, "status": status})


async def list_workers(request: web.Request) -> web.Response:
    """`GET /api/workers`."""
    workers = await request.app[STORE].fleet.everyone()
    return json_response({"count": len(workers), "workers": workers})


async def show(request: web.Request) -> web.Response:
    """`GET /api/workers/{worker_id}`."""
    return json_response(await request.app[STORE].fleet.get(request.match_info["worker_id"]))


async def set_status(request: web.Request) -> web.Response:
    """`PUT /api/workers/{worker_id}/status`."""
    worker_id = request.match_info["worker_id"]
    wanted = (await read_json(request, StatusRequest)).status
    if wanted not in SETTABLE_WORKER_STATUSES:
        allowed = ", ".join(SETTABLE_WORKER_STATUSES)
        raise InvalidInput(f"status: must be one of {allowed}, and is {wanted.value!r}", field="status")
    status = await request.app[STORE].fleet.set_status(worker_id, wanted, "set by hand through the API")
    return json_response({"worker_id": worker_id, "status": status})


async def recover(request: web.Request) -> web.Response:
    """`PUT /api/workers/{worker_id}/reset`."""
    worker_id = request.match_info["worker_id"]
    status, is_changed = await request.app[STORE].fleet.recover(worker_id)
    message = "the worker is active again" if is_changed else f"the worker was not faulty; it stays {status}"
    return json_response({"worker_id": worker_id, "status": status, "message": message})


async def drain(request: web.Request) -> web.Response:
    """`POST /api/workers/{worker_id}/drain`: it ends what it runs and takes nothing more."""
    worker_id = request.match_info["worker_id"]
    reason = (await read_json(request, DrainRequest, empty=DrainRequest())).reason
    outcome = await request.app[STORE].fleet.drain(worker_id, reason)
    job_id = outcome.get("job_id")
    message = f"the worker takes no more jobs once {job_id} has ended" if job_id else "the worker takes no more jobs"
    return json_response({"worker_id": worker_id, "status": outcome["status"], "drained": True, "message": message})


async def undrain(request: web.Request) -> web.Response:
    """`POST /api/workers/{worker_id}/undrain`: it takes jobs again."""
    worker_id = request.match_info["worker_id"]
    outcome = await request.app[STORE].fleet.drain(worker_id, None)
    message = "the worker takes jobs again"
    return json_response({"worker_id": worker_id, "status": outcome["status"], "drained": False, "message": message})


async def check(request: web.Request) -> web.Response:
    """`POST /api/workers/{worker_id}/check`: a checkup of this device, before its other jobs."""
    worker_id = request.match_info["worker_id"]
    started = await request.app[STORE].health.start(worker_id)
    message = f"the worker measures the reference model on {started['jobs']} of its units as soon as it is free"
    campaign_id = started["campaign_id"]
    answer = {"worker_id": worker_id, "campaign_id": campaign_id, "total_jobs": started["jobs"], "message": message}
    return json_response(answer, HTTPStatus.CREATED, Location=f"/api/campaigns/{campaign_id}")


async def remove(request: web.Request) -> web.Response:
    """`DELETE /api/workers/{worker_id}`: the device is forgotten; what waits for it alone has failed."""
    worker_id = request.match_info["worker_id"]
    outcome = await request.app[STORE].fleet.remove(worker_id, force=query_flag(request, "force"))
    request.app[DUTIES].poke()
    failed = outcome["failed"]
    message = "the worker is forgotten" + (f"; {failed} jobs that waited for it alone have failed" if failed else "")
    return json_response({"worker_id": worker_id, "removed": True, "failed_jobs": failed, "message": message})


async def health(request: web.Request) -> web.Response:
    """`GET /api/workers/{worker_id}/health`."""
    return json_response(await request.app[STORE].fleet.health(request.match_info["worker_id"]))


async def health_of_all(request: web.Request) -> web.Response:
    """`GET /api/health/workers`."""
    workers = await request.app[STORE].fleet.health_of_all()
    healthy = sum(worker["is_healthy"] for worker in workers)
    return json_response(
        {"total": len(workers), "healthy": healthy, "unhealthy": len(workers) - healthy, "workers": workers}
    )
