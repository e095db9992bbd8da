"""Health, statistics, and clearing everything."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

import daemons
from daemons.core import answers_system
from daemons.core.errors import NotAllowed, StoreUnavailable
from daemons.orchestrator.api.bodies import json_response
from daemons.orchestrator.api.context import DISPATCHER, DUTIES, REAPER, SETTINGS, STORE, WRITER
from daemons.orchestrator.api.guard import is_loopback
from daemons.orchestrator.api.routes import LOOK, OPERATE, Content, Route
from daemons.orchestrator.duties import DutyRounds
from daemons.orchestrator.health import UNHEALTHY, judge
from daemons.store.duties import FleetFacts

COUNTERS: Final = (
    "retries",
    "lost_silent",
    "lost_restarted",
    "lost_overdue",
    "device_failures",
    "poison",
    "campaigns_forgotten",
    "webhooks_delivered",
    "webhook_failures",
    "webhooks_given_up",
    "checkups_started",
    "checkups_passed",
    "checkups_failed",
)
"""What is counted for the whole fleet since the last reset: attempts tried again, and why they had ended; checkups."""


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def health(request: web.Request) -> web.Response:
    """Whether the orchestrator can do its work: healthy; degraded, with `problems`; or unhealthy, which is 503."""
    app = request.app
    document: dict[str, Any] = {"status": UNHEALTHY, "timestamp": _timestamp(), "version": daemons.__version__}
    try:
        redis, fleet = await app[STORE].server.facts(), await app[STORE].duties.facts()
    except StoreUnavailable as error:
        document |= {"redis": {"connected": False, "error": str(error)}, "error": str(error), "problems": [str(error)]}
        return _unhealthy(document)
    status, problems = judge(redis, fleet, app[DUTIES].replica)
    document |= {"status": status, "problems": problems, "redis": redis, "duties": _duties(app[DUTIES], fleet)}
    return _unhealthy(document) if status == UNHEALTHY else json_response(document)


def _unhealthy(document: dict[str, Any]) -> web.Response:
    retry_after = str(StoreUnavailable.retry_after_s)
    return json_response(document, HTTPStatus.SERVICE_UNAVAILABLE, **{"Retry-After": retry_after})


def _duties(rounds: DutyRounds, fleet: FleetFacts) -> dict[str, Any]:
    """Who does the duties, and how long ago each was done, by whichever replica."""
    return {
        "replica": rounds.state.replica,
        "holder": fleet.holder,
        "is_held": rounds.state.is_held,
        "lag_s": {name: round(fleet.duties[name] / 1000, 1) for name in rounds.names if name in fleet.duties},
    }


async def redis_address(request: web.Request) -> web.Response:
    """Where Redis is, so that a dashboard on this machine can listen to events there itself."""
    if request.remote and not is_loopback(request.remote):
        raise NotAllowed("where Redis is, is told to programs on the orchestrator's own machine alone")
    store = request.app[STORE]
    position = await store.events.position()
    return json_response({"url": store.public_url, "prefix": store.prefix, "epoch": position.epoch})


async def monitoring_stats(request: web.Request) -> web.Response:
    """What has happened to the fleet's jobs, and what this orchestrator's duties have done."""
    app = request.app
    fleet_settings, reaper, writer = app[SETTINGS].fleet, app[REAPER].counts, app[WRITER].counts
    store, duties = app[STORE], app[DUTIES]
    workers, status, fleet = await store.fleet.health_of_all(), await store.queue.status(), await store.duties.facts()
    healthy = sum(worker["is_healthy"] for worker in workers)
    oldest_ms = fleet.oldest_result_ms
    return json_response(
        {
            "timestamp": _timestamp(),
            "health_monitor": {
                "running": duties.state.is_held,
                "heartbeat_interval_s": fleet_settings.heartbeat_interval_s,
                "heartbeat_timeout_s": fleet_settings.heartbeat_timeout_s,
                "rounds": reaper.rounds,
                "workers_total": len(workers),
                "workers_healthy": healthy,
                "workers_unhealthy": len(workers) - healthy,
                "workers_lost": reaper.workers_lost,
                "attempts_lost": reaper.attempts_lost,
            },
            "timeout_handler": {
                "running": duties.state.is_held,
                "attempts_running": status["running"],
                "attempts_overdue": reaper.attempts_overdue,
                "waiting_for_retry": status["delayed"],
                "retries_brought_back": reaper.retries_brought_back,
                "max_lost_attempts": fleet_settings.max_lost_attempts,
            },
            "results_writer": {
                "waiting": status["results"],
                "oldest_waits_s": None if oldest_ms is None else round(oldest_ms / 1000, 1),
                **msgspec.to_builtins(writer),
            },
            "fleet": {
                **{name: fleet.counters.get(name, 0) for name in COUNTERS},
                "undelivered_results": fleet.undelivered,
                "webhooks_pending": fleet.webhooks_pending,
                "campaigns_leaving": fleet.leaving,
            },
            "duties": {**_duties(duties, fleet), "store_is_away": duties.state.store_is_away},
            "waiting_claims": len(app[DISPATCHER].doorbell),
        }
    )


async def reset(request: web.Request) -> web.Response:
    """Forget all devices, campaigns, jobs and results. CSV files stay."""
    counts = await request.app[STORE].server.reset()
    message = (
        f"removed {counts['workers']} workers, {counts['campaigns']} campaigns and {counts['jobs']} jobs; "
        "CSV files stay, and running workers register anew"
    )
    return json_response(
        {
            "status": "reset",
            "message": message,
            "workers_cleared": True,
            "campaigns_cleared": True,
            "jobs_cleared": True,
            "queues_cleared": True,
            "results_cleared": True,
            "counts": {name: counts[name] for name in ("workers", "campaigns", "jobs")},
        }
    )


ROUTES: Final = (
    Route(
        "GET",
        "/api/health",
        health,
        LOOK,
        "Show the orchestrator's health",
        answers={
            200: answers_system.Health,
            503: Content(
                type=answers_system.Health,
                text="It can't do its work.",
                headers={"Retry-After": "Seconds after which it may."},
            ),
        },
    ),
    Route(
        "GET",
        "/api/monitoring/stats",
        monitoring_stats,
        LOOK,
        "Show statistics",
        answers={200: answers_system.MonitoringStats},
    ),
    Route(
        "GET",
        "/api/redis",
        redis_address,
        OPERATE,
        "Show where Redis is",
        answers={200: answers_system.RedisAddress},
    ),
    Route("POST", "/api/reset", reset, OPERATE, "Clear everything", answers={200: answers_system.ResetDone}),
)
