"""Five faults planted on purpose, each with a script that brings it out. A checker that lets one pass proves nothing.

Each is planted from outside, by `tests.soak.launch`: a text of a script or a setting of the server is swapped. Without
the swap the same script must come out clean.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.soak.clients import Clients, Load
from tests.soak.harness import Script
from tests.soak.kept import Kept
from tests.soak.stack import Layout, Stack, kill_and_wait

JOB_MS = 1200
"""Longer than a lease, so that what a stopped worker did is done when it goes on."""
QUICK = Layout(workers=3, quick_ms_per_run=1.0)
STEADY = Load(busy_jobs=4, least_runs=JOB_MS, most_runs=JOB_MS)
HASTY = Load(busy_jobs=4, least_runs=20, most_runs=200)
BURST = 40


@dataclass(frozen=True)
class Planted:
    """A fault: what is swapped, what brings it out, and what the checker must call it."""

    name: str
    script: Script
    found: str
    swaps: tuple[tuple[str, str], ...] = ()
    server: tuple[tuple[str, str], ...] = ()
    load: Load = STEADY

    @property
    def layout(self) -> Layout:
        return replace(QUICK, script_swaps=list(self.swaps), server_settings=dict(self.server))


async def stop_a_worker_beyond_its_lease(stack: Stack, clients: Clients) -> None:
    """It goes on when its job runs elsewhere, and has a result by then."""
    claim = await next_claim(stack)
    await stack.until(lambda: is_measuring(stack, claim), "the measurement")
    with stopped(await program_of(stack, claim.worker_id)):
        await claimed_again(stack, claim)
        await asyncio.sleep(JOB_MS / 3000)  # the first attempt is over by now, and the second is not
    await stack.until(lambda: reported(stack, claim), "the late report")


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
    await next_claim(stack)
    await asyncio.gather(*(clients.submit(1) for _ in range(BURST)))
    assert await stack.lose_power() is not None


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
    swaps=(
        ("redis.call('HSET', P .. 'running', job_id, cjson.encode(entry))", ""),
        (
            "redis.call('HSET', worker_key(job.worker_id), 'status', 'busy', 'job_id', job_id, 'attempt', job.attempt)",
            "",
        ),
    ),
)
NOT_APPENDED = Planted("append-only file off", kill_the_server, "lost", server=(("appendonly", "no"),))
NOT_IDEMPOTENT = Planted(
    "submit not idempotent",
    drop_the_reply_to_a_submit,
    "unexpected",
    swaps=(("local known = replay()", "local known = nil"),),
)
SYNCED_LATER = Planted(
    "appendfsync everysec", lose_power_under_load, "lost", server=(("appendfsync", "everysec"),), load=HASTY
)

ALL = (NO_FENCE, POP_WITHOUT_LEASE, NOT_APPENDED, NOT_IDEMPOTENT, SYNCED_LATER)


@dataclass(frozen=True)
class Claim:
    """A job given to a worker, as it passed on the wire."""

    worker_id: str
    job_id: str
    attempt: int


def claims(stack: Stack) -> list[Claim]:
    """All so far."""
    return [
        Claim(exchange.path.split("/")[3], exchange.answer["job"]["job_id"], exchange.answer["job"]["attempt"])
        for exchange in stack.recorder.exchanges
        if "/claim" in exchange.path and exchange.status == 200
    ]


async def next_claim(stack: Stack) -> Claim:
    """The first claim from now on."""
    known = len(claims(stack))

    async def look() -> bool:
        return len(claims(stack)) > known

    await stack.until(look, "a claim")
    return claims(stack)[known]


async def is_measuring(stack: Stack, claim: Claim) -> bool:
    """Whether the attempt has come to its timed runs, as its worker said with a beat."""
    worker = await stack.ask("GET", f"/workers/{claim.worker_id}")
    return worker.get("current_job") == claim.job_id and (worker["progress"] or {}).get("phase") == "inference"


async def claimed_again(stack: Stack, lost: Claim) -> None:
    """Return once the job was given to another worker."""

    async def look() -> bool:
        return any(claim.job_id == lost.job_id and claim.attempt > lost.attempt for claim in claims(stack))

    await stack.until(look, f"another attempt of {lost.job_id}")


async def reported(stack: Stack, claim: Claim) -> bool:
    """Whether the worker's own report of this attempt was answered."""
    return any(
        exchange.path == f"/api/jobs/{claim.job_id}/result"
        and exchange.status is not None
        and exchange.body["attempt"] == claim.attempt
        for exchange in stack.recorder.exchanges
    )


async def program_of(stack: Stack, worker_id: str) -> Kept:
    """The worker's program, by the name that the harness gave its device."""
    worker: dict[str, Any] = await stack.insist("GET", f"/workers/{worker_id}")
    return stack.workers[int(worker["device_name"].rpartition(" ")[2])]


@contextlib.contextmanager
def stopped(program: Kept) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    program.send(signal.SIGSTOP)
    try:
        yield
    finally:
        program.send(signal.SIGCONT)


def is_first(mark: bytes) -> Any:
    """Whether this is the first reply that holds `mark`."""
    seen = False

    def drops(reply: bytes) -> bool:
        nonlocal seen
        is_it = not seen and mark in reply
        seen = seen or is_it
        return is_it

    return drops
