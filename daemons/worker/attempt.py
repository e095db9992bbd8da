"""One attempt of one job on this device: from a claimed job to an outcome, whatever happens on the way.

A job that can't be done is data here, an outcome with a remark, and never an exception. What is raised are bugs and
cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, ClaimedJob, Progress
from daemons.core.results import Measurement, Outcome
from daemons.core.urls import model_file_name
from daemons.transfer.download import Advance, NotFetched, NotKept
from daemons.worker.calm import Calm
from daemons.worker.lease import Standing
from daemons.worker.models import Model, ModelCache

log = structlog.get_logger(__name__)

KILL_GRACE_S: Final = 5.0
"""The child is killed at its deadline by its runner; this much later the attempt ends even so."""


class Bench(Protocol):
    """What measures: `daemons.worker.bench.runner` in a process of its own."""

    async def measure(self, request: BenchRequest, on_progress: Callable[[Progress], None]) -> Outcome:
        """Measure once. Cancelled, it leaves no process behind."""

    async def prepare(self) -> None:
        """Start the next child ahead of its job."""


class Attempts:
    """Makes attempts, one at a time on this device. `device_lock` gives a fresh hold of the lock at each call."""

    def __init__(
        self,
        units: list[str],
        cache: ModelCache,
        bench: Bench,
        device_lock: Callable[[], AbstractAsyncContextManager[object]],
        *,
        memory_limit_bytes: int | None = None,
        calm: Calm | None = None,
    ) -> None:
        self._units = units
        self._cache = cache
        self._bench = bench
        self._device_lock = device_lock
        self._memory_limit_bytes = memory_limit_bytes
        self._calm = calm or Calm(wait_for_calm_s=0.0, cool_down_s=0.0)
        self._getting_ready: asyncio.Task[None] | None = None

    async def make(self, job: ClaimedJob, standing: Standing) -> Outcome:
        """The outcome of `job` on this device. The job's time runs from when the device is free for it."""
        if job.compute_unit not in self._units:
            return without_figures(job, ReportStatus.FAILED, self._not_offered(job.compute_unit))
        standing.advance(Progress(phase="waiting"))
        if self._getting_ready is not None:
            await asyncio.wait([self._getting_ready])
        hold = AsyncExitStack()
        try:
            await hold.enter_async_context(self._device_lock())
        except OSError as error:
            return device_failure(job, f"this device's measuring lock could not be taken: {_why(error)}")
        try:
            is_calm = await self._calm.settle()
            return noted(await self._in_time(job, standing), is_calm=is_calm)
        finally:
            self._calm.note_end()
            self._getting_ready = asyncio.create_task(self._get_ready(hold))

    async def close(self) -> None:
        """There will be no further attempt: the device is left to others."""
        if self._getting_ready is not None:
            self._getting_ready.cancel()
            await asyncio.wait([self._getting_ready])

    async def _get_ready(self, hold: AsyncExitStack) -> None:
        """Start the next child, which would disturb a neighbour's measuring, before the device is left to others.

        The outcome doesn't wait for that: it is on its way meanwhile.
        """
        async with hold:
            await self._bench.prepare()

    async def _in_time(self, job: ClaimedJob, standing: Standing) -> Outcome:
        deadline = asyncio.get_running_loop().time() + job.timeout_seconds
        try:
            async with asyncio.timeout_at(deadline + KILL_GRACE_S):
                return await self._fetch_and_measure(job, standing, deadline)
        except NotKept as error:
            return device_failure(job, str(error))
        except NotFetched as error:
            return without_figures(job, ReportStatus.FAILED, str(error))
        except TimeoutError:
            return without_figures(job, ReportStatus.FAILED, overrun(job, standing.progress))
        except OSError as error:
            return device_failure(job, f"this device could not do its part: {_why(error)}")

    async def _fetch_and_measure(self, job: ClaimedJob, standing: Standing, deadline: float) -> Outcome:
        standing.advance(Progress(phase="download"))
        async with asyncio.timeout_at(deadline):
            advance = _counting_into(standing)
            model = await self._cache.fetch(
                job.model_url,
                job.model_sha256,
                advance,
                credentials=job.credentials,
                campaign_id=job.campaign_id if job.pull_through else None,
                job_id=job.job_id,
            )
            inputs = await self._fetch_inputs(job, model, advance)
        standing.advance(Progress(phase="measuring"))
        left_s = deadline - asyncio.get_running_loop().time()
        try:
            outcome = await self._bench.measure(self._request(job, model, inputs, left_s), standing.advance)
        except TimeoutError:
            raise
        except OSError as error:
            outcome = device_failure(job, f"the measuring process could not be started on this device: {_why(error)}")
        return labelled(outcome, job, model)

    async def _fetch_inputs(self, job: ClaimedJob, model: Model, advance: Advance) -> Path | None:
        if job.inputs_url is None:
            return None
        try:
            return await self._cache.fetch_inputs(job.inputs_url, advance, credentials=job.credentials, beside=model)
        except NotFetched as error:
            raise type(error)(f"inputs_url: {error}") from error

    def _request(self, job: ClaimedJob, model: Model, inputs: Path | None, timeout_s: float) -> BenchRequest:
        shared = set(BenchRequest.__struct_fields__) & set(ClaimedJob.__struct_fields__)
        return BenchRequest(
            model_path=str(model.path),
            model_folder=str(model.folder) if model.folder else None,
            file_name=model.file_name,
            inputs_path=None if inputs is None else str(inputs),
            timeout_s=timeout_s,
            memory_limit_bytes=self._memory_limit_bytes,
            **{name: getattr(job, name) for name in shared},
        )

    def _not_offered(self, unit: str) -> str:
        offered = ", ".join(self._units) or "none at all"
        return f"this device does not offer the compute unit {unit}; it offers {offered}"


