"""A server that tells of a large and busy fleet, as the orchestrator would: devices, jobs, many events a second.

``python -m tests.support.busy_fleet DEVICES JOBS EVENTS_PER_S`` prints its address and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from tests.support.board_documents import EPOCH, campaign, job, worker

TICK_S = 0.02


class BusyFleet:
    """What is asked, and what happens."""

    def __init__(self, devices: int, jobs: int, events_per_s: int) -> None:
        self.devices = [worker(number, number + 1, device_name=f"device-{number:05d}") for number in range(devices)]
        self.jobs = jobs
        self.events_per_s = events_per_s
        self.campaign = campaign(1, devices + 1, {"pending": jobs})
        self.seq = devices + 1
        self._turns = itertools.cycle(range(max(1, devices)))

    def application(self) -> web.Application:
        """The routes that a dashboard needs."""
        app = web.Application()
        app.router.add_get("/api/health", self._health)
        app.router.add_get("/api/workers", self._workers)
        app.router.add_get("/api/workers/{id}/health", self._heard)
        app.router.add_get("/api/campaigns", lambda _: web.json_response({"count": 1, "campaigns": [self.campaign]}))
        app.router.add_get("/api/jobs", self._jobs)
        app.router.add_get("/api/queue/status", self._queues)
        app.router.add_get("/api/events", self._events)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        now = datetime.now(UTC).isoformat()
        return web.json_response({"status": "healthy", "timestamp": now, "redis": {"connected": True}})

    async def _heard(self, request: web.Request) -> web.Response:
        return web.json_response({"worker_id": request.match_info["id"], "seconds_since_heartbeat": 1.0})

    async def _queues(self, _: web.Request) -> web.Response:
        queues: dict[str, Any] = {"worker_queues": {}, "capability_queues": {"CPU (ONNX)": self.jobs}}
        return web.json_response(queues | {"tagged_queues": [], "results_queue_size": 0, "waiting_for_retry": 0})

    async def _workers(self, request: web.Request) -> web.Response:
        return self._page(request, "workers", len(self.devices), lambda at: self.devices[at])

    async def _jobs(self, request: web.Request) -> web.Response:
        return self._page(request, "jobs", self.jobs, lambda at: job(at, 1, 1))

    def _page(self, request: web.Request, name: str, total: int, item: Any) -> web.Response:
        start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 1000))
        end = min(total, start + limit)
        more = {"next_cursor": str(end)} if end < total else {}
        body = msgspec.json.encode({"count": end - start, name: [item(at) for at in range(start, end)], **more})
        return web.Response(body=body, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(self._frame("ready", {}, self.seq))
        began, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * self.events_per_s) - sent
            await response.write(b"".join(self._next() for _ in range(due)) or b": \n\n")
            sent += due
            await asyncio.sleep(TICK_S)

    def _next(self) -> bytes:
        self.seq += 1
        number = next(self._turns)
        known = self.devices[number]
        is_busy = known["status"] == "busy"
        known["status"], known["version"] = "active" if is_busy else "busy", self.seq
        known["current_job"] = None if is_busy else f"campaign-1-job-{number}"
        known["jobs_complete"] += is_busy
        return self._frame("worker", known, self.seq)

    def _frame(self, kind: str, state: dict[str, Any], seq: int) -> bytes:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = {"type": kind, "seq": seq, "epoch": EPOCH, "at": now, "state": state}
        return f"id: {EPOCH}-{seq}\nevent: {kind}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()


async def main(devices: int, jobs: int, events_per_s: int) -> None:
    """Serve until cancelled."""
    runner = web.AppRunner(BusyFleet(devices, jobs, events_per_s).application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
