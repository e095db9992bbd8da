"""A program kept alive as a service manager would: whenever it dies it is started again, unless it is held back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from daemons.runtime.boot import MUST_NOT_RESTART
from daemons.runtime.tether import tethered

ROOT = Path(__file__).parents[2]
RESTART_DELAY_S = 0.1


class Kept:
    """One program. `gave_up` says that it ended with a status that a service manager must not answer with a start."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.starts = 0
        self.gave_up = False
        self._command = list(command)
        self._environ = dict(environ)
        self._log = log
        self._may_run = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self):
        """Alive until the block ends, and then killed: what is to be looked at has been looked at by then."""
        self._may_run.set()
        self._keeper = asyncio.create_task(self._keep(), name=self.name)
        try:
            yield self
        finally:
            await self._end()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def send(self, number: signal.Signals) -> bool:
        """Whether there was a process to take the signal."""
        pid = self.pid
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def hold_back(self) -> None:
        """If it dies, it is not started again before `let_go`."""
        self._may_run.clear()

    async def kill(self) -> None:
        """Kill it, and return when it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def let_go(self) -> None:
        """It may run again."""
        self._may_run.set()

    def descendants(self, *words: str) -> list[psutil.Process]:
        """The living processes below it whose command lines hold all `words`."""
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid or 0).children(recursive=True) if self.pid else []:
                with contextlib.suppress(psutil.Error):
                    line = " ".join(child.cmdline())
                    if child.status() != psutil.STATUS_ZOMBIE and all(word in line for word in words):
                        found.append(child)
        return found

    async def _keep(self) -> None:
        while True:
            await self._may_run.wait()
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *tethered(self._command, sent=signal.SIGKILL),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    env=self._environ,
                    start_new_session=True,
                )
            self.starts += 1
            if await self._process.wait() == MUST_NOT_RESTART:
                self.gave_up = True
                return
            await asyncio.sleep(RESTART_DELAY_S)

    async def _end(self) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self.kill()