def without_figures(job: ClaimedJob, status: ReportStatus, remark: str) -> Outcome:
    """The outcome of an attempt that measured nothing."""
    measurement = Measurement(file_name=model_file_name(job.model_url), compute_units=job.compute_unit, remark=remark)
    return Outcome(status=status, measurement=measurement)


def device_failure(job: ClaimedJob, remark: str) -> Outcome:
    """The outcome of an attempt in which the device failed: it is no fault of the job's, and is tried again."""
    return msgspec.structs.replace(without_figures(job, ReportStatus.FAILED, remark), is_device_failure=True)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def labelled(outcome: Outcome, job: ClaimedJob, model: Model) -> Outcome:
    """The outcome with the model's name, size and hash and the job's unit in it, as they are known here."""
    measurement = msgspec.structs.replace(
        outcome.measurement,
        file_name=model.file_name,
        file_size=model.size_bytes,
        model_hash=model.sha256,
        compute_units=job.compute_unit,
    )
    return msgspec.structs.replace(outcome, measurement=measurement)


def noted(outcome: Outcome, *, is_calm: bool) -> Outcome:
    """The outcome with a warning, if the device did not become calm before it was measured."""
    if is_calm or outcome.status is not ReportStatus.COMPLETE:
        return outcome
    warnings = [*outcome.measurement.warnings, "other programs kept the processor busy for as long as was waited"]
    return msgspec.structs.replace(outcome, measurement=msgspec.structs.replace(outcome.measurement, warnings=warnings))


def overrun(job: ClaimedJob, progress: Progress) -> str:
    """The remark of an attempt that took too long."""
    counted = "" if progress.done is None else f", {progress.done:,} of {progress.total or 'unknown'} done"
    reached = f"in the phase {progress.phase}{counted}"
    return f"the attempt ran past its timeout_seconds of {job.timeout_seconds:g} s ({reached})"


def _counting_into(standing: Standing) -> Advance:
    def advance(done: int, total: int | None) -> None:
        standing.advance(Progress(phase="download", done=done, total=total))

    return advance
