"""How far a measurement is from the truth: `make bench-fidelity`. Prints PASS or FAIL for each promise of measuring.

The truth is `tests/support/plain_loop.py`, a script in a process of its own that uses nothing of benchfleet's: the same
session, threads, inputs and warm-up. The two are alternated, so that whatever slows the machine slows both. What our
code costs between two runs is told more sharply by `same_session`, which has both loops in one process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daemons.core.models import BenchRequest
from daemons.core.results import Outcome
from daemons.core.units import CPU_ONNX
from daemons.worker.bench.runner import Bench
from daemons.worker.devicelock import measuring_lock
from daemons.worker.engines.base import LoadOptions
from daemons.worker.engines.onnx import OnnxRuntimeEngine
from tests.support import plain_loop
from tests.support.light_models import light_models

# Runs are counted so that each side measures for about a second.
MODELS = {"light_squeezenet": 200, "light_resnet50": 30, "light_shufflenet": 200}
WARMUPS = 20
PAIRS = 12
OVERHEAD_JOBS = 12
SEED = 7

MEMORY_RATIO = (0.98, 1.02)
OVERHEAD_MS = 50.0


class Figures(NamedTuple):
    """What either side says."""

    median_ms: float
    load_peak_mb: float
    inference_peak_mb: float


class Report:
    """The lines that were printed, and whether all of them are well."""

    def __init__(self) -> None:
        self.is_well = True

    def line(self, subject: str, text: str, *, is_well: bool | None = None) -> None:
        """One finding; None is told for information alone."""
        verdict = {True: "PASS", False: "FAIL", None: "    "}[is_well]
        self.is_well &= is_well is not False
        print(f"{verdict}  {subject:<34} {text}", flush=True)

    def ratio(self, subject: str, ratios: list[float], limits: tuple[float, float]) -> None:
        """The median of the pairs' ratios against its limits."""
        middle = statistics.median(ratios)
        text = f"{middle:.4f}  (pairs {min(ratios):.3f} to {max(ratios):.3f}; allowed {limits[0]} to {limits[1]})"
        self.line(subject, text, is_well=limits[0] <= middle <= limits[1])


def ignore(progress: Any) -> None:
    """Nobody looks."""


def request_for(name: str, **counts: Any) -> BenchRequest:
    """An order for one of the networks."""
    path = light_models() / f"{name}.onnx"
    return BenchRequest(model_path=str(path), file_name=path.name, compute_unit=CPU_ONNX, seed=SEED, **counts)


async def measured(bench: Bench, request: BenchRequest) -> Outcome:
    """A measurement with a process started ahead, as a worker makes it."""
    await bench.prepare()
    outcome = await bench.measure(request, ignore)
    if outcome.measurement.remark:
        raise SystemExit(f"{request.file_name} could not be measured: {outcome.measurement.remark}")
    return outcome


async def ours(bench: Bench, request: BenchRequest) -> Figures:
    """What benchfleet says."""
    found = (await measured(bench, request)).measurement
    assert found.inference_ms_median is not None
    return Figures(found.inference_ms_median, found.peak_load_ram_usage or 0, found.peak_inference_ram_usage or 0)


async def theirs(request: BenchRequest, inputs: Path) -> Figures:
    """What the plain loop says."""
    script = str(Path(plain_loop.__file__))
    counts = [str(request.warmup_runs), str(request.num_inference_runs)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, request.model_path, str(inputs), *counts, stdout=subprocess.PIPE
    )
    said, _ = await process.communicate()
    found = json.loads(said)
    return Figures(found["median_ms"], found["load_peak_bytes"] / 2**20, found["inference_peak_bytes"] / 2**20)


def inputs_of(request: BenchRequest) -> dict[str, bytes]:
    """The inputs that the engine makes, as bytes by name."""
    return {name: array.tobytes() for name, array in _feed(request).items()}


def _feed(request: BenchRequest) -> dict[str, Any]:
    model = OnnxRuntimeEngine().load(request.model_path, request.compute_unit, LoadOptions(request.threads))
    try:
        feed: dict[str, Any] = model.inputs(request.seed).feed
    finally:
        model.close()
    return feed


