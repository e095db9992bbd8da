"""Starts the measuring process, hands it the order, and makes an outcome of whatever becomes of it.

Used by the worker daemon and by `benchfleet bench`::

    bench = Bench()
    await bench.prepare()                                # a process waits, its imports done
    outcome = await bench.measure(request, on_progress)  # never raises for what a model does
    await bench.close()

Nothing here imports numpy or a runtime.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import psutil
import structlog

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, Progress
from daemons.core.results import Measurement, Outcome, Samples
from daemons.runtime.files import write_atomically

log = structlog.get_logger(__name__)

T = TypeVar("T")

OnProgress = Callable[[Progress], None]

MAX_ANSWER_BYTES: Final = 16 * 2**20
STDERR_LINES: Final = 5
STDERR_BYTES: Final = 4096
READY_TIMEOUT_S: Final = 60.0
REAP_TIMEOUT_S: Final = 5.0

DEFAULT_ENGINE: Final = "daemons.worker.engines.onnx:OnnxRuntimeEngine"

KEPT_VARIABLES: Final = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
)
KEPT_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_")
"""The rest of the environment, tokens among it, is no business of a model's."""


class ChildDied(Exception):
    """The measuring process ended without an answer, or with one that makes no sense; the text says what is known."""


class _Ready(msgspec.Struct, frozen=True):
    ready: int


class _Answer(msgspec.Struct, frozen=True):
    """One line from the child."""

    progress: Progress | None = None
    outcome: dict[str, Any] | None = None


class Child:
    """One measuring process, a group of its own."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._draining = asyncio.create_task(self._drain())
        self.started_at = asyncio.get_running_loop().time()

    @property
    def pid(self) -> int:
        """The process, which leads its group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def until_ready(self) -> None:
        """Wait until its imports are done; ChildDied if they never are."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._line(_Ready)
        except TimeoutError as error:
            raise ChildDied(f"the measuring process was not ready within {READY_TIMEOUT_S:.0f} s") from error

    async def order(self, document: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Give it the order; what it answers. ChildDied if it ends without an answer."""
        self._writer.write(msgspec.json.encode(document) + b"\n")
        while True:
            answer = await self._line(_Answer)
            if answer.outcome is not None:
                outcome: dict[str, Any] = answer.outcome
                return outcome
            if answer.progress is not None:
                on_progress(answer.progress)

    async def _line(self, wanted: type[Any]) -> Any:
        try:
            line = await self._reader.readline()
            if not line:
                raise ChildDied(await self._epitaph())
            return msgspec.json.decode(line, type=wanted)
        except (msgspec.DecodeError, ValueError) as error:
            raise ChildDied(f"the measuring process answered with something else than an outcome ({error})") from error
        except ConnectionError as error:
            raise ChildDied(await self._epitaph()) from error

    async def _epitaph(self) -> str:
        """What is known of its end: the signal, the kernel's word, its last words."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._process.wait()), REAP_TIMEOUT_S)
        await asyncio.wait([self._draining], timeout=1.0)
        words = f"; its last words: {' | '.join(self._stderr)}" if self._stderr else ""
        return f"the measuring process {_how(self._process.returncode)}{words}"

    async def end(self) -> None:
        """Kill the whole group, and wait until the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        self._writer.close()
        self._draining.cancel()
        await asyncio.wait([self._draining])

    async def _drain(self) -> None:
        """Take what it writes to stderr, however much that is, and keep the end of it."""
        assert self._process.stderr is not None  # noqa: S101 (it was started with a pipe)
        rest = ""
        while chunk := await self._process.stderr.read(2**16):
            lines = (rest + chunk.decode("utf-8", errors="replace"))[-STDERR_BYTES:].splitlines(keepends=True)
            rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
            self._stderr.extend(line.strip() for line in lines if line.strip())
        if rest.strip():
            self._stderr.append(rest.strip())


def _how(returncode: int | None) -> str:
    if returncode is None:
        return "closed its channel"
    if returncode >= 0:
        return f"ended with status {returncode} and no answer"
    name = signal.Signals(-returncode).name
    hint = ", as the kernel does when memory runs out" if -returncode == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


