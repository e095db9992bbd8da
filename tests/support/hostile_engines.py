"""Engines that do what a crashing runtime or a hostile model may do, each named ``module:class`` for the runner."""

# ruff: noqa: ARG002 (the signatures are the interface's)

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from daemons.worker.engines.base import NO_WISHES, Engine, EngineError, Facts, Inputs, LoadedModel, LoadOptions, Wishes


class QuietModel(LoadedModel):
    """A model that does nothing, at once."""

    def facts(self) -> Facts:
        return Facts(("FakeProvider",), threads=1)

    def inputs(self, seed: int, wishes: Wishes = NO_WISHES) -> Inputs:
        return Inputs({}, "")

    def run(self, feed: Any) -> Any:
        return None


class QuietEngine(Engine):
    """Behaves. The others differ in what loading does; `path` is theirs to read."""

    name = "Quiet"
    units = ("CPU (Fake)",)

    def version(self) -> str:
        return "1"

    def load(self, path: str, unit: str, options: LoadOptions) -> LoadedModel:
        self.misbehave(path)
        return QuietModel()

    def probe(self, unit: str) -> None:
        """Always there."""

    def misbehave(self, path: str) -> None:
        """Not this one."""


class Crashes(QuietEngine):
    """Reads from address 0."""

    def misbehave(self, path: str) -> None:
        print("about to touch address 0", file=sys.stderr, flush=True)
        ctypes.string_at(0)


class IsKilled(QuietEngine):
    """Ends as the kernel ends what needs too much memory."""

    def misbehave(self, path: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Leaves(QuietEngine):
    """Ends itself without a word."""

    def misbehave(self, path: str) -> None:
        os._exit(7)


class Hangs(QuietEngine):
    """Sleeps in spite of SIGTERM, having left its number and that of a process it has started beside the model."""

    def misbehave(self, path: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note_down(path, os.getpid(), fork_sleeper())
        time.sleep(600)


class Forks(QuietEngine):
    """Goes on as if nothing were, having started a process."""

    def misbehave(self, path: str) -> None:
        note_down(path, os.getpid(), fork_sleeper())


class ForksAndCrashes(QuietEngine):
    """Crashes, while a process that it has started holds its channel and its stderr open."""

    def misbehave(self, path: str) -> None:
        note_down(path, os.getpid(), fork_sleeper())
        os.kill(os.getpid(), signal.SIGSEGV)


class Babbles(QuietEngine):
    """Writes 200 MB without a line's end to stderr, and then its reason."""

    def misbehave(self, path: str) -> None:
        for _ in range(200):
            os.write(2, b"x" * 2**20)
        os.write(2, b"\nthe last words\n")


class Floods(QuietEngine):
    """Writes as many megabytes to stderr and stdout as the model's file says."""

    def misbehave(self, path: str) -> None:
        for _ in range(int(Path(path).read_text())):
            os.write(2, b"x" * 2**20)
            os.write(1, b"x" * 2**20)


class Bombs(QuietEngine):
    """Starts hundreds of processes that start processes, all of which take no notice of SIGTERM."""

    def misbehave(self, path: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(8):
            os.fork()
        time.sleep(600)


class Prints(QuietEngine):
    """Writes to stdout what looks like an outcome."""

    def misbehave(self, path: str) -> None:
        print('{"outcome": {"status": "Complete", "figures": {"Remark": "forged"}}}', flush=True)
        os.write(1, b"\x00\xff\n" * 10_000)


class Raises(QuietEngine):
    """Has a bug."""

    def misbehave(self, path: str) -> None:
        raise ZeroDivisionError("by nought")


class Refuses(QuietEngine):
    """Says why not."""

    def misbehave(self, path: str) -> None:
        raise EngineError("This engine takes no model on a Sunday.")


class EatsMemory(QuietEngine):
    """Asks for memory without end."""

    def misbehave(self, path: str) -> None:
        eaten = []
        while True:
            eaten.append(b"x" * 2**24)


class TellsEnvironment(QuietEngine):
    """Leaves its environment beside the model."""

    def misbehave(self, path: str) -> None:
        Path(f"{path}.environ").write_bytes(Path("/proc/self/environ").read_bytes())


class Garbles(QuietEngine):
    """Writes the model's own bytes to the channel, whichever descriptor that is, and ends."""

    def misbehave(self, path: str) -> None:
        said = Path(path).read_bytes()
        for descriptor in socket_descriptors():
            os.write(descriptor, said)
        os._exit(0)


def socket_descriptors() -> list[int]:
    """Every socket of this process."""
    links = list(Path("/proc/self/fd").iterdir())
    return [int(link.name) for link in links if _target(link).startswith("socket:")]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def fork_sleeper() -> int:
    """A process that sleeps and takes no notice of SIGTERM or SIGHUP; its number."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)
    return pid


def note_down(path: str, *pids: int) -> None:
    """Leave numbers beside the model, whole or not at all."""
    unfinished = Path(f"{path}.pids.new")
    unfinished.write_text(" ".join(map(str, pids)))
    unfinished.rename(f"{path}.pids")
