"""Finds out which compute units this device really has, by running something tiny on each in another process.

No engine is imported here. A plug-in or driver that crashes or hangs is named as a problem and left out; the others are
tried all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from msgspec import Struct

from daemons.runtime.tether import tethered
from daemons.worker.bench.process import child_environ
from daemons.worker.engines.probe_child import Fails, Loaded, Message, Trying, Works
from daemons.worker.engines.serving import Serves

PATIENCE: Final = 0.5
"""Share of the whole time limit that one step may take, so that one which hangs leaves time for the rest."""
MAX_CHILDREN: Final = 20


class Probe(Struct, frozen=True, kw_only=True):
    """What was found."""

    units: list[str]
    """That work, in the engines' order."""
    engines: dict[str, str]
    """Name → version, of those that serve a unit here."""
    problems: dict[str, str]
    """Unit or plug-in → why it is not offered."""
    serving: dict[str, list[Serves]]
    """Unit → the engines that serve it, the preferred one first."""


class Findings:
    """Gathers what the children say."""

    def __init__(self) -> None:
        self.loaded: dict[str, Loaded] = {}
        self.working: dict[str, list[str]] = {}
        self.failed: dict[str, str] = {}
        self.settled: set[tuple[str, str | None]] = set()
        self.trying: tuple[str, str | None] | None = None

    def take(self, message: Message) -> None:
        """One message of a child."""
        match message:
            case Trying(plugin, unit):
                self.trying = (plugin, unit)
            case Loaded():
                self.loaded[message.plugin] = message
            case Works(plugin, unit):
                self.working.setdefault(unit, []).append(plugin)
                self._settle(plugin, unit)
            case Fails(plugin, unit, why):
                self.fail(plugin, unit, why)

    def fail(self, plugin: str, unit: str | None, why: str) -> None:
        """A plug-in or one of its units can't be used."""
        self.failed.setdefault(unit or plugin, why)
        self._settle(plugin, unit)

    def _settle(self, plugin: str, unit: str | None) -> None:
        self.settled.add((plugin, unit))
        self.trying = None

    def probe(self) -> Probe:
        """All of it."""
        in_use = {plugin for plugins in self.working.values() for plugin in plugins}
        order = [unit for one in self.loaded.values() for unit in one.units if unit in self.working]
        return Probe(
            units=list(dict.fromkeys(order)),
            engines={one.name: one.version for plugin, one in self.loaded.items() if plugin in in_use},
            problems={name: why for name, why in self.failed.items() if name not in self.working},
            serving={unit: [self._serves(plugin) for plugin in plugins] for unit, plugins in self.working.items()},
        )

    def _serves(self, plugin: str) -> Serves:
        one = self.loaded[plugin]
        return Serves(one.spec, one.name, tuple(one.file_types), tuple(one.packages))


async def probe_units(timeout_s: float = 60) -> Probe:
    """What works on this device. Never raises for what an engine does; takes at most about `timeout_s`."""
    loop = asyncio.get_running_loop()
    deadline, found = loop.time() + timeout_s, Findings()
    for _ in range(MAX_CHILDREN):
        found.trying = None
        trouble = await _one_child(found, deadline, timeout_s * PATIENCE)
        if trouble is None:
            return found.probe()
        plugin, unit = found.trying or ("the probe", None)
        found.fail(plugin, unit, f"{trouble} while {unit or 'the plug-in'} was tried")
        if found.settled == {("the probe", None)} or loop.time() >= deadline:
            break
    return found.probe()


async def _one_child(found: Findings, deadline: float, patience_s: float) -> str | None:
    """Have a child try what is not settled yet; what became of it if it didn't get through, else None."""
    skip = msgspec.json.encode(sorted(found.settled, key=str)).decode()
    async with _started(skip) as process:
        assert process.stdout is not None  # noqa: S101 (it was started with a pipe)
        try:
            while line := await _next_line(process.stdout, deadline, patience_s):
                found.take(msgspec.json.decode(line, type=Message))
        except TimeoutError:
            return f"the probing process did not answer within {patience_s:g} s"
        except (msgspec.DecodeError, ValueError) as error:
            return f"the probing process said what makes no sense ({error})"
        status = await process.wait()
    return None if status == 0 else f"the probing process {_how(status)}"


async def _next_line(stream: asyncio.StreamReader, deadline: float, patience_s: float) -> bytes:
    now = asyncio.get_running_loop().time()
    async with asyncio.timeout_at(min(deadline, now + patience_s)):
        return await stream.readline()


@contextlib.asynccontextmanager
async def _started(skip: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A probing process in the environment that a measurement has, and killed with all that it started at the end."""
    command = tethered([sys.executable, "-P", "-m", "daemons.worker.engines.probe_child", skip], sent=signal.SIGKILL)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=child_environ(os.environ),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def _how(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
