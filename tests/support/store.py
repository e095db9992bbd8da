"""A real Valkey for the tests, a store in it under a prefix of its own, and short words for what is done to it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from daemons.core import health
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import (
    CampaignRequest,
    ClaimedJob,
    ClaimRequest,
    DeviceInfo,
    HeartbeatRequest,
    JobSpec,
    RegisterRequest,
    ReleaseRequest,
)
from daemons.core.results import JobReport
from daemons.core.retries import RetryPolicy
from daemons.orchestrator.checkups import judgement_on
from daemons.store import Store, open_store
from daemons.store.embedded import EmbeddedServer
from daemons.store.keys import as_glob, campaign_of, parts_of
from daemons.store.queue import Attempt

T = TypeVar("T")

CPU = "CPU (ONNX)"
GPU = "GPU (ONNX)"
URL = "http://models.example/m.onnx"
AT_ONCE = RetryPolicy(delay_s=0.0, max_losses=3)
LATER = RetryPolicy(delay_s=3600.0, max_losses=3)
OF_DUTIES = ("duties", "duty_times", "duty_problems", "outputs")
"""What changes by itself while an orchestrator does its rounds."""
OF_EVENTS = ("seq", "event_log", "event_halves")
"""What changes with every event."""


@contextmanager
def running_server(folder: Path) -> Iterator[EmbeddedServer]:
    """An embedded server in `folder`, started and stopped outside any test's event loop."""
    with asyncio.Runner() as runner:
        server = EmbeddedServer(folder, wrap=list)
        runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(server.stop())


@asynccontextmanager
async def fresh_store(url: str) -> AsyncIterator[Store]:
    """A store that nobody else sees; at the end it is found consistent, and what it wrote is removed."""
    async with open_store(url, f"test-{secrets.token_hex(4)}:") as store:
        yield store
        assert await inconsistencies(store) == []
        await store.server.reset()


