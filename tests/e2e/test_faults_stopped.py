"""A worker that stands still for longer than its lease, and goes on: what it had has become somebody else's."""

from __future__ import annotations

import asyncio
import math
import time

from tests.soak import planted
from tests.soak.harness import conclude, fleet
from tests.soak.layout import SLEEPING, Layout
from tests.soak.stack import CHILD
from tests.soak.watching import all_have_ended, claimed_again, is_measuring, next_claim, program_of, reported, stopped
from tests.support.scale import tell


async def test_its_late_result_is_refused_and_the_job_has_one_row(tmp_path):
    """Without the fence this comes out otherwise, which is one of the planted faults."""
    async with fleet(tmp_path, planted.QUICK) as (stack, clients):
        campaign = asyncio.create_task(clients.submit(num_inference_runs=planted.JOB_MS))
        late = await planted.make_late(stack)
        verdict = await conclude(stack, clients)
        job = (await stack.insist("GET", f"/jobs/{await campaign}-job-0"))["job"]

        assert await reported(stack, late) == 409
    assert verdict.sentences == []
    assert (job["status"], job["attempt"], job["lost_attempts"]) == ("complete", 2, 1)


async def test_its_measuring_process_is_killed_when_it_hears_of_it(tmp_path):
    async with fleet(tmp_path, Layout(workers=2, engines=SLEEPING)) as (stack, clients):
        campaign = asyncio.create_task(clients.submit_sleeper(math.inf))
        claim = await next_claim(stack)
        await stack.until(lambda: is_measuring(stack, claim), "the measurement")
        worker = await program_of(stack, claim.worker_id)
        children = worker.descendants(CHILD)

        with stopped(worker):
            await claimed_again(stack, claim)
        went_on = time.monotonic()

        async def are_gone():
            return all_have_ended(children)

        assert children
        await stack.until(are_gone, "the end of the measuring process")
        killed_after_s = time.monotonic() - went_on
        await clients.cancel(await campaign)
        verdict = await conclude(stack, clients)
        job = (await stack.insist("GET", f"/jobs/{await campaign}-job-0"))["job"]

        assert await reported(stack, claim) is None
    assert verdict.sentences == []
    assert (job["attempt"], [entry["event"] for entry in job["history"]][:3]) == (2, ["claimed", "lost", "claimed"])
    tell("a stopped worker goes on", child_killed_after_s=round(killed_after_s, 2))
