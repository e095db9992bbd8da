"""An orchestrator over real sockets that remembers what it was asked, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiohttp import web

DROP_REPLY = "drop the reply"
"""A fault: the request takes effect, and the connection is cut before the answer."""


def refusal(status: int, code: str) -> web.Response:
    """A fault: an error document, and no effect."""
    body = {"status": status, "code": code, "error": f"refused with {code}", "title": code}
    return web.json_response(body, status=status, content_type="application/problem+json")


class FakeOrchestrator:
    """Queues jobs, hands them out by claim id, records. `faults[kind]` is used up one request at a time."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any]] = []
        self.headers: list[Any] = []
        self.faults: dict[str, deque[Any]] = defaultdict(deque)
        self.jobs: deque[dict[str, Any]] = deque()
        self.results: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Callable[[], web.Response | dict[str, Any]]] = {}
        self.heartbeat_interval_s = 0.02
        self.cancel: str | None = None
        self.url = ""
        self._claims: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Condition()

    def count(self, kind: str) -> int:
        """How many requests of this kind have come."""
        return sum(1 for name, _, _ in self.seen if name == kind)

    def bodies(self, kind: str) -> list[Any]:
        """What was sent with them."""
        return [body for name, _, body in self.seen if name == kind]

    async def until(self, fact: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Return once `fact` holds; it is looked at when a request comes and when it is answered."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(fact)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record a request, then answer it, or do what a fault says."""
        kind = request.raw_path.partition("?")[0].rsplit("/", 1)[-1]
        body = json.loads(await request.read() or b"null")
        self.seen.append((kind, request.raw_path, body))
        self.headers.append(request.headers.copy())
        await self._tell()
        fault = self.faults[kind].popleft() if self.faults[kind] else None
        try:
            if isinstance(fault, web.Response):
                return fault
            answer = await self._answer(kind, request, body)
        finally:
            await self._tell()
        if fault == DROP_REPLY:
            assert request.transport is not None
            request.transport.abort()
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, kind: str, request: web.Request, body: Any) -> web.Response | dict[str, Any]:
        if kind in self.answers:
            return self.answers[kind]()
        match kind:
            case "register":
                interval = self.heartbeat_interval_s
                return {
                    "worker_id": "worker-1",
                    "status": "registered",
                    "action": "created",
                    "heartbeat_interval_s": interval,
                }
            case "claim":
                return await self._claim(body["claim_id"], request)
            case "heartbeat":
                return {"worker_id": "worker-1", "status": "busy", "action": "updated", "cancel": self.cancel}
            case "result":
                return self._take(request.path.split("/")[-2], body)
            case _:
                return {"status": "ok"}

    async def _claim(self, claim_id: str, request: web.Request) -> web.Response | dict[str, Any]:
        if claim_id not in self._claims:
            for _ in range(100):  # a short poll: the tests' workers ask again
                if request.transport is None or request.transport.is_closing():
                    break
                if self.jobs:
                    self._claims[claim_id] = self.jobs.popleft()
                    break
                await asyncio.sleep(0.01)
        job = self._claims.get(claim_id)
        return {"job": job} if job else web.Response(status=204)

    def _take(self, job_id: str, body: dict[str, Any]) -> dict[str, Any]:
        duplicate = any(job == job_id for job, _ in self.results)
        if not duplicate:
            self.results.append((job_id, body))
        return {"job_id": job_id, "status": "complete", "duplicate": duplicate}


@contextlib.asynccontextmanager
async def serving(fake: FakeOrchestrator, port: int = 0) -> AsyncIterator[FakeOrchestrator]:
    """Serve on loopback; `port` brings it back where it was before."""
    app = web.Application()
    app.router.add_route("*", "/api/{tail:.*}", fake.handle)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def a_job(job_id: str = "campaign-1-job-0", *, attempt: int = 1, **changes: Any) -> dict[str, Any]:
    """A claimed job as the wire has it."""
    job = {
        "job_id": job_id,
        "campaign_id": "campaign-1",
        "attempt": attempt,
        "model_url": "http://127.0.0.1:9/model.onnx",
        "compute_unit": "CPU (ONNX)",
    }
    return msgspec.to_builtins(job | changes)
