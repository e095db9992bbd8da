"""The whole system on one machine: an orchestrator and some workers, each a process that is started again if it dies.

What a service manager does for each daemon on its own machine is done here for all of them on one, for trying out and
for development.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import structlog

from daemons.client import Client
from daemons.core.errors import BenchfleetError, Unavailable
from daemons.runtime import boot
from daemons.runtime.tether import tethered

log = structlog.get_logger(__name__)

START_TIMEOUT_S: Final = 60.0
RESTART_DELAY_S: Final = 1.0
POLL_S: Final = 0.05
ANSWER_TIMEOUT_S: Final = 2.0
BACKLOG: Final = 1024
"""Connections that wait while the orchestrator is started again."""

WORKER_DRAIN_S: Final = 5.0
WORKER_STOP_S: Final = 15.0
ORCHESTRATOR_STOP_S: Final = 12.0
"""Together below the 30 s in which all of it ends."""


class NotStarted(BenchfleetError):
    """A part of the stack ended before it was ready; it has said why."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, where."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one."""
    data_dir: Path
    outputs_dir: Path | None = None
    workers: int = 1
    environ: dict[str, str] = {}
    """Set for every process, over what this one has."""


class Program:
    """One process of the stack. Once it has come up it is started again whenever it dies, until `stop`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        output: IO[Any] | None,
        listening: socket.socket | None = None,
    ) -> None:
        """`listening` is handed down to the process: while it is started again, connections wait in there."""
        self.name = name
        self._listening = listening
        self._command = [sys.executable, "-m", "daemons", *command]
        self._environ = {**os.environ, **environ}
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def has_ended(self) -> bool:
        """Whether it is gone: before it was watched over, that is a start that failed."""
        return self._process is not None and self._process.returncode is not None

    async def start(self) -> None:
        """Start it. Whether it came up is for the caller to see."""
        self._process = await self._spawn()

    def watch_over(self) -> None:
        """It has come up: start it again whenever it dies from now on."""
        self._watch = asyncio.create_task(self._keep_alive(), name=self.name)

    async def stop(self, timeout_s: float) -> None:
        """End it in good order, or by force after `timeout_s`."""
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            log.warning("program did not end in time", program=self.name, timeout_s=timeout_s)
            process.kill()
            await process.wait()

    async def _keep_alive(self) -> None:
        while True:
            assert self._process is not None  # noqa: S101 (started before it is watched)
            status = await self._process.wait()
            if status in (boot.MUST_NOT_RESTART, boot.USED_WRONGLY):
                log.error("program gave up", program=self.name, status=status)
                return
            log.warning("program died and is started again", program=self.name, status=status)
            await asyncio.sleep(RESTART_DELAY_S)
            self._process = await self._spawn()

    async def _spawn(self) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C is for whoever runs the stack, who then ends the parts in their order.
        descriptor = None if self._listening is None else self._listening.fileno()
        return await asyncio.create_subprocess_exec(
            *tethered(self._command, listening=descriptor),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=self._environ,
            pass_fds=() if descriptor is None else (descriptor,),
            start_new_session=True,
        )


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises NotStarted if that can't be, with what to do about it."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} of {host} is in use; end what holds it, or choose another with --port"
            raise NotStarted(text) from None
        raise NotStarted(
            f"can't listen on {host} port {port} ({error.strerror or error}); --host takes an address of this machine, "
            "--port one that this user may use"
        ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@asynccontextmanager
async def running_stack(plan: Plan, output: IO[Any] | None = None) -> AsyncIterator[str]:
    """The stack, ready to take campaigns; its address. Everything that was started has ended when this ends.

    `output` takes what the processes write; None leaves them this process's own streams. Raises NotStarted.
    """
    with listening_socket(plan.host, plan.port) as listening:
        async with _running(plan, output, listening) as url:
            yield url


@asynccontextmanager
async def _running(plan: Plan, output: IO[Any] | None, listening: socket.socket) -> AsyncIterator[str]:
    port = int(listening.getsockname()[1])
    url = f"http://[{plan.host}]:{port}" if ":" in plan.host else f"http://{plan.host}:{port}"
    orchestrator = Program("orchestrator", _orchestrator_command(plan, port), plan.environ, output, listening)
    workers = [
        Program(f"worker {number}", _worker_command(plan, url, number), _worker_environ(plan), output)
        for number in range(1, plan.workers + 1)
    ]
    async with _started([orchestrator], ORCHESTRATOR_STOP_S):
        await _until_healthy(url, orchestrator)
        async with _started(workers, WORKER_STOP_S):
            await _until_registered(url, workers)
            for program in (orchestrator, *workers):
                program.watch_over()
            yield url


@asynccontextmanager
async def _started(programs: Sequence[Program], stop_s: float) -> AsyncIterator[None]:
    """The programs, started; at the end they are stopped side by side."""
    try:
        for program in programs:
            await program.start()
        yield
    finally:
        await asyncio.gather(*(program.stop(stop_s) for program in programs))


def _orchestrator_command(plan: Plan, port: int) -> list[str]:
    command = ["orchestrator", "--host", plan.host, "--port", str(port), "--data-dir", str(plan.data_dir)]
    return command + (["--outputs-dir", str(plan.outputs_dir)] if plan.outputs_dir else [])


def _worker_command(plan: Plan, url: str, number: int) -> list[str]:
    folder = plan.data_dir / "workers" / str(number)
    command = ["worker", "--url", url, "--state-dir", str(folder)]
    if plan.workers > 1:
        command += ["--name", f"{socket.gethostname()}-{number}"]
    return command + (["--identity-salt", str(number)] if number > 1 else [])


def _worker_environ(plan: Plan) -> dict[str, str]:
    return {"BENCHFLEET_LIMITS__DRAIN_TIMEOUT_S": str(WORKER_DRAIN_S), **plan.environ}


async def _until_healthy(url: str, orchestrator: Program) -> None:
    async with asyncio.timeout(START_TIMEOUT_S), Client(url, patience_s=0) as client:
        while True:
            if orchestrator.has_ended:
                raise NotStarted("the orchestrator could not be started; what it said stands above")
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await client.health()
            except (Unavailable, TimeoutError):
                await asyncio.sleep(POLL_S)
            else:
                return


async def _until_registered(url: str, workers: Sequence[Program]) -> None:
    async with asyncio.timeout(START_TIMEOUT_S), Client(url, patience_s=0) as client:
        while sum(worker["status"] != "offline" for worker in (await client.workers())["workers"]) < len(workers):
            if any(worker.has_ended for worker in workers):
                raise NotStarted("a worker could not be started; what it said stands above")
            await asyncio.sleep(POLL_S)
