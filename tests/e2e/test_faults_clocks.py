"""Wall clocks are set by an hour, forth and back, of Redis, of the orchestrator and of the workers, while jobs run.

No lease vanishes, none stays for ever, and what was measured is as long as it was.
"""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from daemons.core.models import JobSpec
from daemons.core.retries import RetryPolicy
from daemons.store import open_store
from daemons.store.embedded import EmbeddedServer
from tests.soak.harness import conclude, fleet, read_files
from tests.soak.layout import RUN_MS, SLEEPING, Layout, Shim
from tests.support import preload
from tests.support.scale import scaled, tell
from tests.support.store import CPU, Drive, comes_true

HOUR_S = 3600
LEASES_S = 1.6
"""A lease and a half."""
JUMPS = (HOUR_S, 0, -HOUR_S, 0)

pytestmark = pytest.mark.skipif(preload.why_not() is not None, reason=str(preload.why_not()))


WHOSE = scaled(small=[("valkey", "orchestrator-0", "worker-0")], full=[("valkey",), ("orchestrator-0",), ("worker-0",)])
"""All at once, or one after the other."""


@pytest.mark.parametrize("whose", WHOSE, ids=" and ".join)
async def test_no_lease_vanishes_or_stays_and_durations_stay_right(tmp_path, whose):
    layout = Layout(workers=2, server_beside=True, shim=Shim.CLOCKS, engines=SLEEPING)
    async with fleet(tmp_path, layout) as (stack, clients):

        def set_clocks(offset_s):
            for place, name in enumerate(whose):  # away from each other, where there are several
                preload.set_offset(stack.made.clock_of(name), offset_s * (-1) ** place)

        long = await clients.submit_sleeper(math.inf, jobs=2)
        for offset_s in JUMPS:
            set_clocks(offset_s)
            await asyncio.sleep(LEASES_S)
        jobs = [(await stack.insist("GET", f"/jobs/{long}-job-{place}"))["job"] for place in range(2)]
        await clients.cancel(long)
        for offset_s in JUMPS:  # while each of these is measured
            await clients.submit_sleeper(1.0, jobs=2)
            await asyncio.sleep(0.5)
            set_clocks(offset_s)
        verdict = await conclude(stack, clients)
        counters = (await stack.insist("GET", "/monitoring/stats"))["fleet"]
        rows = [row for rows in read_files(stack.made.outputs).values() for row in rows if row["Status"] == "Complete"]

    assert verdict.sentences == []
    assert [(job["status"], job["attempt"], job["lost_attempts"]) for job in jobs] == [("running", 1, 0)] * 2
    assert (counters["lost_silent"], counters["retries"]) == (0, 0)
    assert len(rows) == 2 * len(JUMPS)
    longest_ms = max(float(row[name]) for row in rows for name in ("LoadMsMax", "InferenceMsMax"))
    assert 0 < longest_ms < HOUR_S * 1000 / 2
    medians = sorted(float(row["InferenceMsMedian"]) for row in rows)
    assert medians[0] >= RUN_MS
    tell(f"clock of {' and '.join(whose)} ±1 h", false_expiries=0, medians_ms=f"{medians[0]:.3f} to {medians[-1]:.3f}")


@pytest.fixture
async def skewed(tmp_path):
    """A store in a server whose clock can be set, and the file that sets it."""
    library, offset = preload.build(preload.SKEWED_CLOCK, tmp_path), tmp_path / "clock"
    variables = [f"{name}={value}" for name, value in preload.skewed(library, offset).items()]
    server = EmbeddedServer(tmp_path / "valkey", wrap=lambda command: ["env", *variables, *command])
    await server.start()
    async with open_store(server.url, "t:") as store:
        yield Drive(store), offset
    await server.stop()


async def set_back(drive, offset):
    """By an hour; the server, which keeps the time that it has read for a moment, has seen it when this returns."""

    async def is_seen():
        return time.time() - (await drive.store.server._redis.time())[0] > HOUR_S / 2

    preload.set_offset(offset, -HOUR_S)
    await comes_true(is_seen, "the server's clock to be set")


async def test_a_retry_comes_though_the_clock_of_redis_was_set_back(skewed):
    drive, offset = skewed
    worker = await drive.worker()
    (job_id,) = await drive.submit()
    job = await drive.take(worker)
    await drive.lose(worker, RetryPolicy(delay_s=20.0))
    assert await drive.delayed() == [job_id]
    assert await drive.store.queue.promote_due() == 0

    await set_back(drive, offset)

    assert await drive.store.queue.promote_due() == 1
    await drive.beat(worker)
    assert (await drive.take(worker)).attempt == job.attempt + 1


async def test_a_device_that_was_to_be_passed_over_is_not_passed_over_for_an_hour(skewed):
    drive, offset = skewed
    worker, other = await drive.worker("one"), await drive.worker("other")
    await drive.submit(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU))
    await drive.take(other)
    await drive.take(worker)
    await drive.lose(worker)
    await drive.beat(worker)
    assert await drive.claim(worker) is None

    await set_back(drive, offset)

    assert (await drive.take(worker)).attempt == 2
