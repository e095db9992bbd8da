"""The application: its routes, and what every request passes through."""

from __future__ import annotations

import functools
import time
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web

from daemons.core.errors import BenchfleetError
from daemons.core.models import MAX_BODY_BYTES
from daemons.orchestrator.api import (
    agents,
    campaigns,
    documents,
    events,
    jobs,
    metrics,
    models,
    results,
    system,
    workers,
)
from daemons.orchestrator.api.context import METRICS
from daemons.orchestrator.api.errors import problem, problem_of, problem_of_http
from daemons.orchestrator.api.guard import Guard, Handler
from daemons.orchestrator.api.parameters import check_parameters
from daemons.orchestrator.api.routes import ROUTE, Route, Subject
from daemons.orchestrator.api.uploading import keep_silent

log = structlog.get_logger("daemons.orchestrator.http")

HUNG_UP: Final = 499
"""Noted as the status of a request whose caller did not wait for the answer."""

GUARD = web.AppKey("guard", Guard)

SUBJECTS: Final = (
    Subject("Campaigns", "A model and the jobs that benchmark it.", campaigns.ROUTES),
    Subject("Jobs and queues", "A job is one benchmark on one device.", jobs.ROUTES),
    Subject("Results", "What was measured.", results.ROUTES),
    Subject("Models", "Kept here for all devices: by name, and by SHA-256.", models.ROUTES),
    Subject("Events", "What happens in the fleet, as it happens.", events.ROUTES),
    Subject("Devices", "The fleet: watched, drained, checked, removed.", workers.ROUTES),
    Subject("Health and system", "The orchestrator itself, and this document.", (*system.ROUTES, *documents.ROUTES)),
    Subject("For workers", "What the program on each device asks.", agents.ROUTES),
)
"""Everything that can be asked of the API, in the order in which its document tells of it."""

ROUTES: Final = tuple(route for subject in SUBJECTS for route in subject.routes)

_SECURITY_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost edge: whatever goes wrong becomes a document that says so, and one line in the log."""
    try:
        return await handler(request)
    except BenchfleetError as error:
        return problem_of(error)
    except web.HTTPException as error:
        return problem_of_http(error, request)
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        sentence = "the orchestrator made a mistake; its log has the details, please report them"
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", sentence)


@web.middleware
async def _log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line per request; what idle and busy workers send all day is for debugging."""
    began = time.monotonic()
    status = HUNG_UP
    try:
        response = await handler(request)
        status = response.status
    finally:
        duration_s = time.monotonic() - began
        request.app[METRICS].answered(request.method, _route_of(request), status, duration_s)
        is_routine = request.path.endswith(("/claim", "/heartbeat")) and status < HTTPStatus.BAD_REQUEST
        write = log.debug if is_routine else log.info
        write(
            "request answered",
            method=request.method,
            path=request.path,
            status=status,
            duration_ms=round(duration_s * 1000, 1),
            peer=request.remote,
        )
    return response


def _route_of(request: web.Request) -> str | None:
    """The path as its table has it, with braces; None where there is nothing."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    """Said of every answer before its first byte, those included that are sent bit by bit."""
    response.headers.update(_SECURITY_HEADERS)


def _entrance(route: Route) -> Handler:
    """What a request passes through on its way to the route's handler."""

    async def check_then_handle(request: web.Request) -> web.StreamResponse:
        request.app[GUARD].check(request, route.roles, is_open=route.is_open)
        request[ROUTE] = route
        check_parameters(request, route)
        return await route.handler(request)

    return check_then_handle


@functools.cache
def _documents() -> documents.Documents:
    return documents.make_documents(SUBJECTS)


def make_app(guard: Guard) -> web.Application:
    """The application without the parts that it serves from; `daemons.orchestrator.daemon` adds them."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_log_requests, _answer_errors])
    app[GUARD] = guard
    app.on_response_prepare.append(_secure)
    app[documents.DOCUMENTS] = _documents()
    for route in (*ROUTES, metrics.ROUTE):
        entrance = _entrance(route)
        expect_handler = keep_silent if route.handler is models.upload else None
        app.router.add_route(route.method, route.path, entrance, expect_handler=expect_handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, entrance)
    return app