async def comes_true(question: Callable[[], Awaitable[T]], what: str, timeout_s: float = 20.0) -> T:
    """The first true answer to `question`; fails, naming `what` was waited for, when there is none in time."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (answer := await question()):  # noqa: ASYNC110 (what is asked rings no bell)
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise AssertionError(f"waited {timeout_s:g} s in vain for {what}") from error
    return answer


async def dump(store: Store, *, without: tuple[str, ...] = OF_DUTIES) -> dict[str, Any]:
    """Every key of the store and what it holds."""
    redis, prefix = store.server._redis, store.server._prefix
    names = await redis.keys(as_glob(prefix))  # all of one moment, which a scan's are not
    keys = [key for key in names if key.removeprefix(prefix) not in without]
    kinds = await _in_one_trip(redis, [("type", key) for key in keys])
    contents = await _in_one_trip(redis, [(_READERS[kind], key) for kind, key in zip(kinds, keys, strict=True)])
    return {key.removeprefix(prefix): content for key, content in zip(keys, contents, strict=True)}


_READERS = {
    "hash": "hgetall",
    "set": "smembers",
    "string": "get",
    "list": "lrange",
    "zset": "zrange",
    "stream": "xrange",
}


async def _in_one_trip(redis: Any, questions: list[tuple[str, str]]) -> list[Any]:
    pipeline = redis.pipeline(transaction=False)
    for command, key in questions:
        match command:
            case "lrange":
                pipeline.lrange(key, 0, -1)
            case "zrange":
                pipeline.zrange(key, 0, -1, withscores=True)
            case _:
                getattr(pipeline, command)(key)
    return list(await pipeline.execute())


async def inconsistencies(store: Store) -> list[str]:
    """What in the store contradicts itself: counters and states, places of jobs, workers and their jobs."""
    return contradictions(await dump(store))


def contradictions(keys: dict[str, Any]) -> list[str]:
    """The same, of what was dumped."""
    places: Counter[str] = Counter()
    for name, content in keys.items():
        if name.startswith("queue:") or name == "delayed":
            places.update(job_id for job_id, _ in content)
    running = keys.get("running", {})
    workers = defaultdict(list)
    for name, state in keys.items():
        if name.startswith("worker:") and "job_id" in state:
            workers[state["job_id"]].append(name)
    jobs = {
        name.removeprefix("job:"): state
        for name, state in keys.items()
        if name.startswith("job:") and name.count(":") == 1
    }
    wrong = [f"{job_id} waits but is no job" for job_id in places if job_id not in jobs]
    wrong.extend(_wrong_checkups(keys))
    wrong.extend(_wrong_tag_sets(keys))
    for job_id, state in jobs.items():
        wrong.extend(_wrong_places(job_id, state, places[job_id], running, workers[job_id]))
    for name, campaign in keys.items():
        if name.startswith("campaign:") and name.count(":") == 1:
            wrong.extend(_wrong_counters(campaign, jobs))
    return wrong


def _wrong_places(job_id: str, state: Any, waiting: int, running: Any, workers: list[str]) -> list[str]:
    status = state["status"]
    wrong = []
    if waiting != (status == "pending"):
        wrong.append(f"{job_id} is {status} and waits in {waiting} places")
    if (job_id in running) != (status == "running"):
        wrong.append(f"{job_id} is {status}, and its entry under `running` says otherwise")
    if workers != ([f"worker:{state['worker_id']}"] if status == "running" else []):
        wrong.append(f"{job_id} is {status} and on {workers}")
    return wrong


def _wrong_tag_sets(keys: dict[str, Any]) -> list[str]:
    """Claims find every queue with tags in which a job waits, and look into no other."""
    waiting, found = defaultdict(set), {}
    for name, content in keys.items():
        if name.startswith("tag_sets:"):
            found[name.removeprefix("tag_sets:")] = content
        elif name.startswith("queue:unit:"):
            queue, tags = parts_of(name.removeprefix("queue:"))
            if tags:
                waiting[queue.removeprefix("unit:")].add("+".join(tags))
    return [] if found == waiting else [f"jobs wait in queues with the tags {dict(waiting)}, and {found} are known"]


def _wrong_checkups(keys: dict[str, Any]) -> list[str]:
    """Health jobs wait in queues of their own, and every device has one checkup open or is to have one at some time."""
    wrong = []
    for name, content in keys.items():
        for job_id, _ in content if name.startswith("queue:") else ():
            campaign = keys[f"campaign:{campaign_of(job_id)}"]
            if (campaign.get("worker_id") or "") != name.partition("queue:health:")[2]:
                wrong.append(f"{job_id} of {campaign} waits in {name}")
    planned = {worker for listed in ("checkups", "checked") for worker, _ in keys.get(listed, [])}
    for worker in keys.get("workers", set()):
        campaign_id = keys[f"worker:{worker}"].get("checkup")
        if (campaign_id is None) != (worker in planned):
            wrong.append(f"{worker} has the checkup {campaign_id} open and is among the planned: {worker in planned}")
        if campaign_id is not None and keys[f"campaign:{campaign_id}"]["status"] != "running":
            wrong.append(f"{worker} has the checkup {campaign_id} open, which has ended")
    return wrong + [f"{worker} is to be checked and is gone" for worker in planned - keys.get("workers", set())]


def _wrong_counters(campaign: Any, jobs: dict[str, Any]) -> list[str]:
    states = Counter(
        state["status"] for job_id, state in jobs.items() if campaign_of(job_id) == campaign["campaign_id"]
    )
    counted = {name: int(campaign[name]) for name in ("pending", "running", "complete", "failed", "cancelled")}
    wrong = []
    if counted != {name: states[name] for name in counted}:
        wrong.append(f"{campaign['campaign_id']} counts {counted} and has {dict(states)}")
    if (campaign["status"] == "running") != (counted["pending"] + counted["running"] > 0):
        wrong.append(f"{campaign['campaign_id']} is {campaign['status']} with {counted}")
    if ("ended_at" in campaign) != (campaign["status"] != "running"):
        wrong.append(f"{campaign['campaign_id']} is {campaign['status']} and its end is {campaign.get('ended_at')}")
    return wrong


class Drive:
    """What people, workers and the reaper do to a store, in few words."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def worker(self, name: str = "one", *units: str, instance: str | None = None, **more: Any) -> str:
        """A registered device with these units (the CPU, if none is named)."""
        request = RegisterRequest(
            device_name=f"device {name}",
            ip_address="10.0.0.1",
            capabilities=list(units or (CPU,)),
            device_info=DeviceInfo(soc="M9", ram="16", device_os="Linux", udid=f"udid-{name}"),
            instance_id=instance,
            **({"builtin_models": [health.MODEL]} | more),
        )
        return (await self.store.fleet.register(request, AT_ONCE))[0]

    async def submit(self, *specs: JobSpec, key: str | None = None) -> list[str]:
        """A new campaign; its jobs (one on the CPU, if none is named)."""
        jobs = list(specs or (JobSpec(compute_unit=CPU),))
        submitted = await self.store.campaigns.submit(CampaignRequest(model_url=URL, jobs=jobs), key)
        return [f"{submitted.campaign_id}-job-{place}" for place in range(len(jobs))]

    async def claim(self, worker: str, claim: str | None = None, instance: str | None = None) -> ClaimedJob | None:
        """One try to take a job."""
        return (await self.store.queue.claim(worker, ClaimRequest(instance_id=instance, claim_id=claim))).job

    async def take(self, worker: str, claim: str | None = None) -> ClaimedJob:
        """One try that must succeed."""
        job = await self.claim(worker, claim)
        assert job is not None
        return job

    async def finish(
        self, job_id: str, worker: str, attempt: int = 1, status: str = "Complete", **figures: Any
    ) -> dict[str, Any]:
        """The report of an attempt, judged if it is of a health job."""
        report = JobReport(worker_id=worker, attempt=attempt, status=ReportStatus(status), **figures)
        judgement = await judgement_on(self.store, job_id, report)
        return await self.store.queue.finish(job_id, report, AT_ONCE, judgement)

    async def beat(self, worker: str, job_id: Any = msgspec.UNSET, attempt: int | None = None, **more: Any) -> Any:
        """A heartbeat: of an attempt, of a worker without a job (None), or a bare sign of life."""
        return await self.store.fleet.heartbeat(worker, HeartbeatRequest(job_id=job_id, attempt=attempt, **more))

    async def lose(self, worker: str, policy: RetryPolicy = AT_ONCE) -> str | bool:
        """What the reaper does with a worker that has not beaten."""
        beats = await self.store.fleet.beats()
        return await self.store.fleet.lose(worker, beats[worker], 30.0, policy)

    async def overdue(self, job: ClaimedJob, worker: str, policy: RetryPolicy = AT_ONCE) -> bool:
        """What the reaper does with an attempt that ran past its time."""
        attempt = Attempt(job_id=job.job_id, worker_id=worker, attempt=job.attempt)
        return await self.store.queue.lose_attempt(attempt, "ran past its time", policy)

    async def release(self, job_id: str, worker: str, attempt: int = 1) -> str:
        """The worker hands the job back."""
        return await self.store.queue.release(job_id, ReleaseRequest(worker_id=worker, attempt=attempt))

    async def status(self, job_id: str) -> str:
        """The status of a job."""
        return str((await self.job(job_id))["status"])

    async def job(self, job_id: str) -> dict[str, Any]:
        """A job's view."""
        return (await self.store.campaigns.job(job_id))[0]

    async def row(self, job_id: str) -> dict[str, Any]:
        """An ended job's row."""
        row = (await self.store.campaigns.job(job_id))[1]
        assert row is not None
        return row

    async def campaign(self, job_id: str) -> dict[str, Any]:
        """The campaign that a job belongs to."""
        return await self.store.campaigns.get(campaign_of(job_id))

    async def worker_status(self, worker: str) -> str:
        """The status of a worker."""
        return str((await self.store.fleet.get(worker))["status"])

    async def waiting(self, queue: str = f"unit:{CPU}") -> list[str]:
        """What waits in a queue, the first to be taken first."""
        redis, prefix = self.store.server._redis, self.store.server._prefix
        return [str(job_id) for job_id in await redis.zrange(f"{prefix}queue:{queue}", 0, -1)]

    async def delayed(self) -> list[str]:
        """What waits for a retry."""
        redis, prefix = self.store.server._redis, self.store.server._prefix
        return [str(job_id) for job_id in await redis.zrange(f"{prefix}delayed", 0, -1)]

    async def make_due(self) -> None:
        """Let the time of every retry have come."""
        redis, prefix = self.store.server._redis, self.store.server._prefix
        for job_id in await self.delayed():
            await redis.zadd(f"{prefix}delayed", {job_id: 0})


@asynccontextmanager
async def eavesdropping(store: Store) -> AsyncIterator[Callable[[], Coroutine[Any, Any, list[dict[str, Any]]]]]:
    """A function that gives the events published since it was last called, every one that there must be."""
    redis, prefix = store.server._redis, store.server._prefix
    marker = f"{prefix}marker"
    async with redis.pubsub() as subscription:
        await subscription.subscribe(f"{prefix}events", marker)

        async def heard() -> list[dict[str, Any]]:
            await redis.publish(marker, "")  # messages of one server come in the order of their publishing
            events = []
            while True:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=10.0)
                assert message is not None
                if message["channel"] == marker:
                    return events
                events.append(json.loads(message["data"]))

        while (await subscription.get_message(timeout=10.0))["type"] != "subscribe":
            pass
        await subscription.get_message(timeout=10.0)
        yield heard
