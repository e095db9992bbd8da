"""Five faults planted on purpose, each with a script that brings it out. A checker that lets one pass proves nothing.

Each is planted from outside, by `tests.soak.launch`: a text of a script or a setting of the server is swapped. Without
the swap the same script must come out clean.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, replace

from tests.soak.clients import Clients, Load
from tests.soak.harness import Script
from tests.soak.layout import Layout
from tests.soak.stack import Stack, kill_and_wait
from tests.soak.watching import Claim, claimed_again, is_first, is_measuring, next_claim, program_of, reported, stopped

JOB_MS = 1200
"""Longer than a lease, so that what a stopped worker did is done when it goes on."""
QUICK = Layout(workers=3, quick_ms_per_run=1.0)
STEADY = Load(busy_jobs=4, least_runs=JOB_MS, most_runs=JOB_MS)
HASTY = Load(busy_jobs=4, least_runs=20, most_runs=200)
TRIES = 20


@dataclass(frozen=True)
class Planted:
    """A fault: what is swapped, what brings it out, and what the checker must call it."""

    name: str
    script: Script
    found: str
    swaps: tuple[tuple[str, str], ...] = ()
    server: tuple[tuple[str, str], ...] = ()
    load: Load = STEADY
    needs_shim: bool = False

    @property
    def layout(self) -> Layout:
        return replace(QUICK, script_swaps=self.swaps, server_settings=dict(self.server))


async def make_late(stack: Stack) -> Claim:
    """The next claim, whose worker is stopped until its job runs elsewhere, and then reports what it had."""
    claim = await next_claim(stack)
    await stack.until(lambda: is_measuring(stack, claim), "the measurement")
    with stopped(await program_of(stack, claim.worker_id)):
        await claimed_again(stack, claim)
        await asyncio.sleep(JOB_MS / 3000)  # the first attempt is over by now, and the second is not
    await stack.until(lambda: reported(stack, claim), "the late report")
    return claim


async def stop_a_worker_beyond_its_lease(stack: Stack, clients: Clients) -> None:
    await make_late(stack)


async def kill_a_worker_in_mid_job(stack: Stack, clients: Clients) -> None:
    claim = await next_claim(stack)
    (await program_of(stack, claim.worker_id)).send(signal.SIGKILL)


async def kill_the_server(stack: Stack, clients: Clients) -> None:
    await next_claim(stack)
    server = stack.server_process()
    assert server is not None
    await kill_and_wait(server)


async def drop_the_reply_to_a_submit(stack: Stack, clients: Clients) -> None:
    """The campaign is accepted, its client never hears of it, and sends the same again."""
    stack.proxy.drops = is_first(b"Location: /api/campaigns/")
    await clients.submit(1)
    assert stack.proxy.dropped == 1


async def lose_power_under_load(stack: Stack, clients: Clients) -> None:
    """Right after a campaign was accepted; before that one has reached the disk, if that can be."""
    await next_claim(stack)
    for _ in range(TRIES):
        await stack.until(lambda: can_lose_power(stack), "a server that has synced")
        await clients.submit(1)
        if (server := stack.server_process()) is None:
            continue
        server.suspend()
        if b"last_campaign" in stack.not_synced():
            break
        server.resume()
    assert await stack.lose_power() is not None


async def can_lose_power(stack: Stack) -> bool:
    return stack.server_process() is not None and stack.made.sync_note.exists()


NO_FENCE = Planted(
    "no fence",
    stop_a_worker_beyond_its_lease,
    "unexpected",
    swaps=(("if job.attempt ~= attempt or job.worker_id ~= arg.worker_id then", "if false then"),),
)
POP_WITHOUT_LEASE = Planted(
    "pop without lease",
    kill_a_worker_in_mid_job,
    "lost",
    swaps=(("local function mark_running(job_id, job)\n", "local function mark_running()\n  do return end\n"),),
)
NOT_APPENDED = Planted("append-only file off", kill_the_server, "lost", server=(("appendonly", "no"),))
NOT_IDEMPOTENT = Planted(
    "submit not idempotent",
    drop_the_reply_to_a_submit,
    "unexpected",
    swaps=(("local known = given(arg.idempotency_key) and read(idempotency_key())", "local known = nil"),),
)
SYNCED_LATER = Planted(
    "appendfsync everysec",
    lose_power_under_load,
    "lost",
    server=(("appendfsync", "everysec"),),
    load=HASTY,
    needs_shim=True,
)

ALL = (NO_FENCE, POP_WITHOUT_LEASE, NOT_APPENDED, NOT_IDEMPOTENT, SYNCED_LATER)
