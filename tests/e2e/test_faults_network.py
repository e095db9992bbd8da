"""The link to a worker is cut while it measures: within its lease nothing happens; beyond it, no work is lost."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import datetime

import pytest

from tests.soak.harness import conclude, fleet
from tests.soak.layout import SLEEPING, Layout
from tests.soak.stack import CHILD, PATIENCE_S
from tests.soak.watching import all_have_ended, all_live, claimed_again, next_claim, program_of, reported
from tests.support import netns
from tests.support.scale import IS_FULL, scaled, tell

INTERVAL_S, TIMEOUT_S = scaled(small=(0.5, 3.0), full=(5.0, 30.0))
SHORT_CUT_S, LONG_CUT_S = TIMEOUT_S / 3, TIMEOUT_S * 2
FLEET = {
    "HEARTBEAT_INTERVAL_S": str(INTERVAL_S),
    "HEARTBEAT_TIMEOUT_S": str(TIMEOUT_S),
    "RETRY_DELAY_S": str(TIMEOUT_S / 3),
    "DUTY_INTERVAL_S": "0.1",
}
LOST_WITHIN_S = TIMEOUT_S * 2 / 30
"""How much later than the time-out a worker is lost: 2 s at the times that are the default."""

pytestmark = pytest.mark.timeout(scaled(small=120, full=600))


@pytest.fixture
def cable():
    if reason := netns.why_not():
        pytest.skip(reason)
    with netns.cable() as laid:
        yield laid


def layout(cable, workers):
    """The first worker is at the far end, the others are here."""
    return Layout(
        workers=workers,
        engines=SLEEPING,
        fleet=FLEET,
        host=cable.host,
        worker_prefix=lambda place: cable.prefix if place == 0 else [],
    )


async def drained_apart_from_far(stack):
    """Have only the worker at the far end take jobs."""
    workers = {
        worker["device_name"]: worker["worker_id"] for worker in (await stack.insist("GET", "/workers"))["workers"]
    }
    near = [worker_id for name, worker_id in workers.items() if name != "device 0"]
    for worker_id in near:
        await stack.insist("POST", f"/workers/{worker_id}/drain")
    return workers["device 0"], near


async def measured_far(stack, clients, seconds):
    """A job that is being measured at the far end."""
    campaign = asyncio.create_task(clients.submit_sleeper(seconds))
    claim = await next_claim(stack)
    await campaign

    async def is_measured():
        return bool(stack.workers[0].descendants(CHILD))

    await stack.until(is_measured, "the measuring process")
    return claim


async def lost_after_s(stack, claim):
    """How long after its worker's last sign of life the attempt is lost, as the store has both."""

    async def is_lost():
        return (await job_of(stack, claim))["status"] == "pending"

    await stack.until(is_lost, "the attempt to be lost", TIMEOUT_S + PATIENCE_S)
    lost = next(entry for entry in (await job_of(stack, claim))["history"] if entry["event"] == "lost")
    heard = (await stack.insist("GET", f"/workers/{claim.worker_id}"))["last_heartbeat"]
    return (datetime.fromisoformat(lost["at"]) - datetime.fromisoformat(heard)).total_seconds()


async def job_of(stack, claim):
    return (await stack.insist("GET", f"/jobs/{claim.job_id}"))["job"]


async def test_a_cut_within_the_lease_costs_nothing(tmp_path, cable):
    async with fleet(tmp_path, layout(cable, 2)) as (stack, clients):
        far, near = await drained_apart_from_far(stack)
        claim = await measured_far(stack, clients, math.inf)
        await stack.insist("POST", f"/workers/{near[0]}/undrain")
        children = (await program_of(stack, far)).descendants(CHILD)

        cable.cut()
        await asyncio.sleep(SHORT_CUT_S)
        cable.mend()
        await asyncio.sleep(TIMEOUT_S + LOST_WITHIN_S)

        job = await job_of(stack, claim)
        assert (job["status"], job["attempt"], job["worker_id"]) == ("running", 1, far)
        assert all_live(children)
        await clients.cancel(job["campaign_id"])
        assert (await conclude(stack, clients)).sentences == []
    tell(f"network cut for {SHORT_CUT_S:.0f} s", run_again=0)


async def test_a_result_that_nobody_has_overtaken_is_taken_after_a_cut_beyond_the_lease(tmp_path, cable):
    async with fleet(tmp_path, layout(cable, 1)) as (stack, clients):
        claim = await measured_far(stack, clients, INTERVAL_S)
        outbox = stack.made.state_of(0) / "outbox"

        cable.cut()
        lost_s = await lost_after_s(stack, claim)

        async def is_kept():
            return any(outbox.glob("*.json"))

        await stack.until(is_kept, "the result on the worker's disk")
        cable.mend()
        verdict = await conclude(stack, clients)
        job = await job_of(stack, claim)

    assert verdict.sentences == []
    assert (job["status"], job["attempt"]) == ("complete", 1)
    assert lost_s >= TIMEOUT_S
    assert lost_s <= TIMEOUT_S + LOST_WITHIN_S or not IS_FULL
    tell(f"network cut beyond the lease of {TIMEOUT_S:g} s", lost_after_s=round(lost_s, 2), result="taken")


async def test_a_measurement_that_was_given_to_another_is_killed_after_a_cut_beyond_the_lease(tmp_path, cable):
    async with fleet(tmp_path, layout(cable, 2)) as (stack, clients):
        far, near = await drained_apart_from_far(stack)
        claim = await measured_far(stack, clients, math.inf)
        await stack.insist("POST", f"/workers/{near[0]}/undrain")
        children = (await program_of(stack, far)).descendants(CHILD)

        cable.cut()
        began = time.monotonic()
        await claimed_again(stack, claim)
        await asyncio.sleep(max(0.0, began + LONG_CUT_S - time.monotonic()))
        assert all_live(children)
        cable.mend()
        mended = time.monotonic()

        async def are_gone():
            return all_have_ended(children)

        await stack.until(are_gone, "the end of the measuring process")
        killed_s = time.monotonic() - mended
        await clients.cancel(claim.job_id.rpartition("-job-")[0])
        verdict = await conclude(stack, clients)
        job = await job_of(stack, claim)
        assert await reported(stack, claim) is None

    assert verdict.sentences == []
    assert (job["attempt"], job["worker_id"]) == (2, near[0])
    tell(f"network cut for {LONG_CUT_S:.0f} s, job taken by another", child_killed_after_s=round(killed_s, 1))
