"""`GET /metrics`, for Prometheus: outside of /api, and not of its document."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from daemons.core.errors import StoreUnavailable
from daemons.orchestrator.api.context import DISPATCHER, DUTIES, FEED, METRICS, STORE
from daemons.orchestrator.api.routes import LOOK, Content, Route
from daemons.orchestrator.metrics import Fleet, Here

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(request: web.Request) -> web.Response:
    """The fleet and this orchestrator in numbers. Without Redis, what this orchestrator knows of itself."""
    app = request.app
    here = Here(len(app[FEED]), len(app[DISPATCHER].doorbell), app[DUTIES].state.is_held)
    body = app[METRICS].exposition(await _fleet(app), here)
    return web.Response(body=body, headers={"Content-Type": TEXT})


async def _fleet(app: web.Application) -> Fleet | None:
    store, duties = app[STORE], app[DUTIES].replica.duties
    try:
        return Fleet(await store.census.take(), await store.duties.facts(), await store.outbox.size(), duties)
    except StoreUnavailable:
        return None


ROUTE: Final = Route(
    "GET",
    "/metrics",
    metrics,
    LOOK,
    "Metrics for Prometheus",
    answers={200: Content(media=("text/plain",))},
    needs_store=False,
)
