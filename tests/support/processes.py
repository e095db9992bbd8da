"""The real programs, run as processes, for tests that kill them."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

_SET_CHILD_SUBREAPER = 36

BENCHFLEET = (sys.executable, "-m", "daemons")


T = TypeVar("T")


def until(question: Callable[[], T], what: str, timeout_s: float = 60.0) -> T:
    """The first true answer to `question`; fails, naming `what` was waited for, when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would configure the programs, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BENCHFLEET_")}
    return kept | more


def run_command(*arguments: str, cwd: Path, timeout_s: float = 120.0, **more: str) -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    return subprocess.run(
        [*BENCHFLEET, *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Api:
    """The REST API as a script without any library of ours would use it."""

    def __init__(self, url: str) -> None:
        self._base = f"{url}/api"
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and document; the document is text where it isn't JSON."""
        request = urllib.request.Request(
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, _document(answer.read(), answer.headers.get_content_type())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _document(error.read(), error.headers.get_content_type())

    def get(self, path: str) -> Any:
        """The document at `path`, or None where there is no answer now."""
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            status, document = self("GET", path)
            return document if status == 200 else None
        return None


def _document(body: bytes, content_type: str) -> Any:
    return json.loads(body) if content_type.endswith("json") else body.decode()


@contextmanager
def running_up(data_dir: Path, workers: int = 1, **more: str) -> Iterator[tuple[subprocess.Popen[str], Api]]:
    """`benchfleet up`, ready; ended with SIGTERM if it still runs. What it wrote is in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / f"up-{time.monotonic_ns()}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*BENCHFLEET, "up", "--port", "0", "--data-dir", str(data_dir), "--workers", str(workers)],
            env=environment(PYTHONUNBUFFERED="1", **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        yield process, Api(until(lambda: _announced(log, process), "the stack to come up"))
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=40)


def _announced(log: Path, process: subprocess.Popen[str]) -> str | None:
    assert process.poll() is None, log.read_text()
    lines = [line for line in log.read_text().splitlines() if line.startswith("benchfleet is up at ")]
    return lines[-1].split()[4] if lines else None


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that `process` has started, directly or not."""
    return psutil.Process(process.pid).children(recursive=True)


def program(process: subprocess.Popen[str], *words: str) -> psutil.Process | None:
    """The descendant whose command line holds all `words`."""
    for child in descendants(process):
        with suppress(psutil.Error):
            if all(word in child.cmdline() for word in words):
                return child
    return None


def kill(process: psutil.Process) -> None:
    """SIGKILL, and gone; it may have been gone before."""
    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)


@contextmanager
def orphans_come_here() -> Iterator[None]:
    """Processes whose parents end become children of this one (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def living_children() -> list[list[str]]:
    """Command lines of all processes below this one that have not ended."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child.cmdline())
    return found
