"""Starts a program of benchfleet's as a fault test wants it: ``python -m tests.soak.launch SETUP.json PROGRAM …``.

This is the one seam through which anything is changed for a test; the programs themselves know nothing of it.
SETUP.json holds a `Setup`. What it swaps must be there to be swapped, so that no fault is planted in vain.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import daemons.cli
from daemons.core.units import CPU_ONNX

if TYPE_CHECKING:
    from daemons.worker.probe import Probe


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What is different from how the programs run elsewhere."""

    lock_dir: str | None = None
    """Where this worker's measuring lock is; None: the machine's. With one each, workers measure at the same time."""
    quick_ms_per_run: float | None = None
    """Measure nothing, in so long a run, without a process; None: measure for real."""
    engines: dict[str, str] = {}
    """Compute units that this worker has beside its own: their engines, as ``module:class``."""
    keep_variables: list[str] = []
    """What of its environment a measuring process gets, over the usual."""
    script_swaps: list[tuple[str, str]] = []
    """Texts in the scripts, and what stands there instead."""
    server_settings: dict[str, str] = {}
    """Settings of the embedded server, over its own."""
    take_over_s: float | None = None
    """After so long the lease of the duties is taken over from one that does not raise it; None: as long as usual."""


def apply(setup: Setup) -> None:
    """Make this process so."""
    if setup.lock_dir is not None:
        _have_own_lock(Path(setup.lock_dir))
    if setup.quick_ms_per_run is not None:
        _measure_nothing(setup.quick_ms_per_run)
    if setup.engines:
        _offer(setup.engines)
    if setup.keep_variables:
        _let_pass(setup.keep_variables)
    if setup.script_swaps:
        _swap_scripts(setup.script_swaps)
    if setup.server_settings:
        _change_server(setup.server_settings)
    if setup.take_over_s is not None:
        _take_over_after(setup.take_over_s)


def _have_own_lock(folder: Path) -> None:
    from daemons.worker import devicelock  # noqa: PLC0415 (an orchestrator doesn't load a worker)

    folder.mkdir(parents=True, exist_ok=True)
    devicelock.measuring_lock.__defaults__ = (folder,)


def _measure_nothing(ms_per_run: float) -> None:
    from daemons.worker import daemon, probe  # noqa: PLC0415 (as above)
    from tests.support import quick  # noqa: PLC0415 (as above)

    async def found() -> probe.Probe:
        return probe.Probe(units=[CPU_ONNX], engines={}, problems={}, serving={})

    daemon.probe_units = found
    daemon.ChildBench = lambda *_: quick.QuickBench(ms_per_run)


def _offer(engines: dict[str, str]) -> None:
    from daemons.worker import daemon  # noqa: PLC0415 (as above)
    from daemons.worker.engines.serving import Serves  # noqa: PLC0415 (as above)

    usual = daemon.probe_units

    async def found() -> Probe:
        probe = await usual()
        more = {unit: [Serves(spec, spec.rpartition(":")[2])] for unit, spec in engines.items()}
        return msgspec.structs.replace(probe, units=[*probe.units, *more], serving=probe.serving | more)

    daemon.probe_units = found


def _let_pass(variables: list[str]) -> None:
    from daemons.worker.bench import process  # noqa: PLC0415 (as above)

    process.KEPT_VARIABLES |= set(variables)


def _swap_scripts(swaps: list[tuple[str, str]]) -> None:
    from daemons.store import lua  # noqa: PLC0415 (a worker doesn't load the store)

    sources = lua.read_sources()
    for old, new in swaps:
        if not any(old in source for source in sources.values()):
            raise SystemExit(f"no script holds {old!r}")
        sources = {name: source.replace(old, new) for name, source in sources.items()}
    lua.read_sources = lambda: sources


def _change_server(settings: dict[str, str]) -> None:
    from daemons.store import embedded  # noqa: PLC0415 (as above)

    usual = embedded.server_arguments
    changed = [part for key, value in settings.items() for part in (f"--{key}", value)]
    embedded.server_arguments = lambda *arguments: [*usual(*arguments), *changed]


def _take_over_after(seconds: float) -> None:
    from daemons.orchestrator import duties  # noqa: PLC0415 (as above)

    duties.LeaseWatch.__init__.__defaults__ = (seconds,)


def command(setup: Path, *arguments: str) -> list[str]:
    """The command line that starts a program so."""
    return [sys.executable, "-m", "tests.soak.launch", str(setup), *arguments]


if __name__ == "__main__":
    apply(msgspec.json.decode(Path(sys.argv.pop(1)).read_bytes(), type=Setup))
    daemons.cli.main()
