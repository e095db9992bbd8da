"""What anyone would write to time a model: the yardstick of `make bench-fidelity`. Uses nothing of benchfleet's.

``python plain_loop.py MODEL INPUTS WARMUPS RUNS``: MODEL is loaded and run with the arrays of INPUTS (.npz).
Prints one JSON document, peaks as the kernel tells them for each phase:
``{"median_ms", "load_peak_bytes", "inference_peak_bytes"}``.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort


def reset_peak() -> None:
    """The peak starts anew (proc_pid_clear_refs(5))."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_bytes() -> int:
    """The kernel's maximum of resident memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main(model: str, inputs: str, warmups: int, runs: int) -> None:
    """Load, warm up, time, tell."""
    with np.load(inputs) as arrays:
        feed = {name: arrays[name] for name in arrays.files}
    Path(model).read_bytes()
    gc.collect()
    reset_peak()
    ort.set_default_logger_severity(4)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    load_peak = peak_bytes()
    reset_peak()
    for _ in range(warmups):
        session.run(None, feed)
    gc.disable()
    taken = []
    for _ in range(runs):
        begin = time.perf_counter_ns()
        session.run(None, feed)
        taken.append(time.perf_counter_ns() - begin)
    figures = {"median_ms": float(np.median(taken)) / 1e6, "load_peak_bytes": load_peak}
    print(json.dumps(figures | {"inference_peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
