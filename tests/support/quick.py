"""Workers as the daemon wires them, in this process, with a bench that takes no time: for many jobs in few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from daemons.client import Client
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, DeviceInfo, Progress, RegisterRequest
from daemons.core.results import Measurement, Outcome
from daemons.core.settings import WorkerSettings
from daemons.core.units import CPU_ONNX
from daemons.runtime.locks import FileLock
from daemons.worker.daemon import make_agent


class QuickBench:
    """Takes its time, `ms_per_run` for each, and says that it measured. No two attempts have the same figures."""

    def __init__(self, ms_per_run: float = 0.0) -> None:
        self._ms_per_run = ms_per_run
        self._generator = random.SystemRandom()

    async def measure(self, request: BenchRequest, on_progress: Callable[[Progress], None]) -> Outcome:
        runs = request.num_inference_runs
        on_progress(Progress(phase="measuring", done=0, total=runs))
        await asyncio.sleep(runs * self._ms_per_run / 1000)
        figures = Measurement(
            load_ms_median=self._generator.uniform(1, 2), inference_ms_median=self._generator.uniform(1, 2)
        )
        return Outcome(status=ReportStatus.COMPLETE, measurement=figures)

    async def prepare(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to close."""


@contextlib.asynccontextmanager
async def quick_workers(
    url: str, folder: Path, count: int, *, ms_per_run: float = 0.0, names: Sequence[str] = ()
) -> AsyncIterator[None]:
    """So many devices at work for the orchestrator at `url` until the block ends, the first ones with these names."""
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        for place in range(count):
            client, state = await clients.enter_async_context(Client(url, patience_s=0)), folder / str(place)
            await asyncio.to_thread(state.mkdir, parents=True)
            name = names[place] if place < len(names) else f"device {place}"
            group.create_task(_work(client, state, stop, ms_per_run, name))
        try:
            yield
        finally:
            stop.set()


async def _work(client: Client, state: Path, stop: asyncio.Event, ms_per_run: float, name: str) -> None:
    card = RegisterRequest(
        device_name=name,
        capabilities=[CPU_ONNX],
        device_info=DeviceInfo(udid=f"udid-{state.name}"),
        instance_id=uuid.uuid4().hex,
    )
    lock = FileLock(state / "device.lock").held
    agent = make_agent(WorkerSettings(), client, card, QuickBench(ms_per_run), lock, state, lambda _: None)
    await agent.run(stop)
