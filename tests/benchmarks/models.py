"""What it costs to take in and give out a large model: time, and the memory of the orchestrator and of the client.

python -m tests.benchmarks.models [GiB]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.processes import program, running_up

MIB = 2**20

CLIENT = """
import asyncio, json, sys, time
from pathlib import Path
from daemons.client import Client

async def main(url, source, target):
    async with Client(url) as client:
        marks = [time.monotonic()]
        await client.upload_model(source, "large.onnx")
        marks.append(time.monotonic())
        await client.download_model("large.onnx", target)
        marks.append(time.monotonic())
    status = Path("/proc/self/status").read_text()  # getrusage would tell the peak of who started this process
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"upload_s": marks[1] - marks[0], "download_s": marks[2] - marks[1], "peak_bytes": peak}))

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(frozen=True)
class Costs:
    """Of one model, there and back. The client's first step is to read the whole file for its hash."""

    upload_s: float
    download_s: float
    client_peak_bytes: int
    orchestrator_grew_bytes: int
    """By how much its peak of resident memory rose over what it had before."""
    is_the_same: bool
    """What came back is as long as what was sent."""


def measure(size_bytes: int, folder: Path) -> Costs:
    """The costs of a model of zeros."""
    source, target = folder / "source", folder / "target"
    with source.open("wb") as file:
        file.truncate(size_bytes)
    with running_up(folder / "data", workers=0) as (process, api):
        orchestrator = program(process, "daemons", "orchestrator")
        assert orchestrator is not None
        assert api.get("/models") is not None
        before = orchestrator.memory_info().rss
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, f"http://{api.host}:{api.port}", str(source), str(target)],
            capture_output=True,
            text=True,
            check=True,
        )
        peak = _peak_bytes(orchestrator)
    told = json.loads(done.stdout)
    is_the_same = target.stat().st_size == size_bytes
    return Costs(told["upload_s"], told["download_s"], told["peak_bytes"], peak - before, is_the_same)


def _peak_bytes(process: psutil.Process) -> int:
    """The highest resident memory that a process has had; Linux tells it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Print the costs of a model of 1 GiB, or as many as the command line says."""
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * 1024) * MIB
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        costs = measure(size, Path(folder))
    print(f"{size / MIB:,.0f} MiB of zeros, {time.monotonic() - began:.1f} s in all")
    print(f"upload     {costs.upload_s:6.2f} s  {size / MIB / costs.upload_s:7.0f} MiB/s (hashed by the client before)")
    print(f"download   {costs.download_s:6.2f} s  {size / MIB / costs.download_s:7.0f} MiB/s")
    print(f"orchestrator's peak above its start  {costs.orchestrator_grew_bytes / MIB:6.1f} MiB")
    print(f"client's peak                        {costs.client_peak_bytes / MIB:6.1f} MiB")


if __name__ == "__main__":
    main()
