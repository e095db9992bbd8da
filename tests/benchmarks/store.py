"""How fast the store takes and gives jobs, and what a waiting one weighs: ratios to a peer measured in the same run.

Run it as ``python -m tests.benchmarks.store``. It prints one line per figure and exits with 1 if one is beyond its
limit. Times are compared with what the same server does for plain commands at that moment, so that a slow or busy
machine changes both.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from daemons.core.models import JobSpec
from daemons.store import Store
from tests.support.store import CPU, Drive, fresh_store, running_server

JOBS = 10_000
PAIRS = 200
ROUNDS = 5
MAX_BYTES_PER_JOB = 600
MAX_ACCEPT_RATIO = 1.0
"""Accepting a campaign in one step must not take longer than writing its bare hashes and entries in one pipeline."""
MIN_PAIR_SHARE = 0.05
"""A claim and its finish, as a share of the plain PINGs that are answered in the same time."""


async def timed(step: Callable[[], Awaitable[object]]) -> float:
    """Seconds that `step` takes."""
    began = time.perf_counter()
    await step()
    return time.perf_counter() - began


async def accept(store: Store) -> None:
    """What is measured: one campaign of many jobs."""
    await Drive(store).submit(*[JobSpec(compute_unit=CPU)] * JOBS)


async def write_plainly(redis: Redis, prefix: str) -> None:
    """Its peer: a hash and a queue entry for each job, in one pipeline without any checks."""
    pipeline = redis.pipeline(transaction=True)
    for number in range(JOBS):
        job_id = f"campaign-1795489522016751-job-{number}"
        pipeline.hset(f"{prefix}plain:{job_id}", mapping={"status": "pending", "spec": 0})
        pipeline.zadd(f"{prefix}plain", {job_id: number})
    await pipeline.execute()


async def claim_and_finish(drive: Drive, worker: str) -> None:
    """One job's way through the fleet, as often as `PAIRS` says."""
    for _ in range(PAIRS):
        job = await drive.take(worker)
        await drive.finish(job.job_id, worker, job.attempt, load_ms_median=1.0)


async def ping(redis: Redis) -> None:
    """Its peer: as many plain round trips."""
    for _ in range(PAIRS):
        await redis.ping()


async def memory(redis: Redis) -> int:
    """Bytes that the server uses now."""
    return int((await redis.info("memory"))["used_memory"])


async def weigh(store: Store) -> float:
    """Bytes per waiting job."""
    redis = store.server._redis
    before = await memory(redis)
    await accept(store)
    return (await memory(redis) - before) / JOBS


def told(name: str, text: str, *, is_within: bool) -> bool:
    """Print a figure; whether it is within its limit."""
    print(f"{'ok  ' if is_within else 'FAIL'} {name}: {text}")
    return is_within


async def measure(store: Store) -> bool:
    """Print every figure; whether all are within their limits."""
    redis, prefix, drive = store.server._redis, store.server._prefix, Drive(store)
    weight = await weigh(store)
    ours, plain = [], []
    for _ in range(ROUNDS):
        ours.append(await timed(lambda: accept(store)))
        plain.append(await timed(lambda: write_plainly(redis, prefix)))
        await redis.unlink(f"{prefix}plain")
    worker = await drive.worker()
    pairs, pings = [], []
    for _ in range(ROUNDS):
        pairs.append(await timed(lambda: claim_and_finish(drive, worker)))
        pings.append(await timed(lambda: ping(redis)))
    await store.server.reset()
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    share = statistics.median(b / a for a, b in zip(pairs, pings, strict=True))
    accepted = (
        f"{statistics.median(ours) * 1000:.0f} ms, {ratio:.2f} of a plain pipeline's time (limit {MAX_ACCEPT_RATIO:g})"
    )
    rate = f"{PAIRS / statistics.median(pairs):.0f} a second, {share:.3f} of plain PINGs (limit {MIN_PAIR_SHARE:g})"
    return all(
        [
            told(
                "bytes per waiting job",
                f"{weight:.0f} (limit {MAX_BYTES_PER_JOB})",
                is_within=weight <= MAX_BYTES_PER_JOB,
            ),
            told(f"accepting {JOBS:,} jobs", accepted, is_within=ratio <= MAX_ACCEPT_RATIO),
            told("claims with their finishes", rate, is_within=share >= MIN_PAIR_SHARE),
        ]
    )


async def main(url: str) -> int:
    """The exit status."""
    async with fresh_store(url) as store:
        return 0 if await measure(store) else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bf-") as folder, running_server(Path(folder)) as server:
        status = asyncio.run(main(server.url))
    sys.exit(status)