async def start_child(engine: str, environ: Mapping[str, str] = os.environ) -> Child:
    """A new measuring process that will have `engine` ready."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemons.worker.bench.child", str(theirs.fileno()), str(os.getpid()), engine),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            env=child_environ(environ),
            start_new_session=True,
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_ANSWER_BYTES)
    return Child(process, reader, writer)


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the environment the measuring process gets."""
    return {name: value for name, value in environ.items() if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)}


class Bench:
    """Measures one job at a time, each in a fresh process, the next of which is started ahead of time.

    `engines` maps a compute unit to the engine that serves it, ``module:class``; `record` is a file in which the
    process is noted, so that `kill_leftover` finds it after this one was killed.
    """

    def __init__(self, engines: Mapping[str, str] | None = None, record: Path | None = None) -> None:
        self._engines = dict(engines or {})
        self._record = record
        self._waiting: Child | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    async def prepare(self) -> None:
        """Have a process waiting, its imports done. Where that fails, `measure` will say why."""
        await self._reap()
        if self._waiting is None or not self._waiting.is_alive:
            with contextlib.suppress(ChildDied, OSError):
                self._waiting = await self._started()

    async def measure(self, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        """Measure. The outcome says what became of it; OSError alone, if no process can be started, is raised.

        Cancelling it kills the process.
        """
        child, self._waiting = self._waiting, None
        try:
            async with asyncio.timeout(request.timeout_s):
                if child is None or not child.is_alive:
                    child = await self._started()
                return as_outcome(await child.order(self._document(request), on_progress))
        except ChildDied as error:
            return failure(str(error))
        except TimeoutError:
            return failure(f"ended after its time limit of {request.timeout_s:g} s")
        finally:
            if child is not None:
                self._end_soon(child)

    async def close(self) -> None:
        """End whatever process there is."""
        child, self._waiting = self._waiting, None
        if child is not None:
            self._end_soon(child)
        await self._reap()

    async def _spawned(self) -> Child:
        """A new process. Starting one can't be broken off half-way; who is cancelled meanwhile has it ended."""
        starting = self._keep(start_child(DEFAULT_ENGINE))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(self._end_unwanted)
            raise

    def _end_unwanted(self, starting: asyncio.Task[Child]) -> None:
        if not starting.cancelled() and starting.exception() is None:
            self._end_soon(starting.result())

    async def _started(self) -> Child:
        child = await self._spawned()
        try:
            self._note(child.pid)
            await child.until_ready()
        except BaseException:
            self._end_soon(child)
            raise
        return child

    def _document(self, request: BenchRequest) -> dict[str, Any]:
        engine = self._engines.get(request.compute_unit, DEFAULT_ENGINE)
        names = request.__struct_fields__
        return {"engine": engine, **{name: getattr(request, name) for name in names}}

    def _end_soon(self, child: Child) -> None:
        """Kill it without keeping the caller waiting; `prepare` and `close` wait for that."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        self._keep(child.end())

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _reap(self) -> None:
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    def _note(self, pid: int) -> None:
        if self._record is not None:
            note = {"pid": pid, "created": psutil.Process(pid).create_time()}
            write_atomically(self._record, msgspec.json.encode(note), mode=0o600)


def as_outcome(answer: dict[str, Any]) -> Outcome:
    """The child's answer as an outcome; ChildDied if it isn't one."""
    try:
        return Outcome(
            status=ReportStatus(answer["status"]),
            measurement=msgspec.convert(answer["figures"], Measurement),
            samples=msgspec.convert(answer.get("samples", {}), Samples),
        )
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise ChildDied(f"the measuring process answered with something else than an outcome ({error})") from error


def failure(remark: str) -> Outcome:
    """An outcome without figures."""
    return Outcome(status=ReportStatus.FAILED, measurement=Measurement(remark=remark[:4000]))


def kill_leftover(record: Path) -> int | None:
    """Kill the measuring process that a killed predecessor left behind; its number, or None if there was none.

    A process that merely has the same number, for numbers come again, is left alone.
    """
    try:
        note = msgspec.json.decode(record.read_bytes())
        process = psutil.Process(note["pid"])
        if abs(process.create_time() - note["created"]) > 1:
            return None
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, psutil.Error, msgspec.DecodeError, KeyError, TypeError):
        return None
    log.warning("leftover measuring process killed", pid=process.pid)
    return process.pid
