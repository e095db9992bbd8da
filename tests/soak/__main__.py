"""``make soak``: many faults over some seeds, on real processes. It ends with 0 if nothing was lost, doubled or new."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.soak.harness import Run, run_plan
from tests.soak.layout import Layout

GAP_S = 0.5
"""Between two faults, on average."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--faults", type=int, default=500, help="in all, shared out over the seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--gap", type=float, default=GAP_S, help="seconds between two faults, on average")
    parser.add_argument("--keep", action="store_true", help="keep the folders of clean runs, too")
    options = parser.parse_args()
    shares = [options.faults // len(options.seeds)] * len(options.seeds)
    shares[0] += options.faults - sum(shares)
    runs = []
    for place, (seed, count) in enumerate(zip(options.seeds, shares, strict=True)):
        # Every second seed: two orchestrators, and a server that runs beside them.
        layout = Layout(orchestrators=1 + place % 2)
        runs.append(_one_seed(seed, count, options.gap, layout, keep=options.keep))
    return _summary(runs)


def _one_seed(seed: int, count: int, gap_s: float, layout: Layout, *, keep: bool) -> Run:
    folder, began = Path(tempfile.mkdtemp(prefix="bf-")), time.monotonic()
    print(f"seed {seed}: {count} faults, {layout.orchestrators} orchestrator(s), {layout.workers} workers", flush=True)
    run = asyncio.run(run_plan(folder, seed, count, gap_s, layout))
    print(f"  {run}; {time.monotonic() - began:.0f} s in all")
    print(f"  ended: {run.facts['ended']}; events: {run.facts['events']}; counted: {run.facts['counters']}")
    print(f"  starts: {run.facts['starts']}; gave up: {run.facts['gave_up']}", flush=True)
    for sentence in run.verdict.sentences:
        print(f"  {sentence}")
    if run.is_clean and not keep:
        shutil.rmtree(folder)
    else:
        print(f"  everything is in {folder}")
    return run


def _summary(runs: list[Run]) -> int:
    faults = sum((run.faults for run in runs), Counter[str]())
    kinds = ", ".join(f"{kind} {count}" for kind, count in faults.most_common())
    print(f"\n{faults.total()} faults: {kinds}")
    jobs, attempts = (sum(run.facts[name] for run in runs) for name in ("jobs", "attempts"))
    retries = sum(int(run.facts["counters"].get("retries", 0)) for run in runs)
    drains = [run.drain_s for run in runs]
    print(f"{jobs} jobs, {attempts} attempts, {retries} retries")
    worst = "not all drained" if None in drains else f"all jobs ended within {max(filter(None, drains)):.1f} s of calm"
    print(worst)
    lost, doubled, unexpected = (
        sum(len(getattr(run.verdict, name)) for run in runs) for name in ("lost", "doubled", "unexpected")
    )
    print(f"{lost} lost, {doubled} doubled, {unexpected} unexpected")
    return 0 if all(run.is_clean for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
