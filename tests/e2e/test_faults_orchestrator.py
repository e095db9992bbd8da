"""The orchestrator is killed again and again while jobs run: it is back at once, and nobody has to begin anew."""

from __future__ import annotations

import math
import signal
import time

import pytest

from tests.soak.harness import conclude, fleet
from tests.soak.layout import SLEEPING, Layout
from tests.soak.stack import CHILD
from tests.soak.watching import all_live, has_ended
from tests.support.scale import IS_FULL, scaled, tell

KILLS = scaled(small=10, full=100)
READY_WITHIN_S = 3.0


async def killed_and_ready_s(stack):
    """How long it takes from the kill until health is well, its embedded server included."""
    orchestrator, starts = stack.orchestrators[0], stack.orchestrators[0].starts
    orchestrator.send(signal.SIGKILL)
    began = time.monotonic()

    async def is_ready():
        return orchestrator.starts > starts and (await stack.ask("GET", "/health"))["status_code"] == 200

    await stack.until(is_ready, "the orchestrator")
    return time.monotonic() - began


async def test_a_server_that_hung_when_its_owner_was_killed_does_not_come_back_beside_the_new_one(tmp_path):
    """Two servers would write one file."""
    async with fleet(tmp_path, Layout(workers=0)) as (stack, clients):
        await clients.submit()
        hung = stack.server_process()
        hung.suspend()
        await killed_and_ready_s(stack)
        await clients.submit()
        assert has_ended(hung)
        assert stack.server_process().pid != hung.pid
        assert len(await clients.open_campaigns()) == 2


async def beats(stack):
    """When each worker was last heard, and what it works on."""
    workers = (await stack.insist("GET", "/workers"))["workers"]
    return {worker["worker_id"]: (worker["last_heartbeat"], worker["current_job"]) for worker in workers}


@pytest.mark.timeout(scaled(small=120, full=900))
async def test_running_jobs_are_adopted_each_time_and_none_is_run_again(tmp_path):
    async with fleet(tmp_path, Layout(workers=2, engines=SLEEPING)) as (stack, clients):
        campaign = await clients.submit_sleeper(math.inf, jobs=2)

        async def both_run():
            return all(worker.descendants(CHILD) for worker in stack.workers)

        await stack.until(both_run, "two measurements")
        children = [child for worker in stack.workers for child in worker.descendants(CHILD)]
        took = []
        for _ in range(KILLS):
            took.append(await killed_and_ready_s(stack))
            await clients.submit(num_inference_runs=1, num_load_runs=1)
            before = await beats(stack)

            async def are_heard_again(before=before):
                now = await beats(stack)
                return all(now[worker][0] > heard and now[worker][1] == job for worker, (heard, job) in before.items())

            await stack.until(are_heard_again, "beats of both workers")
        assert all_live(children)
        jobs = [(await stack.insist("GET", f"/jobs/{campaign}-job-{place}"))["job"] for place in range(2)]
        await clients.cancel(campaign)
        verdict = await conclude(stack, clients)

    assert verdict.sentences == []
    assert [(job["attempt"], job["lost_attempts"]) for job in jobs] == [(1, 0), (1, 0)]
    assert verdict.jobs == 2 + KILLS
    assert max(took) < READY_WITHIN_S or not IS_FULL
    tell(
        f"orchestrator killed {KILLS} times",
        ready_after_s=f"{sorted(took)[len(took) // 2]:.2f} (median), {max(took):.2f} (worst)",
    )
