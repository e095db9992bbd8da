"""What a fleet for fault tests is made of, and the programs that follow from it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from daemons.store.embedded import server_arguments, server_binary, socket_path
from tests.soak.kept import ROOT, Kept
from tests.soak.launch import Setup, command
from tests.support import preload
from tests.support.processes import environment

SCALED_BY_30 = {
    "HEARTBEAT_INTERVAL_S": "0.17",
    "HEARTBEAT_TIMEOUT_S": "1.0",
    "RETRY_DELAY_S": "0.33",
    "DUTY_INTERVAL_S": "0.05",
}
"""Leases by which workers are judged, and the pace of what judges them."""
TAKE_OVER_S = 0.5
"""The lease of the duties; a thirtieth would be lost by every hiccup of a busy machine."""


SLEEPER = "CPU (Sleeps)"
"""A unit that is measured in a process like any other, and takes no processor from what is being tested."""
SLEEPING = {SLEEPER: "tests.support.odd_engines:SleepsLong"}
RUN_MS = 10
"""What a run on it takes."""


class Shim(Enum):
    """What stands between the programs and their system."""

    SYNCS = "the server's syncs are noted, so that power can be lost"
    CLOCKS = "each program has a wall clock of its own, which can be set"


@dataclass(frozen=True)
class Layout:
    """What a fleet is made of."""

    orchestrators: int = 1
    server_beside: bool = False
    """The server is a program of its own, as it is for several orchestrators; otherwise it is embedded."""
    workers: int = 3
    quick_ms_per_run: float | None = None
    engines: dict[str, str] = field(default_factory=dict)
    """Compute units that every worker has beside its own: their engines, as ``module:class``."""
    fleet: Mapping[str, str] = field(default_factory=lambda: dict(SCALED_BY_30))
    take_over_s: float | None = TAKE_OVER_S
    script_swaps: Sequence[tuple[str, str]] = ()
    server_settings: Mapping[str, str] = field(default_factory=dict)
    shim: Shim | None = Shim.SYNCS
    """Left out where it can't be built."""
    host: str = "127.0.0.1"
    """Where the orchestrators and the models are reached."""
    worker_prefix: Callable[[int], list[str]] = lambda _: []
    """What a worker's command line begins with, by its place."""
    worker_environ: Mapping[str, str] = field(default_factory=dict)
    orchestrator_environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_server_beside(self) -> bool:
        return self.server_beside or self.orchestrators > 1


class Programs:
    """Makes the programs of a layout in a folder."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.sync_note = folder / "synced"
        self._folder = folder
        self._layout = layout
        self._library = self._build_shim()

    @property
    def server_url(self) -> str:
        return f"unix://{socket_path(self._data / 'valkey')}"

    @property
    def outputs(self) -> Path:
        return self._data / "outputs"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def clock_of(self, name: str) -> Path:
        """The file that says by how many seconds a program's clock is off."""
        return self._folder / f"{name}.clock"

    def state_of(self, place: int) -> Path:
        """A worker's state folder."""
        return self._folder / "workers" / str(place)

    def server(self) -> Kept:
        folder = self._data / "valkey"
        for needed in (folder, socket_path(folder).parent):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)
        changed = [part for key, value in self._layout.server_settings.items() for part in (f"--{key}", value)]
        line = [*server_arguments(server_binary(), folder, socket_path(folder)), *changed]
        return self._kept("valkey", line, self._shimmed("valkey", is_server=True))

    def orchestrator(self, place: int, port: int) -> Kept:
        name, layout = f"orchestrator-{place}", self._layout
        setup = self._write_setup(
            name,
            script_swaps=list(layout.script_swaps),
            server_settings=dict(layout.server_settings),
            take_over_s=layout.take_over_s,
        )
        line = command(setup, "orchestrator", "--port", str(port), "--data-dir", str(self._data))
        settings = {f"BENCHFLEET_FLEET__{key}": value for key, value in layout.fleet.items()}
        settings["BENCHFLEET_FLEET__HEALTH_INTERVAL_S"] = (
            "null"  # jobs that nobody submitted would be taken for a fault
        )
        settings["BENCHFLEET_HTTP__ALLOWED_HOSTS"] = json.dumps([layout.host])
        if layout.has_server_beside:
            settings["BENCHFLEET_REDIS__URL"] = self.server_url
        settings |= layout.orchestrator_environ
        return self._kept(name, line, settings | self._shimmed(name, is_server=not layout.has_server_beside))

    def worker(self, place: int, url: str) -> Kept:
        name = f"worker-{place}"
        setup = self._write_setup(
            name,
            lock_dir=str(self._folder / "locks" / str(place)),
            quick_ms_per_run=self._layout.quick_ms_per_run,
            engines=self._layout.engines,
            keep_variables=["LD_PRELOAD", "SKEWED_CLOCK_FILE"],
        )
        state = str(self.state_of(place))
        line = command(setup, "worker", "--url", url, "--state-dir", state, "--name", f"device {place}")
        environ = {"BENCHFLEET_LIMITS__DRAIN_TIMEOUT_S": "1", "PYTHONPATH": str(ROOT), **self._layout.worker_environ}
        return self._kept(name, [*self._layout.worker_prefix(place), *line], environ | self._shimmed(name))

    def _kept(self, name: str, line: list[str], environ: dict[str, str]) -> Kept:
        return Kept(name, line, environment(**environ), self._folder / f"{name}.log")

    def _shimmed(self, name: str, *, is_server: bool = False) -> dict[str, str]:
        if self._library is None:
            return {}
        if self._layout.shim is Shim.CLOCKS:
            return preload.skewed(self._library, self.clock_of(name))
        return preload.noting_syncs(self._library, self.sync_note) if is_server else {}

    def _build_shim(self) -> Path | None:
        if self._layout.shim is None or preload.why_not() is not None:
            return None
        source = preload.SKEWED_CLOCK if self._layout.shim is Shim.CLOCKS else preload.SYNCED_SIZE
        return preload.compiled(source, self._folder)

    def _write_setup(self, name: str, **setup: Any) -> Path:
        path = self._folder / f"{name}.json"
        path.write_bytes(msgspec.json.encode(Setup(**setup)))
        return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
