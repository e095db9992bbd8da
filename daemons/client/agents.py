"""What the program on a device asks: it registers, claims, beats, reports. Its own patience decides on repeating."""

from __future__ import annotations

import msgspec

from daemons.client.address import segment
from daemons.client.connection import UPLOAD_TIMEOUT_S, Connection, Document
from daemons.core import answers, answers_models, models


class Agents(Connection):
    """Requests of workers."""

    async def register(self, request: models.RegisterRequest) -> models.Registered:
        """Make this device known; the same UDID again is the same worker."""
        return await self._typed(models.Registered, "POST", "register", request)

    async def claim(
        self, worker_id: str, request: models.ClaimRequest, *, wait_s: float = 25.0
    ) -> models.ClaimedJob | None:
        """The job that the worker shall do, or None when there was none for `wait_s` seconds."""
        path = f"workers/{segment(worker_id)}/claim"
        body = await self._send("POST", path, request, query={"wait": wait_s}, extra_s=wait_s)
        return self._decode(body, answers.ClaimAnswer).job if body else None

    async def heartbeat(self, worker_id: str, request: models.HeartbeatRequest) -> models.BeatAnswer:
        """A sign of life, and what the orchestrator wants of the worker."""
        return await self._typed(models.BeatAnswer, "POST", f"workers/{segment(worker_id)}/heartbeat", request)

    async def result(self, job_id: str, report: msgspec.Raw | msgspec.Struct | Document) -> Document:
        """Deliver a report. The same one again is answered like the first."""
        body = await self._send("POST", f"jobs/{segment(job_id)}/result", report, extra_s=UPLOAD_TIMEOUT_S)
        return self._decode(body, Document)

    async def release(self, job_id: str, request: models.ReleaseRequest) -> Document:
        """Hand a claimed job back unharmed."""
        return await self._typed(Document, "POST", f"jobs/{segment(job_id)}/release", request)

    async def goodbye(self, worker_id: str, request: models.GoodbyeRequest) -> Document:
        """Leave in good order."""
        return await self._typed(Document, "POST", f"workers/{segment(worker_id)}/goodbye", request)

    async def campaign_model(
        self, campaign_id: str, *, wait_s: float = 20.0, job_id: str | None = None
    ) -> answers_models.CampaignModel:
        """Where a worker gets the model of a campaign's job from; the orchestrator may be fetching it for `wait_s`."""
        path = f"campaigns/{segment(campaign_id)}/model"
        body = await self._send("POST", path, query={"wait": wait_s, "job_id": job_id}, extra_s=wait_s)
        return self._decode(body, answers_models.CampaignModel)