async def compare(report: Report, bench: Bench, name: str, runs: int, pairs: int, folder: Path) -> None:
    """Both sides in turn; the order within a pair changes, so that being first favours nobody."""
    request = request_for(name, num_inference_runs=runs, num_load_runs=1, warmup_runs=WARMUPS)
    inputs = folder / f"{name}.npz"
    np.savez(inputs, **_feed(request))
    found: list[tuple[Figures, Figures]] = []
    for number in range(pairs):
        async with measuring_lock().held():  # for a pair, not for all: others on the machine have their turns
            if number % 2:
                other = await theirs(request, inputs)
                found.append((await ours(bench, request), other))
            else:
                own = await ours(bench, request)
                found.append((own, await theirs(request, inputs)))
    ratios = [own.median_ms / plain.median_ms for own, plain in found]
    # For information: two processes get different heaps and cores, so their times differ by more than either loop's
    # error. What the loops themselves differ by is judged over one session, by `same_session`.
    spread = f"pairs {min(ratios):.3f} to {max(ratios):.3f}"
    report.line(f"{name}: time, own processes", f"{statistics.median(ratios):.4f}  ({spread}; not judged)")
    _ratio(report, f"{name}: peak of loading", found, MEMORY_RATIO, lambda side: side.load_peak_mb)
    _ratio(report, f"{name}: peak of inference", found, MEMORY_RATIO, lambda side: side.inference_peak_mb)


def _ratio(
    report: Report,
    subject: str,
    found: list[tuple[Figures, Figures]],
    limits: tuple[float, float],
    figure: Callable[[Figures], float],
) -> None:
    report.ratio(subject, [figure(own) / figure(other) for own, other in found], limits)


async def overhead_ms(bench: Bench, request: BenchRequest, pause_s: float) -> float:
    """Wall time of a job less its loads, warm-ups and inferences, with a process that waits."""
    await bench.prepare()
    await asyncio.sleep(pause_s)
    began = time.perf_counter()
    outcome = await bench.measure(request, ignore)
    wall_ms = (time.perf_counter() - began) * 1000
    spent = sum(outcome.samples.load_ms) + sum(outcome.samples.inference_ms)
    # Without a warm-up, and with shapes that need no trial, the very first run is the first of the samples.
    return wall_ms - spent


async def overheads(report: Report, bench: Bench, jobs: int) -> None:
    """Apart and back to back; the start of the process counts only where it wasn't ahead of time."""
    request = request_for("light_squeezenet", num_inference_runs=50, num_load_runs=2, warmup_runs=0)
    apart = [await overhead_ms(bench, request, 1.0) for _ in range(jobs)]
    middle = statistics.median(apart)
    text = f"{middle:.1f} ms  (up to {max(apart):.1f}; allowed {OVERHEAD_MS:.0f})"
    report.line("overhead, jobs a second apart", text, is_well=middle < OVERHEAD_MS)
    began = time.perf_counter()
    close = []
    for _ in range(jobs):
        outcome = await measured(bench, request)
        close.append(sum(outcome.samples.load_ms) + sum(outcome.samples.inference_ms))
    per_job = ((time.perf_counter() - began) * 1000 - sum(close)) / jobs
    report.line("overhead, back to back", f"{per_job:.1f} ms  (the start of each process with it)")


def determinism(report: Report) -> None:
    """The same seed gives the same bytes, another seed others."""
    for name in MODELS:
        request = request_for(name)
        same = inputs_of(request) == inputs_of(request)
        code = (
            "import hashlib, sys; from tests.benchmarks import fidelity as f; "
            f"print(hashlib.sha256(b''.join(f.inputs_of(f.request_for({name!r})).values())).hexdigest())"
        )
        root = Path(__file__).parents[2]
        digests = {
            subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
            for _ in range(2)
        }
        report.line(f"{name}: inputs", "same seed, same bytes", is_well=same and len(digests) == 1)


async def check(pairs: int, names: list[str]) -> bool:
    """Everything; whether all is within its limits."""
    report, bench = Report(), Bench()
    report.line("load average at the start", f"{os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                await compare(report, bench, name, MODELS[name], pairs, Path(folder))
            async with measuring_lock().held():
                await overheads(report, bench, OVERHEAD_JOBS)
    finally:
        await bench.close()
    determinism(report)
    return report.is_well


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of measurements for each network")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this network; may be repeated")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(check(arguments.pairs, arguments.model or list(MODELS))) else 1)


if __name__ == "__main__":
    main()
