"""What a device's own program asks: registering, claiming, beating, reporting, handing back, leaving."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct, structs

from daemons.core import answers, answers_fleet
from daemons.core.errors import Conflict, InvalidInput
from daemons.core.models import (
    PROTOCOL_VERSION,
    BeatAnswer,
    ClaimRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    Registered,
    RegisterRequest,
    ReleaseRequest,
)
from daemons.core.results import JobReport
from daemons.core.retries import policy_of
from daemons.core.units import is_unit_name
from daemons.orchestrator.api import examples
from daemons.orchestrator.api.bodies import json_response, read_json
from daemons.orchestrator.api.context import DISPATCHER, DUTIES, PULLER, SETTINGS, STORE
from daemons.orchestrator.api.parameters import query_of
from daemons.orchestrator.api.routes import WORK, Content, Route
from daemons.orchestrator.checkups import judgement_on

MAX_WAIT_S: Final = 60.0


class ClaimQuery(Struct, frozen=True):
    """How a worker waits for a job."""

    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 0.0
    """Seconds to wait for a job if there is none now."""


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
    if job is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    return json_response({"job": structs.replace(job, pull_through=request.app[PULLER].may_have(job))})


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


_CREATED: Final = Content(type=Registered, text="A device that was not known.")
_CONFLICT: Final = (HTTPStatus.CONFLICT,)

ROUTES: Final = (
    Route(
        "POST",
        "/api/register",
        register,
        WORK,
        "Register a device",
        answers={200: Content(type=Registered, text="A device that was known."), 201: _CREATED},
        body=Content(type=RegisterRequest, example=examples.REGISTER_REQUEST),
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
        "/api/jobs/{job_id}/result",
        report,
        WORK,
        "Deliver a result",
        answers={200: answers.ReportedJob},
        body=Content(type=JobReport, example=examples.JOB_REPORT),
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
