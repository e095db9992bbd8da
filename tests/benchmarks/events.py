"""What listeners to the events of an orchestrator cost: memory for each, and processor time for 200 against one.

Run it as ``python -m tests.benchmarks.events``. It prints one line per figure and exits with 1 if one is beyond its
limit. The orchestrator is a process of its own, so that what is measured is its alone.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from daemons.store import Store
from tests.support.store import Drive, fresh_store, running_server

LISTENERS = 200
EVENTS = 3000
MAX_KIB_PER_LISTENER = 64
MAX_TIME_RATIO = 6.0
"""Processor time for the same events with 200 listeners, to that with one."""
MAX_LAG_S = 2.0
"""From the last event to the last listener that has it."""

ORCHESTRATOR = """
import asyncio, sys
from daemons.core.settings import *
from daemons.orchestrator import daemon
settings = OrchestratorSettings(
    http=HttpSettings(port=0),
    redis=RedisSettings(url=sys.argv[1], prefix=sys.argv[2]),
    storage=OrchestratorStorage(data_dir=sys.argv[3]),
    log=LogSettings(level="error"),
)
asyncio.run(daemon.run(settings, on_ready=lambda url: print(url, flush=True)))
"""


@contextmanager
def orchestrator(store: Store, redis_url: str, folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    """One in a process of its own, and its port."""
    command = [sys.executable, "-c", ORCHESTRATOR, redis_url, store.server._prefix, str(folder / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = int(next(line for line in process.stdout if line.startswith("http")).rpartition(":")[2])
        try:
            yield psutil.Process(process.pid), port
        finally:
            process.terminate()


@asynccontextmanager
async def listener(port: int) -> AsyncIterator[asyncio.StreamReader]:
    """A stream that has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        await reader.readuntil(b"event: ready")
        yield reader
    finally:
        writer.close()


async def hear(reader: asyncio.StreamReader, last: bytes) -> None:
    """Read up to an event."""
    rest = b""
    while last not in rest:
        chunk = await reader.read(2**18)
        if not chunk:
            raise EOFError
        rest = rest[-len(last) :] + chunk


async def seconds_for(
    store: Store, worker: str, process: psutil.Process, port: int, count: int
) -> tuple[float, float, float]:
    """Processor time, lag and KiB for each, with so many listeners."""
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(listener(port)) for _ in range(count)]
        weight = (process.memory_info().rss - before) / 1024 / count
        position = await store.events.position()
        last = f"id: {position.epoch}-{position.seq + EVENTS}\n".encode()
        began = sum(process.cpu_times()[:2])
        heard = [asyncio.create_task(hear(reader, last)) for reader in readers]
        for number in range(EVENTS):
            await store.fleet.drain(worker, "why" if number % 2 == 0 else None)
        ended = time.monotonic()
        await asyncio.gather(*heard)
        return sum(process.cpu_times()[:2]) - began, time.monotonic() - ended, weight


def told(name: str, text: str, *, is_within: bool) -> bool:
    """Print a figure; whether it is within its limit."""
    print(f"{'ok  ' if is_within else 'FAIL'} {name}: {text}")
    return is_within


async def main(url: str, folder: Path) -> int:
    """The exit status."""
    async with fresh_store(url) as store:
        worker = await Drive(store).worker()
        with orchestrator(store, url, folder) as (process, port):
            await seconds_for(store, worker, process, port, 1)  # what is loaded once is not weighed
            one_s, _, _ = await seconds_for(store, worker, process, port, 1)
            all_s, lag_s, weight = await seconds_for(store, worker, process, port, LISTENERS)
    times = f"{all_s:.2f} s with {LISTENERS} listeners, {one_s:.2f} s with one: {all_s / one_s:.1f}"
    return not all(
        [
            told(
                f"memory of each of {LISTENERS} listeners",
                f"{weight:.0f} KiB (limit {MAX_KIB_PER_LISTENER})",
                is_within=weight <= MAX_KIB_PER_LISTENER,
            ),
            told(
                f"processor time for {EVENTS:,} events",
                f"{times} (limit {MAX_TIME_RATIO:g})",
                is_within=all_s <= MAX_TIME_RATIO * one_s,
            ),
            told(
                "the last listener has the last event",
                f"after {lag_s:.2f} s (limit {MAX_LAG_S:g})",
                is_within=lag_s <= MAX_LAG_S,
            ),
        ]
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bf-") as where, running_server(Path(where)) as server:
        status = asyncio.run(main(server.url, Path(where)))
    sys.exit(status)
