"""What models and engines may do to the process that measures them: each ends as what it is, and the next job runs."""

from __future__ import annotations

import contextlib

import psutil
import pytest

from daemons.core.units import CPU_ONNX
from tests.soak.harness import conclude, fleet
from tests.soak.kept import ROOT
from tests.soak.layout import Layout
from tests.support import hostile_engines, hostile_models
from tests.support.scale import scaled, tell

HOSTILE = (hostile_engines.Crashes, hostile_engines.EatsMemory, hostile_engines.Floods, hostile_engines.Bombs)
UNITS = {f"CPU ({engine.__name__})": f"{engine.__module__}:{engine.__name__}" for engine in HOSTILE}
BOMBS = f"CPU ({hostile_engines.Bombs.__name__})"
FLOOD_MB = scaled(small=200, full=5 * 1024)
"""On each of stderr and stdout."""
SOON_S = 3.0

CASES = [
    ("flood.onnx", "CPU (Crashes)", {}, "Failed", "SIGSEGV"),
    ("endless.onnx", CPU_ONNX, {"timeout_seconds": SOON_S}, "Failed", "time limit"),
    ("flood.onnx", "CPU (EatsMemory)", {}, "Failed", "out of memory"),
    ("greedy.onnx", CPU_ONNX, {}, "Failed", "memory"),
    ("flood.onnx", "CPU (Floods)", {"timeout_seconds": 600.0}, "Complete", ""),
    ("flood.onnx", BOMBS, {"timeout_seconds": SOON_S}, "Failed", "time limit"),
]


def left_of(engine, worker):
    """The living processes of this engine that the worker has started, or that were started by one of them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or ()
        with contextlib.suppress(psutil.Error):
            if {UNITS[engine], str(worker.pid)} <= set(line) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.skipif(not psutil.LINUX, reason="limits of memory are Linux's")
@pytest.mark.timeout(scaled(small=120, full=900))
async def test_each_ends_as_what_it_is_and_the_next_job_runs(tmp_path):
    layout = Layout(
        workers=1,
        engines=UNITS,
        worker_environ={"PYTHONPATH": str(ROOT), "BENCHFLEET_LIMITS__MEMORY_LIMIT_GB": "0.6"},
    )
    async with fleet(tmp_path, layout) as (stack, clients):
        stack.models.files |= {
            "flood.onnx": str(FLOOD_MB).encode(),
            "endless.onnx": hostile_models.endless(),
            "greedy.onnx": hostile_models.greedy(256),
        }
        ends = []

        async def is_bombed():
            return len(left_of(BOMBS, stack.workers[0])) > 200

        for model, unit, options, _, _ in CASES:
            hostile = await clients.submit(
                model=model, compute_unit=unit, num_inference_runs=3, warmup_runs=1, **options
            )
            if unit == BOMBS:
                await stack.until(is_bombed, "hundreds of processes")
            good = await clients.submit(num_inference_runs=3, num_load_runs=1)
            for campaign in (hostile, good):

                async def has_ended(campaign=campaign):
                    return (await stack.insist("GET", f"/campaigns/{campaign}"))["status"] != "running"

                await stack.until(has_ended, f"the end of {model} on {unit}", scaled(small=60.0, full=300.0))
            ends.append([await stack.insist("GET", f"/jobs/{campaign}-job-0") for campaign in (hostile, good)])

        async def is_nothing_left():
            return not left_of(BOMBS, stack.workers[0])

        await stack.until(is_nothing_left, "the end of all that was started")
        verdict = await conclude(stack, clients)

    assert verdict.sentences == []
    for (hostile, good), (model, unit, _, status, words) in zip(ends, CASES, strict=True):
        told = (hostile["result"]["status"], hostile["job"]["attempt"], good["result"]["status"])
        assert told == (status, 1, "Complete"), (model, unit, hostile, good)
        assert words in hostile["result"].get("Remark", ""), (model, unit, hostile["result"])
    tell("hostile models", each_ended_as=[f"{unit}: {status} {words}".strip() for _, unit, _, status, words in CASES])
