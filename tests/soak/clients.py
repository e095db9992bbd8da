"""Clients that submit campaigns and operate them. What they are answered is what the checker holds the system to."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import dataclass
from typing import Any

from daemons.core.models import MAX_RUNS
from daemons.core.units import CPU_ONNX
from tests.soak.layout import RUN_MS, SLEEPER
from tests.soak.stack import TINY, Stack

MOST_JOBS = 5
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Load:
    """How much is asked for."""

    busy_jobs: int = 9
    """About so many wait or run at any time."""
    least_runs: int = 1
    most_runs: int = 2_000
    least_loads: int = 1
    most_loads: int = 300
    """Loading the tiny model takes a millisecond or two, so jobs take up to half a second."""


class Clients:
    """Keep the fleet busy. Each campaign has a key of its own, and is sent until it is accepted."""

    def __init__(self, stack: Stack, seed: int, load: Load) -> None:
        self._stack = stack
        self._random = random.Random(seed)
        self._load = load
        self.acknowledged: dict[str, int] = {}
        self.cancelled: set[str] = set()

    async def submit_until(self, stop: asyncio.Event) -> None:
        """Submit whenever there is too little to do. A submit that has begun is carried through."""
        while not stop.is_set():
            if await self._open_jobs() < self._load.busy_jobs:
                await self.submit(self._random.randint(1, MOST_JOBS))
            else:
                await asyncio.sleep(LOOK_EVERY_S)

    async def submit(self, jobs: int = 1, model: str = TINY, **spec: Any) -> str:
        """A campaign, accepted. `spec` is what its jobs say, over what is drawn for them."""
        campaign = {"model_url": self._stack.models.url(model), "jobs": [self._job() | spec for _ in range(jobs)]}
        answer = await self._stack.insist("POST", "/campaigns", campaign, Idempotency_Key=uuid.uuid4().hex)
        assert answer["status_code"] == 201, answer
        self.acknowledged[answer["campaign_id"]] = answer["total_jobs"]
        return str(answer["campaign_id"])

    async def submit_sleeper(self, seconds: float, jobs: int = 1) -> str:
        """A campaign whose jobs are measured for so long; for as long as can be, if that is infinite."""
        runs = int(min(seconds * 1000 / RUN_MS, MAX_RUNS))
        spec = {"num_inference_runs": runs, "num_load_runs": 1, "warmup_runs": 0}
        return await self.submit(jobs, compute_unit=SLEEPER, **spec)

    def _job(self) -> dict[str, Any]:
        runs, loads = (
            self._random.randint(self._load.least_runs, self._load.most_runs),
            self._random.randint(self._load.least_loads, self._load.most_loads),
        )
        priority = self._random.choice((0, 0, 0, 5, -5))
        return {
            "compute_unit": CPU_ONNX,
            "num_inference_runs": runs,
            "num_load_runs": loads,
            "warmup_runs": 0,
            "priority": priority,
        }

    async def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns as the API tells of them; none where it doesn't answer."""
        found: list[dict[str, Any]] = (await self._stack.ask("GET", "/campaigns")).get("campaigns", [])
        return found

    async def open_campaigns(self) -> list[str]:
        """Those that have not ended."""
        return [campaign["campaign_id"] for campaign in await self.campaigns() if campaign["status"] == "running"]

    async def _open_jobs(self) -> int:
        answer = await self._stack.ask("GET", "/campaigns")
        if answer["status_code"] != 200:
            return self._load.busy_jobs  # nothing is known now
        return sum(
            campaign["job_breakdown"]["pending"] + campaign["job_breakdown"]["running"]
            for campaign in answer["campaigns"]
        )

    async def cancel(self, campaign_id: str) -> None:
        """Have a campaign cancelled. It counts as asked for from the first try on."""
        self.cancelled.add(campaign_id)
        await self._stack.insist("POST", f"/campaigns/{campaign_id}/cancel")

    async def cancel_job(self, job_id: str) -> None:
        """Have one job cancelled."""
        self.cancelled.add(job_id)
        await self._stack.insist("POST", f"/jobs/{job_id}/cancel")
