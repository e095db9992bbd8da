"""Checkups of devices, done to a store in few words."""

from __future__ import annotations

from typing import Any

import pytest

from daemons.core import health
from daemons.core.models import JobSpec
from tests.support.store import CPU, Drive

DAY_S = 86_400.0
OPENVINO = "CPU (OpenVINO)"
PASSING = {"outputs_agree": True, "inference_ms_median": 5.0, "engine": "E", "engine_version": "1", "verdict": "stable"}
"""Figures of a health job that are right."""
DRIFTED = PASSING | {"inference_ms_median": 8.1}
NOISY = DRIFTED | {"verdict": "noisy"}


def about(seconds: float) -> Any:
    """Within what a test may take."""
    return pytest.approx(seconds, abs=30)


class Checking(Drive):
    """What happens to checkups, in few words."""

    async def start(self, worker):
        """A checkup, as a person starts one: its jobs."""
        started = await self.store.health.start(worker)
        return [f"{started['campaign_id']}-job-{place}" for place in range(started["jobs"])]

    async def report(self, worker, status="Complete", **figures):
        """The device's next job, which is a health job, and what it reports."""
        job = await self.take(worker)
        assert job.model_url == health.MODEL_URL
        return await self.finish(job.job_id, worker, job.attempt, status, **(PASSING | figures))

    async def check(self, worker, status="Complete", **figures):
        """A whole checkup of a device with one unit."""
        await self.start(worker)
        return await self.report(worker, status, **figures)

    async def round(self, interval_s=DAY_S, limit=100):
        """What the duty does: how many were started."""
        return (await self.store.health.start_due(interval_s, limit))[0]

    async def listed(self, listed):
        """What is in one of the lists of campaigns."""
        redis, prefix = self.store.server._redis, self.store.server._prefix
        return [str(campaign_id) for campaign_id in await redis.zrange(f"{prefix}{listed}", 0, -1)]

    async def view(self, worker):
        return await self.store.fleet.get(worker)

    async def checked(self, worker):
        return (await self.view(worker))["health"]

    async def due_in_s(self, worker, listed="checkups"):
        """Seconds until the device is to be looked at; None if it is not in that list."""
        redis, prefix = self.store.server._redis, self.store.server._prefix
        seconds, _ = await redis.time()
        due = await redis.zscore(f"{prefix}{listed}", worker)
        return None if due is None else due / 1000 - seconds

    async def let_pass(self, worker, seconds):
        """So many seconds go by for this device."""
        redis, prefix = self.store.server._redis, self.store.server._prefix
        for listed in ("checkups", "checked"):
            if await redis.zscore(f"{prefix}{listed}", worker) is not None:
                await redis.zincrby(f"{prefix}{listed}", -seconds * 1000, worker)
        for field in ("checkup_began", "checkup_first_at", "checked_at", "registered_at"):
            if await redis.hexists(f"{prefix}worker:{worker}", field):
                await redis.hincrby(f"{prefix}worker:{worker}", field, int(-seconds * 1000))

    async def fail_three_times(self, worker):
        """The device could not do its part three times in a row."""
        for _ in range(3):
            await self.submit(JobSpec(compute_unit=CPU, worker_id=worker))
            job = await self.take(worker)
            await self.finish(job.job_id, worker, job.attempt, "Failed", is_device_failure=True, remark="disk full")
            await self.store.campaigns.cancel_job(job.job_id)

    async def spec_of_next(self, worker):
        claimed = await self.take(worker)
        return claimed.model_url == health.MODEL_URL
