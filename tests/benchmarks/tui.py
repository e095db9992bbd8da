"""How soon the dashboard paints and how soon it answers a key: ratios to what is promised.

Run it as ``python -m tests.benchmarks.tui``. The program runs in a terminal of its own against a server that tells
of 10,000 devices, 100,000 jobs and 2,000 events a second. A key counts as answered when what it brings is on the
screen. It exits with 1 if a figure is beyond its limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.terminal import Terminal, in_terminal

DEVICES = 10_000
JOBS = 100_000
EVENTS_PER_S = 2_000
FIRST_PAINT_LIMIT_S = 1.0
KEY_LIMIT_S = 0.050
STARTS = 5
KEYS = 200


def main() -> int:
    """All figures, and whether all are within their limits."""
    with busy_fleet() as url:
        paints = [first_paint_s(url) for _ in range(STARTS)]
        keys = key_times_s(url)
    rows = [
        ("first paint, median", statistics.median(paints), FIRST_PAINT_LIMIT_S),
        ("key, p50", percentile(keys, 50), KEY_LIMIT_S),
        ("key, p99", percentile(keys, 99), KEY_LIMIT_S),
    ]
    print(f"{DEVICES:,} devices, {JOBS:,} jobs, {EVENTS_PER_S:,} events/s; {STARTS} starts, {len(keys)} keys")
    for name, seconds, limit_s in rows:
        print(f"{name:<22} {seconds * 1000:8.1f} ms   {seconds / limit_s:5.2f} of the limit of {limit_s * 1000:.0f} ms")
    return int(any(seconds > limit_s for _, seconds, limit_s in rows))


@contextmanager
def busy_fleet() -> Iterator[str]:
    """The server's address."""
    command = [sys.executable, "-m", "tests.support.busy_fleet", str(DEVICES), str(JOBS), str(EVENTS_PER_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


@contextmanager
def dashboard(url: str) -> Iterator[Terminal]:
    """The program in a terminal."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BENCHFLEET_")}
    command = [sys.executable, "-m", "daemons", "tui", "--url", url, "--redis", "none"]
    with in_terminal(command, environ | {"TERM": "xterm-256color"}) as (terminal, _):
        yield terminal


def first_paint_s(url: str) -> float:
    """Seconds from the start of the program until its screen is there."""
    began = time.perf_counter()
    with dashboard(url) as terminal:
        return terminal.wait_for("Running campaigns") - began


def key_times_s(url: str) -> list[float]:
    """Seconds from key to answer: down through the table of devices, and between screens."""
    with dashboard(url) as terminal:
        terminal.wait_for("10,000 devices", 60)
        terminal.press("2")
        terminal.wait_for(f"{DEVICES:,} devices  by device", 60)
        terminal.wait_for("device-00000")
        times = []
        for turn in range(KEYS):
            times.append(answered(terminal, "j", f"❯ device-{turn + 1:05d}"))  # noqa: RUF001
            time.sleep(0.02 + 0.003 * (turn % 30))  # at no fixed place between two paints
        for _ in range(KEYS // 10):
            times.append(answered(terminal, "1", "Running campaigns"))
            times.append(answered(terminal, "2", "by device"))
        return times


def answered(terminal: Terminal, key: str, text: str) -> float:
    """Seconds until the key has brought what it is to bring."""
    return -terminal.press(key) + terminal.wait_for(text)


def percentile(values: list[float], percent: int) -> float:
    """The value below which so many per cent lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


if __name__ == "__main__":
    sys.exit(main())
