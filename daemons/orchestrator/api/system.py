"""Health, statistics, and clearing everything."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

import daemons
from daemons.core.errors import StoreUnavailable
from daemons.orchestrator.api.bodies import json_response
from daemons.orchestrator.api.context import DISPATCHER, DUTIES, REAPER, SETTINGS, STORE, WRITER


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def health(request: web.Request) -> web.Response:
    """`GET /api/health`: 200 and healthy, 200 and degraded with `problems`, or 503 and unhealthy without Redis."""
    writer = request.app[WRITER]
    problems = [f"results can't be written: {writer.counts.last_error}"] if writer.counts.last_error else []
    document: dict[str, Any] = {"status": "healthy", "timestamp": _timestamp(), "version": daemons.__version__}
    try:
        redis = await request.app[STORE].server.facts()
    except StoreUnavailable as error:
        document |= {"status": "unhealthy", "redis": {"connected": False, "error": str(error)}, "error": str(error)}
        return json_response(
            document, HTTPStatus.SERVICE_UNAVAILABLE, **{"Retry-After": str(StoreUnavailable.retry_after_s)}
        )
    if problems:
        document |= {"status": "degraded", "problems": problems}
    return json_response(document | {"redis": redis})


async def monitoring_stats(request: web.Request) -> web.Response:
    """`GET /api/monitoring/stats`: what the duties of this replica have done, and what they watch."""
    app = request.app
    fleet, reaper, writer, duties = app[SETTINGS].fleet, app[REAPER].counts, app[WRITER].counts, app[DUTIES].state
    workers = await app[STORE].fleet.health_of_all()
    status = await app[STORE].queue.status()
    healthy = sum(worker["is_healthy"] for worker in workers)
    return json_response(
        {
            "timestamp": _timestamp(),
            "health_monitor": {
                "running": duties.is_held,
                "heartbeat_interval_s": fleet.heartbeat_interval_s,
                "heartbeat_timeout_s": fleet.heartbeat_timeout_s,
                "rounds": reaper.rounds,
                "workers_total": len(workers),
                "workers_healthy": healthy,
                "workers_unhealthy": len(workers) - healthy,
                "workers_lost": reaper.workers_lost,
                "attempts_lost": reaper.attempts_lost,
            },
            "timeout_handler": {
                "running": duties.is_held,
                "attempts_running": status["running"],
                "attempts_overdue": reaper.attempts_overdue,
                "waiting_for_retry": status["delayed"],
                "retries_brought_back": reaper.retries_brought_back,
                "max_lost_attempts": fleet.max_lost_attempts,
            },
            "results_writer": {"waiting": status["results"], **msgspec.to_builtins(writer)},
            "duties": {**msgspec.to_builtins(duties), "is_held": duties.is_held},
            "waiting_claims": len(app[DISPATCHER].doorbell),
        }
    )


async def reset(request: web.Request) -> web.Response:
    """`POST /api/reset`: workers, campaigns, jobs and results are gone from Redis; CSV files stay."""
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
