"""The application: its routes, and what every request passes through."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web

from daemons.core.errors import BenchfleetError
from daemons.core.models import MAX_BODY_BYTES
from daemons.orchestrator.api import campaigns, jobs, results, system, workers
from daemons.orchestrator.api.errors import problem, problem_of, problem_of_http
from daemons.orchestrator.api.guard import Guard, Handler, Role

log = structlog.get_logger("daemons.orchestrator.http")

GUARD = web.AppKey("guard", Guard)

_LOOK: Final = (Role.VIEWER, Role.OPERATOR, Role.WORKER)
_OPERATE: Final = (Role.OPERATOR,)
_WORK: Final = (Role.WORKER,)
_BOTH: Final = (Role.WORKER, Role.OPERATOR)

ROUTES: Final[tuple[tuple[str, str, Handler, tuple[Role, ...]], ...]] = (
    ("GET", "/api/health", system.health, _LOOK),
    ("GET", "/api/health/workers", workers.health_of_all, _LOOK),
    ("POST", "/api/reset", system.reset, _OPERATE),
    ("POST", "/api/register", workers.register, _WORK),
    ("GET", "/api/workers", workers.list_workers, _LOOK),
    ("GET", "/api/workers/{worker_id}", workers.show, _LOOK),
    ("PUT", "/api/workers/{worker_id}/status", workers.set_status, _BOTH),
    ("PUT", "/api/workers/{worker_id}/reset", workers.recover, _OPERATE),
    ("GET", "/api/workers/{worker_id}/health", workers.health, _LOOK),
    ("POST", "/api/workers/{worker_id}/heartbeat", workers.heartbeat, _WORK),
    ("POST", "/api/workers/{worker_id}/claim", workers.claim, _WORK),
    ("POST", "/api/workers/{worker_id}/goodbye", workers.goodbye, _WORK),
    ("POST", "/api/workers/{worker_id}/drain", workers.drain, _OPERATE),
    ("POST", "/api/workers/{worker_id}/undrain", workers.undrain, _OPERATE),
    ("POST", "/api/workers/{worker_id}/check", workers.check, _OPERATE),
    ("DELETE", "/api/workers/{worker_id}", workers.remove, _OPERATE),
    ("POST", "/api/campaigns", campaigns.submit, _OPERATE),
    ("GET", "/api/campaigns", campaigns.list_campaigns, _LOOK),
    ("GET", "/api/campaigns/{campaign_id}", campaigns.show, _LOOK),
    ("GET", "/api/campaigns/{campaign_id}/results", campaigns.results, _LOOK),
    ("POST", "/api/campaigns/{campaign_id}/cancel", campaigns.cancel, _OPERATE),
    ("POST", "/api/campaigns/{campaign_id}/retry", campaigns.retry, _OPERATE),
    ("GET", "/api/jobs/{job_id}", jobs.show, _LOOK),
    ("POST", "/api/jobs/{job_id}/result", jobs.report, _WORK),
    ("POST", "/api/jobs/{job_id}/release", jobs.release, _WORK),
    ("POST", "/api/jobs/{job_id}/cancel", jobs.cancel, _OPERATE),
    ("POST", "/api/jobs/{job_id}/retry", jobs.retry, _OPERATE),
    ("GET", "/api/queue/status", results.queue_status, _LOOK),
    ("GET", "/api/results/files", results.files, _LOOK),
    ("GET", "/api/results/download/{filename}", results.download, _LOOK),
    ("GET", "/api/monitoring/stats", system.monitoring_stats, _LOOK),
)

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
    status = 499  # the caller hung up before there was an answer
    try:
        response = await handler(request)
        status = response.status
        response.headers.update(_SECURITY_HEADERS)
    finally:
        is_routine = request.path.endswith(("/claim", "/heartbeat")) and status < HTTPStatus.BAD_REQUEST
        write = log.debug if is_routine else log.info
        write(
            "request answered",
            method=request.method,
            path=request.path,
            status=status,
            duration_ms=round((time.monotonic() - began) * 1000, 1),
            peer=request.remote,
        )
    return response


def _guarded(handler: Handler, roles: tuple[Role, ...]) -> Handler:
    async def check_then_handle(request: web.Request) -> web.StreamResponse:
        request.app[GUARD].check(request, roles)
        return await handler(request)

    return check_then_handle


def make_app(guard: Guard) -> web.Application:
    """The application without the parts that it serves from; `daemons.orchestrator.daemon` adds them."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_log_requests, _answer_errors])
    app[GUARD] = guard
    for method, path, handler, roles in ROUTES:
        app.router.add_route(method, path, _guarded(handler, roles))
    return app
