"""Jobs on their way: claimed, reported, handed back, lost, tried again; and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from daemons.core.health import Judgement
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import ClaimedJob, ClaimRequest, JobSpec, ReleaseRequest
from daemons.core.results import JobReport, evidence, figures
from daemons.core.retries import RetryPolicy
from daemons.core.units import STANDARD_UNITS
from daemons.store.keys import check_job_id, check_worker_id, tags_of
from daemons.store.lua import Scripts, translated_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A running attempt as the reaper watches it."""

    job_id: str = ""
    worker_id: str
    attempt: int
    timeout_s: float | None = None


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one try at claiming: a job; or none, with the queues that this worker serves."""

    job: ClaimedJob | None = None
    queue: str | None = None
    """Where the job was waiting; None if this worker had it already."""
    queues: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    """The device's: it serves those queues of its units, too, whose tags are among them."""
    is_ready: bool = True
    """Whether this worker may take jobs at all now."""
    has_left: bool = False
    """Whether something waits that is for other devices first."""


class Queue:
    """The way of a job through the fleet. Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, redis: Redis, scripts: Scripts, prefix: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = prefix

    async def claim(self, worker_id: str, request: ClaimRequest) -> Claimed:
        """One try to take the next job for a worker; a sign of life in any case.

        The same `claim_id` again gets the same job. Raises NotFound for an unknown worker and WorkerReplaced for a
        process whose device has registered anew.
        """
        answer = await self._scripts.run(
            "claim",
            worker_id=check_worker_id(worker_id),
            instance_id=request.instance_id,
            claim_id=request.claim_id,
            undelivered=request.undelivered,
        )
        if "job" not in answer:
            idle = answer["idle"]
            return Claimed(
                queues=tuple(answer["queues"]),
                tags=frozenset(answer.get("tags", ())),
                is_ready=idle != "not_ready",
                has_left=idle == "left",
            )
        return Claimed(job=_claimed_job(answer["job"]), queue=answer.get("queue"))

    async def finish(
        self, job_id: str, report: JobReport, policy: RetryPolicy, judgement: Judgement | None = None
    ) -> dict[str, Any]:
        """Record how an attempt ended: ``{status, duplicate}``. The same report again changes nothing.

        One that failed by the device's fault waits again as `policy` says, and its status is then `pending`. On a
        health job the `judgement` decides what becomes of its device, in the same step. Raises NotFound for an unknown
        job and StaleAttempt for an attempt that is not the newest.
        """
        is_device_failure = report.is_device_failure and report.status is ReportStatus.FAILED
        return await self._scripts.run(
            "finish",
            job_id=check_job_id(job_id),
            worker_id=report.worker_id,
            attempt=report.attempt,
            status=report.status.job_status,
            result=msgspec.json.encode(figures(report)).decode(),
            evidence=msgspec.json.encode(kept).decode() if (kept := evidence(report)) else None,
            model_sha256=report.model_hash,
            remark=report.remark or ("the device gave no reason" if is_device_failure else None),
            is_device_failure=is_device_failure,
            retry=policy.draw(),
            judgement=judgement,
        )

    async def release(self, job_id: str, request: ReleaseRequest) -> str:
        """Hand a running job back unharmed; its status then. NotFound or StaleAttempt as for `finish`."""
        answer = await self._scripts.run(
            "release",
            job_id=check_job_id(job_id),
            worker_id=request.worker_id,
            attempt=request.attempt,
            reason=request.reason,
        )
        return str(answer["status"])

    async def lose_attempt(self, attempt: Attempt, reason: str, policy: RetryPolicy) -> bool:
        """Take the job from an attempt that ran past its time; False if it is over by now."""
        answer = await self._scripts.run(
            "lose_attempt",
            job_id=attempt.job_id,
            worker_id=attempt.worker_id,
            attempt=attempt.attempt,
            reason=reason,
            retry=policy.draw(),
        )
        return bool(answer["lost"])

    async def promote_due(self, limit: int = 1000) -> int:
        """Move the retries that are due back to their queues; how many were moved."""
        answer = await self._scripts.run("promote", limit=limit)
        return int(answer["promoted"])

    async def running(self) -> list[Attempt]:
        """Every attempt that runs now."""
        with translated_errors():
            entries = await self._redis.hgetall(f"{self._prefix}running")
        return [
            msgspec.structs.replace(msgspec.json.decode(entry, type=Attempt), job_id=str(job_id))
            for job_id, entry in entries.items()
        ]

    async def status(self) -> dict[str, Any]:
        """How much waits where, all counted at one moment: ``{units, waits, tagged, workers, delayed, …}``."""
        found = await self._scripts.run("queue_status", units=STANDARD_UNITS)
        tagged = [_aged(one) | {"tags": tags_of(one["tags"])} for one in found.get("tagged", [])]
        return found | {
            "tagged": sorted(tagged, key=lambda one: (one["compute_unit"], one["tags"])),
            "waits": {where: round(waited / 1000, 1) for where, waited in found.get("waits", {}).items()},
        }


def _aged(queue: dict[str, Any]) -> dict[str, Any]:
    """A queue with the age of its oldest job in seconds; None where nothing waits."""
    oldest = queue.pop("oldest_ms", None)
    return queue | {"oldest_wait_s": None if oldest is None else round(oldest / 1000, 1)}


def _claimed_job(answer: dict[str, Any]) -> ClaimedJob:
    spec = msgspec.json.decode(answer.pop("spec_json"), type=JobSpec)
    shared = set(ClaimedJob.__struct_fields__) & set(JobSpec.__struct_fields__) - set(answer)
    return ClaimedJob(**answer, **{name: getattr(spec, name) for name in shared})
