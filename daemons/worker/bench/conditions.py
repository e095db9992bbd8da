"""What may disturb a measurement on this machine, read without root before it begins. Said, never hidden."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from daemons.worker.bench.cgroup import ROOT, cores_of, tightest_cpu_max

LOW_MEMORY_SHARE: Final = 0.1
BUSY_SHARE: Final = 0.25


def load_warning(load: float, cores: int) -> str | None:
    """A sentence, if others keep the processor busy."""
    return f"the load average was {load:.2f} on {cores} cores" if load > BUSY_SHARE * cores else None


def governor_warning(governor: str | None) -> str | None:
    """A sentence, if the clock rate follows the load."""
    return f"the CPU frequency governor is {governor}" if governor not in (None, "performance") else None


def memory_warning(meminfo: str) -> str | None:
    """A sentence, if little memory is left; `meminfo` as in /proc/meminfo."""
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in meminfo.splitlines() if line.endswith("kB")}
    total, available = kilobytes.get("MemTotal"), kilobytes.get("MemAvailable")
    if not total or available is None or available > LOW_MEMORY_SHARE * total:
        return None
    return f"only {available / total:.0%} of the memory was available"


def power_warning(kind_and_online: dict[str, str]) -> str | None:
    """A sentence, if the machine runs on its battery; each power supply's state is like ``Mains:0``."""
    mains = [state for state in kind_and_online.values() if state.startswith("Mains:")]
    return "the machine runs on its battery" if mains and all(state.endswith(":0") for state in mains) else None


def quota_warning(cpu_max: str | None) -> str | None:
    """A sentence, if a control group limits the processor time; `cpu_max` as in cgroup v2's cpu.max."""
    cores = cores_of(cpu_max or "")
    return None if cores is None else f"a control group limits this process to {cores:.2f} cores"


def condition_warnings(root: Path = ROOT) -> list[str]:
    """Everything that is known to disturb now. What can't be read is not guessed."""
    found = [
        load_warning(os.getloadavg()[0], os.cpu_count() or 1),
        governor_warning(_governor(root / "sys/devices/system/cpu")),
        memory_warning(_read(root / "proc/meminfo") or ""),
        power_warning(_power_supplies(root / "sys/class/power_supply")),
        quota_warning(tightest_cpu_max(root)),
    ]
    return [sentence for sentence in found if sentence]


def _governor(cores: Path) -> str | None:
    """The governors of all cores: the small and the large ones of a chip may have different ones."""
    read = [_read(path) for path in sorted(cores.glob("cpu[0-9]*/cpufreq/scaling_governor"))]
    names = dict.fromkeys(name for name in read if name)
    return ", ".join(name for name in names if name != "performance") or next(iter(names), None)


def _power_supplies(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {supply.name: f"{_read(supply / 'type')}:{_read(supply / 'online')}" for supply in sorted(folder.iterdir())}


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return None
