"""The lease of a job: beats while it is worked on, and what their answers mean for the attempt.

A silent orchestrator means nothing at all: the measuring goes on, and the result is delivered later.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from daemons.client import Client
from daemons.core.errors import Conflict, NotFound, OrchestratorUnavailable, WorkerReplaced
from daemons.core.models import BeatAnswer, ClaimedJob, HeartbeatRequest, Progress
from daemons.worker.membership import Membership
from daemons.worker.patience import MAY_PASS, Contact

log = structlog.get_logger(__name__)

LEAST_PATIENCE_S: Final = 2.0


class Standing:
    """How far the attempt is, as the next beat will say it. The one value that work and beats share."""

    def __init__(self) -> None:
        self.progress = Progress(phase="starting")

    def advance(self, progress: Progress) -> None:
        """Note how far the attempt is now."""
        self.progress = progress


class Cancelled(msgspec.Struct, frozen=True):
    """The attempt is to be ended, and reported as cancelled."""


class Lost(msgspec.Struct, frozen=True):
    """The attempt is somebody else's by now, or nobody's: it is to be dropped without a word."""

    reason: str


class Lease:
    """Holds one attempt of one job for this worker."""

    def __init__(
        self, client: Client, contact: Contact, membership: Membership, job: ClaimedJob, standing: Standing
    ) -> None:
        self._client = client
        self._contact = contact
        self._membership = membership
        self._job = job
        self._standing = standing
        self._was_forgotten = False

    async def keep(self) -> Cancelled | Lost:
        """Beat until an answer ends the attempt. Raises WorkerReplaced when this process is to end with it."""
        while True:
            await asyncio.sleep(self._membership.heartbeat_interval_s)
            verdict = await self._beat()
            if verdict is not None:
                return verdict

    async def _beat(self) -> Cancelled | Lost | None:
        try:
            answer = await self._contact.ask(self._send)
        except MAY_PASS:
            return None
        except NotFound:
            return await self._come_back()
        except WorkerReplaced:
            raise
        except Conflict as conflict:
            return Lost(str(conflict))
        self._was_forgotten = False
        return Cancelled() if answer.cancel == self._job.job_id else None

    async def _send(self) -> BeatAnswer:
        """One beat. A request that hangs is given up in time for the next one."""
        patience_s = max(self._membership.heartbeat_interval_s, LEAST_PATIENCE_S)
        request = HeartbeatRequest(
            instance_id=self._membership.instance_id,
            job_id=self._job.job_id,
            attempt=self._job.attempt,
            progress=self._standing.progress,
        )
        try:
            async with asyncio.timeout(patience_s):
                return await self._client.heartbeat(self._membership.worker_id, request)
        except TimeoutError as error:
            raise OrchestratorUnavailable(f"a beat was not answered within {patience_s:g} s") from error

    async def _come_back(self) -> Lost | None:
        """The orchestrator has forgotten this worker, or the job: the beat after registering again will tell."""
        if self._was_forgotten:
            return Lost("the orchestrator has no such job any more")
        log.warning("worker or its job was unknown to the orchestrator", job_id=self._job.job_id)
        try:
            await self._membership.join_again()
        except MAY_PASS:
            return None
        self._was_forgotten = True
        return None
