# ruff: noqa: ARG002 (an engine is called with what the interface says)
"""Engines that look at the measuring process from inside. Each is loaded by name in a real one."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from daemons.worker.engines.base import Engine, EngineError, Facts, Inputs, LoadedModel


class Odd(Engine):
    """An engine whose loading is the odd part."""

    name = "odd"
    units = ("CPU (ONNX)",)

    def version(self):
        return "1"

    def probe(self, unit):
        pass

    def load(self, path, unit, options):
        raise NotImplementedError


class Shouts(Odd):
    """More than a pipe holds, and more than anybody wants to keep."""

    def load(self, path, unit, options):
        for _ in range(64):
            os.write(2, b"x" * 2**20)
        os.write(2, b"\nthe last words\n")
        os._exit(1)


class TellsItsWorld(Odd):
    """Fails with what it sees around it, as JSON."""

    def load(self, path, unit, options):
        seen = {
            "environ": dict(os.environ),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "file_size": resource.getrlimit(resource.RLIMIT_FSIZE),
            "leads": os.getpid() == os.getpgid(0) == os.getsid(0),
            "modules": sorted(sys.modules),
        }
        if sys.platform == "linux":
            seen["oom_score_adj"] = int(Path("/proc/self/oom_score_adj").read_text())
        Path(path).write_text(json.dumps(seen))
        raise EngineError("written down")


class Waits(LoadedModel):
    """A run of a millisecond, without a processor."""

    def facts(self):
        return Facts(("Odd",), threads=1)

    def inputs(self, seed, wishes=None):
        return Inputs(None, f"seed: {seed}")

    def run(self, feed):
        time.sleep(0.001)

    def close(self):
        pass


class Sleeps(Odd):
    """Works."""

    def load(self, path, unit, options):
        return Waits()


class Dozes(Waits):
    """A run of ten milliseconds, without a processor."""

    def run(self, feed):
        time.sleep(0.01)


class SleepsLong(Odd):
    """Works, for as long as is wanted, and disturbs nobody."""

    units = ("CPU (Sleeps)",)

    def load(self, path, unit, options):
        return Dozes()


class WaitsOnNvidia(Waits):
    """Says that it ran on NVIDIA's GPU."""

    def facts(self):
        return Facts(("Odd",), threads=1, gpu="nvidia")


class SleepsOnNvidia(Odd):
    """Works, and says where."""

    def load(self, path, unit, options):
        return WaitsOnNvidia()
