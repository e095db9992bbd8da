"""The CSV files on disk, and the queues that lead to them."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from daemons.core import answers_fleet, answers_system
from daemons.orchestrator.api.bodies import json_response
from daemons.orchestrator.api.context import STORE, WRITER
from daemons.orchestrator.api.routes import CSV, LOOK, Content, Route
from daemons.orchestrator.outputs import list_results_files, results_file


async def queue_status(request: web.Request) -> web.Response:
    """How much waits where, all counted at one moment."""
    status = await request.app[STORE].queue.status()
    return json_response(
        {
            "worker_queues": status["workers"],
            "capability_queues": status["units"],
            "results_queue_size": status["results"],
            "waiting_for_retry": status["delayed"],
            "running": status["running"],
        }
    )


async def files(request: web.Request) -> web.Response:
    """The CSV files of ended campaigns, the newest first. Whatever has ended by now is among them."""
    writer = request.app[WRITER]
    await writer.flush()
    found = await asyncio.to_thread(list_results_files, writer.outputs)
    return json_response({"count": len(found), "files": found})


async def download(request: web.Request) -> web.StreamResponse:
    """One CSV file, as it lies on the orchestrator's disk."""
    writer = request.app[WRITER]
    await writer.flush()
    path = results_file(writer.outputs, request.match_info["filename"])
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": f'attachment; filename="{path.name}"'}
    return web.FileResponse(path, headers=headers)


ROUTES: Final = (
    Route("GET", "/api/queue/status", queue_status, LOOK, "Show the queues", answers={200: answers_fleet.QueueStatus}),
    Route(
        "GET", "/api/results/files", files, LOOK, "List files of results", answers={200: answers_system.ResultsFiles}
    ),
    Route(
        "GET",
        "/api/results/download/{filename}",
        download,
        LOOK,
        "Download a file of results",
        answers={200: Content(media=(CSV,))},
    ),
)
