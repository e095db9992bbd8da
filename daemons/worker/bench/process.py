"""The measuring process as its daemon holds it: started, spoken to, listened to, and ended. Knows no figures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

import msgspec
import structlog

from daemons.core.models import Progress
from daemons.worker.bench.cgroup import oom_kills

log = structlog.get_logger(__name__)

OnProgress = Callable[[Progress], None]

MODULE: Final = "daemons.worker.bench.child"
MAX_ANSWER_BYTES: Final = 16 * 2**20
STDERR_LINES: Final = 5
STDERR_BYTES: Final = 4096
STDERR_COLUMNS: Final = 400
READY_TIMEOUT_S: Final = 60.0
REAP_TIMEOUT_S: Final = 5.0

KEPT_VARIABLES: Final = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH"})
KEPT_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_")
"""The rest of the environment, tokens among it, is no business of a model's."""
OURS_ALONE: Final = frozenset({"PYTHONPATH", "VIRTUAL_ENV"})
"""What would lead another interpreter to our own packages before its own."""


class ChildDied(Exception):
    """The measuring process ended without an answer, or with one that makes no sense; the text says what is known."""


class _Ready(msgspec.Struct, frozen=True):
    ready: int


class _Answer(msgspec.Struct, frozen=True):
    """One line from the child."""

    progress: Progress | None = None
    outcome: dict[str, Any] | None = None


class LastWords(asyncio.Protocol):
    """Takes all that a process writes to stderr, however much, and keeps the end of it."""

    def __init__(self) -> None:
        self._tail = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Keep the end."""
        self._tail = (self._tail + data)[-STDERR_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Nobody can write there any more."""
        self.ended.set()

    @property
    def lines(self) -> list[str]:
        """The last lines, at most `STDERR_LINES`, each cut at `STDERR_COLUMNS`."""
        lines = (line.strip() for line in self._tail.decode("utf-8", errors="replace").splitlines())
        return [line[:STDERR_COLUMNS] for line in lines if line][-STDERR_LINES:]


class Child:
    """One measuring process, the leader of a group of its own."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        stderr: tuple[asyncio.ReadTransport, LastWords],
    ) -> None:
        self._process = process
        self._reader, self._writer = channel
        self._stderr, self._words = stderr
        self._oom_kills = oom_kills()
        self._is_killed = False
        self.has_begun = False
        self._following = asyncio.create_task(self._follow())

    @property
    def pid(self) -> int:
        """The process, whose number is its group's."""
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
        self._oom_kills = oom_kills()
        self._writer.write(msgspec.json.encode(document) + b"\n")
        while True:
            answer = await self._line(_Answer)
            self.has_begun = True
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
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ChildDied(f"the measuring process answered with something else than an outcome ({error})") from error
        except ConnectionError as error:
            raise ChildDied(await self._epitaph()) from error

    async def _epitaph(self) -> str:
        """What is known of its end: the signal, the kernel's word, its last words."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), REAP_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._words.ended.wait(), 1.0)
        words = f"; its last words: {' | '.join(self._words.lines)}" if self._words.lines else ""
        has_oom = (oom_kills() or 0) > (self._oom_kills or 0)
        return f"the measuring process {how_ended(self._process.returncode, ran_out_of_memory=has_oom)}{words}"

    def kill(self) -> None:
        """Kill the whole group. Once: when it is gone its number may become somebody else's."""
        if not self._is_killed:
            self._is_killed = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _follow(self) -> None:
        """End what the process has left behind as soon as it is gone itself."""
        await self._process.wait()
        self.kill()

    async def end(self) -> None:
        """Kill it and wait until it is gone, as far as the kernel can end it."""
        self.kill()
        _, pending = await asyncio.wait([self._following], timeout=REAP_TIMEOUT_S)
        if pending:
            log.error("killed measuring process did not end", pid=self.pid, waited_s=REAP_TIMEOUT_S)
            self._following.cancel()
            await asyncio.wait([self._following])
        self._stderr.close()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def how_ended(returncode: int | None, *, ran_out_of_memory: bool) -> str:
    """The end of a process in words."""
    if returncode is None:
        return "closed its channel"
    if returncode >= 0:
        return f"ended with status {returncode} and no answer"
    name = signal.Signals(-returncode).name
    if -returncode == signal.SIGKILL and ran_out_of_memory:
        return f"was killed by the kernel ({name}), for memory ran out"
    return f"was killed by {name}"


async def start_child(
    engine: str, environ: Mapping[str, str] = os.environ, module: str = MODULE, python: str | None = None
) -> Child:
    """A new measuring process that will have `engine` ready. OSError if none can be started.

    `python` is the interpreter of an environment that has other versions of libraries; None is our own.
    """
    async with contextlib.AsyncExitStack() as on_failure:
        channel, theirs = await _channel(on_failure)
        stderr, words = await _stderr(on_failure)
        with theirs, words:
            process = await asyncio.create_subprocess_exec(
                *(python or sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid()), engine),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=words,
                pass_fds=(theirs.fileno(),),
                env=child_environ(environ, is_own=python is None),
                start_new_session=True,
            )
        on_failure.pop_all()
    return Child(process, channel, stderr)


async def _channel(
    on_failure: contextlib.AsyncExitStack,
) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], socket.socket]:
    """Our end of the line, open, and the child's."""
    ours, theirs = socket.socketpair()
    on_failure.callback(theirs.close)
    on_failure.callback(ours.close)
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_ANSWER_BYTES)
    on_failure.callback(writer.close)
    return (reader, writer), theirs


async def _stderr(on_failure: contextlib.AsyncExitStack) -> tuple[tuple[asyncio.ReadTransport, LastWords], BinaryIO]:
    """Our end of the child's stderr, listening, and the child's."""
    reading, writing = os.pipe()
    pipe, theirs = os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb")
    on_failure.callback(theirs.close)
    on_failure.callback(pipe.close)
    transport, words = await asyncio.get_running_loop().connect_read_pipe(LastWords, pipe)
    on_failure.callback(transport.close)
    return (transport, words), theirs


def child_environ(environ: Mapping[str, str], *, is_own: bool = True) -> dict[str, str]:
    """What of the environment the measuring process gets. `is_own`: it runs with our own interpreter."""
    names = KEPT_VARIABLES if is_own else KEPT_VARIABLES - OURS_ALONE
    return {name: value for name, value in environ.items() if name in names or name.startswith(KEPT_PREFIXES)}
