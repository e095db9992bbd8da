"""A disk is full: of Redis, of the results, of a worker. Nothing acknowledged is lost, it is said, and it heals."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess

import pytest

from daemons.store.embedded import RESTART_DELAY_S
from tests.soak.harness import conclude, fleet
from tests.soak.layout import Layout
from tests.soak.stack import LONG, TINY
from tests.soak.watching import is_measuring, next_claim
from tests.support import disks
from tests.support.scale import tell

QUICK = Layout(workers=2, quick_ms_per_run=1.0)
A_LITTLE = 64 * 2**10


@pytest.fixture
def small_disk(tmp_path):
    """Puts a folder on a disk of its own."""
    if reason := disks.why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as mounted:

        def mount(*parts):
            try:
                return mounted.enter_context(disks.small_disk(tmp_path.joinpath(*parts)))
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no small disk can be mounted here: {error}")

        yield mount


async def until_health_says(stack, *words):
    """The problems that health tells of, as soon as one of them holds all words."""

    async def look():
        answer = await stack.ask("GET", "/health")
        texts = [*answer.get("problems", ()), str(answer.get("error", ""))]
        return any(all(word in text for word in words) for text in texts)

    await stack.until(look, f"health to say {words}")


async def until_healthy(stack):
    async def look():
        return (await stack.ask("GET", "/health")).get("status") == "healthy"

    await stack.until(look, "health to be well")


async def test_the_disk_of_redis(tmp_path, small_disk):
    disk = small_disk("data", "valkey")
    async with fleet(tmp_path, QUICK) as (stack, clients):
        disks.fill(disk, leave=A_LITTLE)
        refused = False
        while not refused:
            body = {"model_url": stack.models.url(TINY), "jobs": [{"compute_unit": "CPU (ONNX)"}] * 20}
            answer = await stack.ask("POST", "/campaigns", body)
            refused = answer["status_code"] != 201
            if not refused:
                clients.acknowledged[answer["campaign_id"]] = 20
        assert answer["status_code"] in (0, 503), answer
        accepted = len(clients.acknowledged)
        await until_health_says(stack, "Redis")
        await asyncio.sleep(3 * RESTART_DELAY_S)  # its owner starts it in vain meanwhile
        disks.empty(disk)

        await until_healthy(stack)
        await clients.submit()
        verdict = await conclude(stack, clients)

    # One that was refused may have been accepted by a server that ended before it could say so.
    assert [text for text in verdict.sentences if "nobody" not in text] == []
    tell("disk of Redis full", acknowledged_campaigns=accepted, lost=len(verdict.lost))


async def test_the_disk_of_the_results(tmp_path, small_disk):
    disk = small_disk("data", "outputs")
    async with fleet(tmp_path, QUICK) as (stack, clients):
        disks.fill(disk)
        for _ in range(3):
            await clients.submit(2, num_inference_runs=10)
        await until_health_says(stack, "results can't be written", "No space left")
        assert (await stack.ask("GET", "/health"))["status"] == "degraded"
        assert list(disk.glob("campaign-*.csv")) == []
        disks.empty(disk)

        await until_healthy(stack)
        verdict = await conclude(stack, clients)

    assert verdict.sentences == []
    tell("disk of the results full", jobs=verdict.jobs, lost=0)


async def test_the_disk_of_a_worker(tmp_path, small_disk):
    disk = small_disk("workers", "0")
    async with fleet(tmp_path, Layout(workers=1, quick_ms_per_run=1.0)) as (stack, clients):
        campaign = asyncio.create_task(clients.submit(num_inference_runs=1500))
        claim = await next_claim(stack)
        await stack.until(lambda: is_measuring(stack, claim), "the measurement")
        disks.fill(disk)

        async def has_ended(job_id):
            return (await stack.insist("GET", f"/jobs/{job_id}"))["job"]["status"] == "complete"

        await stack.until(lambda: has_ended(claim.job_id), "the result, which its disk did not take")
        other = f"{await clients.submit(model=LONG, num_inference_runs=10)}-job-0"

        async def has_failed():
            job = (await stack.insist("GET", f"/jobs/{other}"))["job"]
            return any("No space left" in str(entry.get("reason")) for entry in job["history"])

        await stack.until(has_failed, "an attempt that the device failed")
        disks.empty(disk)
        await stack.until(lambda: has_ended(other), "a later attempt")
        verdict = await conclude(stack, clients)
        await campaign

    assert verdict.sentences == []
    tell("disk of a worker full", results_delivered_from_memory=1, lost=0)
