"""Redis is away while jobs run: no measurement is killed, who asks is told so at once, what was measured arrives."""

from __future__ import annotations

import asyncio
import math
import time

from tests.soak.harness import conclude, fleet
from tests.soak.layout import SLEEPING, Layout
from tests.soak.stack import CHILD, TINY
from tests.soak.watching import all_live, is_measuring, next_claim, program_of
from tests.support.scale import IS_FULL, scaled, tell

AWAY_S = scaled(small=3.0, full=60.0)
ASKED = (
    ("GET", "/workers"),
    ("GET", "/campaigns"),
    ("GET", "/queue/status"),
    ("GET", "/health"),
    ("POST", "/campaigns"),
)
ANSWERED_WITHIN_S = 2.0
DELIVERED_WITHIN_S = 5.0


async def started(stack, clients, seconds):
    """A job that is being measured: its claim and its worker."""
    campaign = asyncio.create_task(clients.submit_sleeper(seconds))
    claim = await next_claim(stack)
    await campaign
    await stack.until(lambda: is_measuring(stack, claim), "the measurement")
    return claim, await program_of(stack, claim.worker_id)


async def slowest_refusal_s(stack):
    """How long the slowest request takes to be told that the store is away."""
    took = []
    for method, path in ASKED:
        began = time.monotonic()
        body = {"model_url": stack.models.url(TINY), "jobs": [{"compute_unit": "CPU (ONNX)"}]}
        answer = await stack.ask(method, path, body if method == "POST" else None)
        took.append(time.monotonic() - began)
        assert answer["status_code"] == 503, (path, answer)
    return max(took)


async def test_a_measurement_goes_on_and_its_result_arrives_when_redis_is_back(tmp_path):
    async with fleet(tmp_path, Layout(workers=2, server_beside=True, engines=SLEEPING)) as (stack, clients):
        going_on, its_worker = await started(stack, clients, math.inf)
        children = its_worker.descendants(CHILD)
        ending, other = await started(stack, clients, 1.5)
        outbox = stack.made.state_of(stack.workers.index(other)) / "outbox"

        stack.server.hold_back()
        await stack.server.kill()
        gone_at = time.monotonic()
        refused_s = await slowest_refusal_s(stack)

        async def is_kept():
            return any(outbox.glob("*.json"))

        await stack.until(is_kept, "a finished result on the worker's disk")
        await asyncio.sleep(max(0.0, gone_at + AWAY_S - time.monotonic()))
        stack.server.let_go()
        back_at = time.monotonic()

        async def is_delivered():
            answer = await stack.ask("GET", f"/jobs/{ending.job_id}")
            return answer.get("job", {}).get("status") == "complete"

        await stack.until(is_delivered, "the result")
        delivered_s = time.monotonic() - back_at
        assert children
        assert all_live(children)
        await clients.cancel(going_on.job_id.rpartition("-job-")[0])
        verdict = await conclude(stack, clients)
        jobs = [(await stack.insist("GET", f"/jobs/{claim.job_id}"))["job"] for claim in (going_on, ending)]

    assert verdict.sentences == []
    assert [job["attempt"] for job in jobs] == [1, 1]
    assert refused_s < ANSWERED_WITHIN_S
    assert delivered_s < DELIVERED_WITHIN_S or not IS_FULL
    tell(
        f"Redis away for {AWAY_S:.0f} s",
        slowest_503_s=round(refused_s, 2),
        result_arrived_after_s=round(delivered_s, 2),
    )
