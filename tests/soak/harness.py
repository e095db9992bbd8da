"""One run: a fleet at work, faults on it, calm, and what the checker says of all that it left."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak.checker import FINAL, Evidence, Verdict, check
from tests.soak.clients import Clients, Load
from tests.soak.faults import Faults
from tests.soak.layout import Layout
from tests.soak.plan import make_plan
from tests.soak.stack import Stack
from tests.support.store import dump

DRAIN_LIMIT_S = 60.0
"""What has not ended so long after the last fault is lost."""


@dataclass(frozen=True)
class Run:
    """What became of it."""

    verdict: Verdict
    faults: Counter[str]
    missed: int
    drain_s: float | None
    """None: it never drained."""
    facts: dict[str, Any]

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and self.drain_s is not None

    def __str__(self) -> str:
        drain = "never drained" if self.drain_s is None else f"drained in {self.drain_s:.1f} s"
        hits = f"{self.faults.total()} faults ({self.missed} more found nobody to hit)"
        return f"{self.verdict}; {hits}; {self.facts['jobs']} jobs, {self.facts['attempts']} attempts; {drain}"


Script = Callable[[Stack, Clients], Awaitable[None]]
"""What is done to the fleet where it is not a plan."""


async def run_plan(
    folder: Path, seed: int, count: int, gap_s: float, layout: Layout | None = None, load: Load | None = None
) -> Run:
    """A run under `count` faults that hit, drawn from a seed."""
    counts: list[Faults] = []

    async def script(stack: Stack, clients: Clients) -> None:
        counts.append(Faults(stack, clients))
        await counts[0].carry_out(make_plan(seed, gap_s), count)

    return await run_script(folder, script, seed, layout, load, counts)


async def run_script(
    folder: Path,
    script: Script,
    seed: int = 0,
    layout: Layout | None = None,
    load: Load | None = None,
    counts: Sequence[Faults] = (),
    drain_limit_s: float = DRAIN_LIMIT_S,
) -> Run:
    """A run under whatever `script` does; the clients submit until it is over."""
    async with fleet(folder, layout, load, seed) as (stack, clients):
        over = asyncio.Event()
        submitting = asyncio.create_task(clients.submit_until(over))
        try:
            await script(stack, clients)
        finally:
            over.set()
            await submitting
        drain_s = await drain(stack, clients, drain_limit_s)
        evidence = await gather(stack, clients)
        facts = _facts(evidence, stack, clients)
    done = sum((Counter({kind.value: n for kind, n in one.done.items()}) for one in counts), Counter[str]())
    missed = sum(one.missed.total() for one in counts)
    return Run(check(evidence), done, missed, drain_s, facts)


@contextlib.asynccontextmanager
async def fleet(
    folder: Path, layout: Layout | None = None, load: Load | None = None, seed: int = 0
) -> AsyncIterator[tuple[Stack, Clients]]:
    """A fleet that runs until the block ends, and clients that submit when they are told to."""
    async with Stack(folder, layout or Layout()).running() as stack:
        yield stack, Clients(stack, seed, load or Load())


async def conclude(stack: Stack, clients: Clients, limit_s: float = DRAIN_LIMIT_S) -> Verdict:
    """What the checker says once all has ended, or after `limit_s`."""
    await drain(stack, clients, limit_s)
    return check(await gather(stack, clients))


async def drain(stack: Stack, clients: Clients, limit_s: float) -> float | None:
    """How long it takes from calm until all that was accepted has ended and is in its file."""
    began = time.monotonic()
    await _bring_all_back(stack)
    while time.monotonic() - began < limit_s:
        if await _has_drained(stack, clients):
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    return None


async def _bring_all_back(stack: Stack) -> None:
    """What a person would do: set free what was drained, and take back what was set aside."""
    for worker in (await stack.insist("GET", "/workers")).get("workers", ()):
        if worker["drained"]:
            await stack.insist("POST", f"/workers/{worker['worker_id']}/undrain")
        if worker["status"] == "faulty":
            await stack.insist("PUT", f"/workers/{worker['worker_id']}/reset")


async def _has_drained(stack: Stack, clients: Clients) -> bool:
    campaigns = await clients.campaigns()
    ended = {campaign["campaign_id"] for campaign in campaigns if campaign["status"] != "running"}
    if len(ended) < len(campaigns) or not clients.acknowledged.keys() <= ended:
        return False
    queue = await stack.ask("GET", "/queue/status")
    return queue.get("results_queue_size") == 0


async def gather(stack: Stack, clients: Clients) -> Evidence:
    """All that can be known by now."""
    async with stack.store() as store:
        keys = await dump(store)
    return Evidence(
        acknowledged=dict(clients.acknowledged),
        keys=keys,
        files=await asyncio.to_thread(read_files, stack.made.outputs),
        exchanges=list(stack.recorder.exchanges),
        cancelled=frozenset(clients.cancelled),
    )


def read_files(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Every campaign's CSV file: its name, and its rows."""
    files = {}
    for path in sorted(folder.glob("campaign-*.csv")):
        with path.open(newline="", encoding="utf-8") as text:
            files[path.name] = list(csv.DictReader(text))
    return files


def _facts(evidence: Evidence, stack: Stack, clients: Clients) -> dict[str, Any]:
    """What happened, for people."""
    jobs = [state for name, state in evidence.keys.items() if name.startswith("job:") and name.count(":") == 1]
    histories = [content for name, content in evidence.keys.items() if name.endswith(":history")]
    events = Counter(json.loads(entry)["event"] for history in histories for entry in history)
    return {
        "jobs": sum(clients.acknowledged.values()),
        "campaigns": len(clients.acknowledged),
        "attempts": sum(int(state.get("attempt", 0)) for state in jobs),
        "ended": {status: sum(state["status"] == status for state in jobs) for status in FINAL},
        "events": dict(events),
        "counters": evidence.keys.get("counters", {}),
        "starts": {program.name: program.starts for program in stack.programs},
        "gave_up": [program.name for program in stack.programs if program.gave_up],
    }
