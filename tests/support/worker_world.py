"""A worker's agent as the daemon wires it, between a fake orchestrator and a model server, with a bench that obeys."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from daemons.client import Client
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, DeviceInfo, Progress, RegisterRequest
from daemons.core.results import Measurement, Outcome, Samples
from daemons.core.settings import LimitSettings, WorkerSettings
from daemons.runtime.locks import FileLock
from daemons.worker.daemon import make_agent
from tests.support.fake_orchestrator import FakeOrchestrator, a_job
from tests.support.model_server import ModelServer


async def come_true(fact: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return once `fact` holds: for what nobody tells, such as a file that appears."""
    async with asyncio.timeout(timeout_s):
        while not fact():  # noqa: ASYNC110 - a file system rings no bell
            await asyncio.sleep(0.01)


class ObedientBench:
    """Measures nothing: it waits until the test lets it go on, and remembers what became of it."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.began = asyncio.Event()
        self.requests: list[BenchRequest] = []
        self.killed = 0
        self.prepared = 0

    async def measure(self, request: BenchRequest, on_progress: Callable[[Progress], None]) -> Outcome:
        self.requests.append(request)
        on_progress(Progress(phase="inference", done=3, total=10))
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.killed += 1
            raise
        figures = Measurement(load_ms_median=1.5, inference_ms_median=2.5)
        return Outcome(status=ReportStatus.COMPLETE, measurement=figures, samples=Samples(inference_ms=[2.5]))

    async def prepare(self) -> None:
        self.prepared += 1


class WorkerWorld:
    """One device and what surrounds it."""

    def __init__(self, fake: FakeOrchestrator, models: ModelServer, folder: Path) -> None:
        self.fake = fake
        self.models = models
        self.folder = folder
        self.bench = ObedientBench()
        self.lock_file = folder / "device.lock"
        self.sayings: list[str] = []
        models.files["m.onnx"] = b"\x08\x07 a model"

    def job(self, job_id: str = "campaign-1-job-0", **changes: object) -> None:
        """Queue a job of the fake's, about the model server's model."""
        self.fake.jobs.append(a_job(job_id, **({"model_url": self.models.url("m.onnx")} | changes)))

    @contextlib.asynccontextmanager
    async def working(self, *, drain_timeout_s: float = 30.0, state: str = "state") -> AsyncIterator[RunningAgent]:
        """An agent at work; when the block ends it is asked to stop, unless it has ended by then."""
        settings = WorkerSettings(limits=LimitSettings(drain_timeout_s=drain_timeout_s))
        card = RegisterRequest(
            device_name="device",
            capabilities=["CPU (ONNX)"],
            device_info=DeviceInfo(udid="udid-1"),
            instance_id=uuid.uuid4().hex,
        )
        folder = self.folder / state
        folder.mkdir(exist_ok=True)
        async with Client(self.fake.url, patience_s=0) as client:
            agent = make_agent(
                settings, client, card, self.bench, FileLock(self.lock_file).held, folder, self.sayings.append
            )
            stop = asyncio.Event()
            running = RunningAgent(stop, asyncio.create_task(agent.run(stop)))
            try:
                yield running
            finally:
                stop.set()
                await asyncio.wait([running.task])
            if not running.task.cancelled():
                running.task.result()


class RunningAgent:
    """An agent's task and the event that ends it."""

    def __init__(self, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.stop = stop
        self.task = task
