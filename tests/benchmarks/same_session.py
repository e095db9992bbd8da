"""Our timed runs against a plain loop on the very same session, alternated.

``python -m tests.benchmarks.same_session``. Two processes of one model differ by some per cent, for their memory lies
differently; on one session all that is left is what measuring itself costs. The median of the pairs' ratios must lie
within 0.99 to 1.01; exits 1 if one doesn't. Others on the machine stand in single pairs: many short ones keep them out
of the median.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import socket
import sys
import time
from statistics import median, quantiles

from daemons.worker.bench.child import Channel
from daemons.worker.bench.measure import real_instruments, timed_runs
from daemons.worker.bench.memory import own_memory
from daemons.worker.devicelock import measuring_lock
from daemons.worker.engines.base import LoadOptions
from daemons.worker.engines.onnx import OnnxRuntimeEngine
from tests.support.light_models import light_models

MODELS = ("light_squeezenet", "light_resnet50", "light_shufflenet")
LIMITS = (0.99, 1.01)
WARM_UP_S = 1.0
FEWEST_RUNS = 5


def plain_loop(session, feed, count):
    """What somebody would write to check a figure."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        session.run(None, feed)
        taken.append(time.perf_counter_ns() - begin)
    return taken


def runs_within(session, feed, seconds):
    """How many runs take about `seconds`. The session is warm afterwards."""
    taken, began = [], time.perf_counter()
    while time.perf_counter() - began < WARM_UP_S or len(taken) < FEWEST_RUNS:
        taken += plain_loop(session, feed, 1)
    return max(FEWEST_RUNS, int(seconds * 1e9 / median(taken)))


def ratios(name, options):
    """Ours over the plain loop's, of medians; progress goes to a channel, as it does in a measurement."""
    path = str(light_models() / f"{name}.onnx")
    model = OnnxRuntimeEngine().load(path, "CPU (ONNX)", LoadOptions(options.threads))
    feed, session = model.inputs(seed=0).feed, model._session
    ours, theirs = socket.socketpair()
    with ours, theirs:
        tools = real_instruments(own_memory(), Channel(ours.fileno()).progress)
        count = runs_within(session, feed, options.seconds)
        for _ in range(options.pairs):
            measured, _, _ = timed_runs(model, feed, count, tools)
            gc.collect()  # as timed_runs does before it begins: both start alike
            yield median(measured) / median(plain_loop(session, feed, count))
    model.close()


def is_within(name, found):
    """Print the verdict."""
    middle, (low, _, high) = median(found), quantiles(found, n=4)
    within = LIMITS[0] <= middle <= LIMITS[1]
    verdict = "PASS" if within else "FAIL"
    print(
        f"{verdict}  {name:<18} {middle:.4f}  (allowed {LIMITS[0]} to {LIMITS[1]}; half of {len(found)} pairs lie in "
        f"{low:.4f} to {high:.4f})",
        flush=True,
    )
    return within


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="default: 60; at least 12 mean something")
    parser.add_argument("--seconds", type=float, default=0.15, help="of runs in each half of a pair (default: 0.15)")
    parser.add_argument("--threads", type=int, help="inside an operator (default: the engine's choice)")
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    async with measuring_lock().held():
        verdicts = [is_within(name, list(ratios(name, options))) for name in MODELS]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
