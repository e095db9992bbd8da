"""The worker's one loop: deliver what is owed, claim, work, settle, and again, until it is told to stop.

A job's path is a line of values: `ClaimedJob` → `Ending` → what the orchestrator is told. Each step takes one and
returns the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from daemons.client import Client
from daemons.core.errors import BenchfleetError
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import ClaimedJob, ReleaseRequest
from daemons.core.results import Outcome, report
from daemons.worker.attempt import Attempts, without_figures
from daemons.worker.claim import Claims
from daemons.worker.deliver import Delivery, Outbox
from daemons.worker.lease import Cancelled, Lease, Lost, Standing
from daemons.worker.membership import Membership
from daemons.worker.patience import Contact, first_of, unless

log = structlog.get_logger(__name__)

RELEASE_TIMEOUT_S: Final = 3.0
LAST_DELIVERY_S: Final = 5.0
"""How long a worker that leaves tries to deliver. What is left then waits on disk for its next start."""

NOT_BEGUN: Final = frozenset({"starting", "waiting"})


class Ended(msgspec.Struct, frozen=True):
    """The attempt has an outcome, to be reported."""

    outcome: Outcome


class HandedBack(msgspec.Struct, frozen=True):
    """The attempt was broken off here and the job goes back to the queue, unharmed."""

    reason: str


Ending = Ended | Cancelled | HandedBack | Lost


class Uplink(msgspec.Struct, frozen=True):
    """The ways from this worker to the orchestrator."""

    client: Client
    contact: Contact
    membership: Membership


class Agent:
    """A worker at work. `say` is told, in a few words, what it is doing."""

    def __init__(
        self,
        uplink: Uplink,
        attempts: Attempts,
        outbox: Outbox,
        *,
        drain_timeout_s: float,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._uplink = uplink
        self._attempts = attempts
        self._outbox = outbox
        self._drain_timeout_s = drain_timeout_s
        self._say = say
        self._claims = Claims(uplink.client, uplink.contact, uplink.membership, refused=lambda: outbox.refused)
        self._delivery = Delivery(uplink.client, uplink.contact, outbox)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end in good order. Raises WorkerReplaced when another process took over."""
        try:
            await unless(stop, self._arrive())
            while not stop.is_set():
                job = await unless(stop, self._next_job())
                if job is not None:
                    await self._settle(job, await self._work(job, stop))
            await self._leave()
        finally:
            await self._attempts.close()

    async def _arrive(self) -> None:
        """Deliver before registering: a new process tells the orchestrator that the old one's job is lost."""
        self._say("delivering what was finished before")
        await self._delivery.deliver_all()
        self._say("registering")
        await self._uplink.membership.join()

    async def _next_job(self) -> ClaimedJob:
        """Results first: no new job is taken while a finished one can't be delivered."""
        await self._delivery.deliver_all()
        self._say(f"registered as {self._uplink.membership.worker_id}, waiting for a job")
        return await self._claims.next_job()

    async def _work(self, job: ClaimedJob, stop: asyncio.Event) -> Ending:
        self._say(f"working on {job.job_id}")
        began, standing = time.monotonic(), Standing()
        lease = Lease(self._uplink.client, self._uplink.contact, self._uplink.membership, job, standing)
        ending: Ending = Lost("the worker process came to an end")
        try:
            ending = await first_of(self._attempt(job, standing), lease.keep(), self._drain(stop, standing))
        finally:
            _log_ending(job, ending, time.monotonic() - began)
        return ending

    async def _attempt(self, job: ClaimedJob, standing: Standing) -> Ended:
        return Ended(await self._attempts.make(job, standing))

    async def _drain(self, stop: asyncio.Event, standing: Standing) -> HandedBack:
        await stop.wait()
        if standing.progress.phase not in NOT_BEGUN:
            await asyncio.sleep(self._drain_timeout_s)
        return HandedBack("the worker was told to stop")

    async def _settle(self, job: ClaimedJob, ending: Ending) -> None:
        match ending:
            case Ended(outcome):
                await self._keep(job, outcome)
            case Cancelled():
                await self._keep(job, without_figures(job, ReportStatus.CANCELLED, "cancelled while it was running"))
            case HandedBack(reason):
                await self._release(job, reason)
            case Lost():
                pass

    async def _keep(self, job: ClaimedJob, outcome: Outcome) -> None:
        """From here on the result outlives this process; the delivery is what the loop begins with."""
        document = report(self._uplink.membership.worker_id, job.attempt, outcome)
        try:
            await asyncio.to_thread(self._outbox.put, job.job_id, document)
        except OSError as error:
            log.error("result can't be kept on disk and is sent as it is", job_id=job.job_id, error=str(error))  # noqa: TRY400
            await self._delivery.deliver_from_memory(job.job_id, document)

    async def _release(self, job: ClaimedJob, reason: str) -> None:
        request = ReleaseRequest(worker_id=self._uplink.membership.worker_id, attempt=job.attempt, reason=reason)
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._uplink.client.release(job.job_id, request)
        except (BenchfleetError, TimeoutError) as error:
            log.warning("job could not be handed back", job_id=job.job_id, error=str(error))

    async def _leave(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_DELIVERY_S):
                await self._delivery.deliver_all()
        await self._uplink.membership.leave()


def _log_ending(job: ClaimedJob, ending: Ending, wall_s: float) -> None:
    """The canonical line of an attempt."""
    match ending:
        case Ended(outcome):
            status, remark = outcome.status.value, outcome.measurement.remark
        case HandedBack(reason) | Lost(reason):
            status, remark = type(ending).__name__, reason
        case Cancelled():
            status, remark = ReportStatus.CANCELLED.value, None
    log.info(
        "attempt ended",
        job_id=job.job_id,
        attempt=job.attempt,
        unit=job.compute_unit,
        status=status,
        wall_s=round(wall_s, 3),
        remark=remark,
    )
