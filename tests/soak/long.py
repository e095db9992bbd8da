"""``make soak-long``: ten jobs a second for 20 minutes without a fault. What grows, grows for ever."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.soak.clients import Clients
from tests.soak.harness import drain, fleet, read_files
from tests.soak.layout import Layout
from tests.soak.stack import Stack

MIB = 2**20
JOBS_AT_ONCE = 5
SAMPLE_EVERY_S = 5.0
WARM_UP = 0.25
"""Share of the time in which pools and caches fill."""
MOST_MIB_PER_MIN = 1.0
MOST_DESCRIPTORS = 5
MOST_WAITING = 200
"""Results whose file is not yet written: twenty seconds' worth."""
RETENTION_DAYS = 1 / 1440
"""One minute, so that the store comes to its lasting size within the run."""

LAYOUT = Layout(
    workers=4,
    quick_ms_per_run=1.0,
    fleet={},
    take_over_s=None,
    shim=None,
    orchestrator_environ={
        "BENCHFLEET_STORAGE__RETENTION_DAYS": str(RETENTION_DAYS),
        "BENCHFLEET_LOG__LEVEL": "warning",
    },
    worker_environ={"BENCHFLEET_LOG__LEVEL": "warning"},
)


class Samples:
    """Memory and descriptors of each program, and what waits, over time."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.times: list[float] = []
        self.resident: defaultdict[str, list[float]] = defaultdict(list)
        self.descriptors: defaultdict[str, list[int]] = defaultdict(list)
        self.waiting: list[int] = []

    def take(self, processes: dict[str, psutil.Process], waiting: int) -> None:
        self.times.append((time.monotonic() - self._began) / 60)
        self.waiting.append(waiting)
        for name, process in processes.items():
            with process.oneshot():
                self.resident[name].append(process.memory_info().rss / MIB)
                self.descriptors[name].append(process.num_fds())

    def findings(self) -> list[tuple[str, bool]]:
        """A sentence for each program and for the stream, and whether it is within its bounds."""
        first = int(len(self.times) * WARM_UP)
        times, found = self.times[first:], []
        for name, all_resident in self.resident.items():
            resident, descriptors = all_resident[first:], self.descriptors[name][first:]
            slope = statistics.linear_regression(times, resident).slope
            middle = statistics.median(descriptors)
            swing = max(abs(count - middle) for count in descriptors)
            text = (
                f"{name}: {resident[0]:.1f} to {resident[-1]:.1f} MiB, {slope:+.3f} MiB/min; "
                f"{middle:.0f} ± {swing:.0f} descriptors"
            )
            found.append((text, slope < MOST_MIB_PER_MIN and swing <= MOST_DESCRIPTORS))
        text = f"results that waited for their file: {max(self.waiting)} at most"
        return [*found, (text, max(self.waiting) <= MOST_WAITING)]


async def run(minutes: float, rate: float, tell: Callable[[str], object]) -> bool:
    """Whether all stayed within its bounds, and each job has one row."""
    with tempfile.TemporaryDirectory(prefix="bf-") as folder:
        async with fleet(Path(folder), LAYOUT) as (stack, clients):
            stack.recorder.wanted = lambda *_: False  # twenty minutes of it would be much
            began = time.monotonic()
            samples = await _sampled(stack, clients, began + minutes * 60, rate)
            drain_s = await drain(stack, clients, 60.0)
            files = await asyncio.to_thread(read_files, stack.made.outputs)
    rows = sum(len(rows) for rows in files.values())
    jobs = sum(clients.acknowledged.values())
    tell(f"{jobs} jobs in {minutes:g} minutes, {jobs / minutes / 60:.1f} a second; {rows} rows in {len(files)} files")
    is_well = drain_s is not None and rows == jobs and len(files) == len(clients.acknowledged)
    for text, is_within in samples.findings():
        tell(f"{text}{'' if is_within else ': OUT OF BOUNDS'}")
        is_well = is_well and is_within
    return is_well


async def _sampled(stack: Stack, clients: Clients, until: float, rate: float) -> Samples:
    """Submit at the rate, and look at everything meanwhile."""
    processes = _processes(stack)
    samples, submits = Samples(time.monotonic()), set()
    next_submit = next_sample = time.monotonic()
    async with stack.store() as store, asyncio.TaskGroup() as group:
        while (now := time.monotonic()) < until:
            if now >= next_submit:
                next_submit += JOBS_AT_ONCE / rate
                spec = {"num_inference_runs": 50, "num_load_runs": 1}
                submits.add(group.create_task(clients.submit(JOBS_AT_ONCE, **spec)))
                submits = {task for task in submits if not task.done()}
            if now >= next_sample:
                next_sample += SAMPLE_EVERY_S
                samples.take(processes, await store.outbox.size())
            await asyncio.sleep(max(0.0, min(next_submit, next_sample) - time.monotonic()))
    return samples


def _processes(stack: Stack) -> dict[str, psutil.Process]:
    found = {program.name: psutil.Process(program.pid) for program in stack.programs if program.pid}
    with contextlib.suppress(psutil.Error):
        if (server := stack.server_process()) is not None:
            found["valkey"] = server
    return found


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.long", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=10.0, help="jobs a second")
    options = parser.parse_args()
    return 0 if asyncio.run(run(options.minutes, options.rate, lambda text: print(text, flush=True))) else 1


if __name__ == "__main__":
    sys.exit(main())
