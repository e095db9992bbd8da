"""An orchestrator's API and duties over a store that the test has, served on a real socket; and a client to ask it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import structs

from daemons.core.settings import FleetSettings, HttpSettings, KeptModelSettings, OrchestratorSettings, WebhookSettings
from daemons.orchestrator import daemon
from daemons.orchestrator.api.guard import Guard, read_tokens
from daemons.orchestrator.api.routes import EVENT_STREAM, Route, content_of
from daemons.store import Store
from tests.support.contract import disagreements
from tests.support.store import CPU, URL, comes_true

SEED_DEVICE = {
    "device_name": "MacBook Pro",
    "ip_address": "192.168.1.100",
    "capabilities": ["CPU (ONNX)", "GPU (CoreML)"],
    "device_info": {"Soc": "Apple M2 Pro", "Ram": "16", "DeviceOs": "Darwin", "UDID": "unique-device-id"},
}
QUICK = FleetSettings(heartbeat_interval_s=5.0, duty_interval_s=0.05)


NOBODY = {
    "worker_id": "worker-0",
    "campaign_id": "campaign-1",
    "job_id": "campaign-1-job-0",
    "filename": "none.csv",
    "name": "none.onnx",
    "sha256": "0" * 64,
}


def filled(path: str) -> str:
    """A route's path below /api, about what is not there."""
    return path.removeprefix("/api").format_map(NOBODY)


def finite(route: Route) -> str:
    """The same, of an answer that comes to an end."""
    return filled(route.path) + ("?seconds=0" if content_of(route.answers.get(200)).media == (EVENT_STREAM,) else "")


@dataclass(frozen=True)
class Answer:
    """What came back. `document` is text where it isn't JSON."""

    status: int
    headers: Any
    document: Any

    @property
    def is_problem(self) -> bool:
        """Whether it is a refusal in the one form that all refusals have."""
        keys = {"type", "title", "status", "detail", "error", "code"}
        return (
            self.headers["Content-Type"].startswith("application/problem+json")
            and keys <= set(self.document)
            and self.document["status"] == self.status
            and len(self.document["error"]) > 10
        )


class Api:
    """Asks as curl would, and holds every answer to what the API's table of routes declares."""

    def __init__(self, url: str, session: aiohttp.ClientSession, parts: daemon.Parts) -> None:
        self.url = url
        self.session = session
        self.parts = parts

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request to `path` under /api. A body that is bytes is sent as it is."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if data is not None and len(data) > 2**20:
            data = io.BytesIO(data)  # the client warns of large bodies that are bytes
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, f"{self.url}/api{path}", data=data, headers=sent | named) as answer:
            content = await answer.read()
            wrong = disagreements(method, answer.url.raw_path, answer.status, answer.content_type, content)
            assert not wrong, f"{method} {path} answers {answer.status}: {'; '.join(wrong)}"
            is_json = answer.content_type.endswith(("/json", "+json")) and content
            return Answer(answer.status, answer.headers, json.loads(content) if is_json else content.decode())

    async def worker(self, name: str = "one", *units: str, **more: Any) -> str:
        """A registered device's identifier."""
        body = {"device_name": name, "capabilities": list(units or (CPU,)), "device_info": {"UDID": name}, **more}
        return str((await self("POST", "/register", body)).document["worker_id"])

    async def submit(self, *jobs: dict[str, Any], **headers: str) -> Any:
        """An accepted campaign (of one job on the CPU, if none is named)."""
        body = {"model_url": URL, "jobs": list(jobs) or [{"compute_unit": CPU}]}
        answer = await self("POST", "/campaigns", body, **headers)
        assert answer.status == 201, answer.document
        return answer.document

    async def claim(self, worker: str, wait: float = 0.0, **body: Any) -> Any:
        """The claimed job, or None."""
        answer = await self("POST", f"/workers/{worker}/claim?wait={wait}", body)
        assert answer.status in (200, 204), answer.document
        return answer.document["job"] if answer.status == 200 else None

    async def report(self, worker: str, job: Any, status: str = "Complete", **figures: Any) -> Answer:
        """A job's result, delivered."""
        body = {"worker_id": worker, "attempt": job["attempt"], "status": status, **figures}
        return await self("POST", f"/jobs/{job['job_id']}/result", body)

    async def becomes(self, path: str, wanted: dict[str, Any]) -> Any:
        """The document at `path` as soon as it holds all that is wanted."""

        async def look() -> Any:
            document = (await self("GET", path)).document
            return document if wanted.items() <= document.items() else None

        return await comes_true(look, f"{wanted} at {path}")


@asynccontextmanager
async def orchestrating(
    store: Store,
    outputs: Path,
    *,
    http: HttpSettings | None = None,
    fleet: FleetSettings = QUICK,
    models: KeptModelSettings | None = None,
    webhooks: WebhookSettings | None = None,
    duties: bool = True,
) -> AsyncIterator[Api]:
    """The API over `store`, and its duties, until the block ends. Models lie beside the `outputs`."""
    http = http or HttpSettings(port=0)
    settings = OrchestratorSettings(http=http, fleet=fleet, models=models or KeptModelSettings())
    settings = structs.replace(settings, webhooks=webhooks or settings.webhooks)
    outputs.mkdir(exist_ok=True)  # noqa: ASYNC240 (once, before anything runs)
    parts = daemon.Parts(settings, store, outputs, outputs.parent / "models")
    app = parts.application(Guard(settings.http, read_tokens(settings.http)))
    stop = asyncio.Event()
    services = daemon._services(parts, None) if duties else {}
    async with (
        daemon._serving(app, settings.http, parts.dispatcher) as url,
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):
        for service in services.values():
            group.create_task(service(stop))
        try:
            await _settled(parts, duties=duties)
            yield Api(url, session, parts)
        finally:
            stop.set()


async def _settled(parts: daemon.Parts, *, duties: bool) -> None:
    """Return once the duties have found their holder, if there is Redis."""

    async def look() -> bool:
        return not duties or parts.duties.state.holder is not None or parts.duties.state.store_is_away

    await comes_true(look, "the duties to be held")
