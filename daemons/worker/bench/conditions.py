"""What may disturb a measurement on this machine, read without root before it begins. Said, never hidden."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from daemons.worker.bench.cgroup import ROOT, cpu_quota

LOW_MEMORY_SHARE: Final = 0.1
BUSY_SHARE: Final = 0.25


def load_warning(load: float, cores: int) -> str | None:
    """A sentence, if others keep the processor busy."""
    return f"the load average was {load:.2f} on {cores} cores" if load > BUSY_SHARE * cores else None


def governor_warning(governors: list[str]) -> str | None:
    """A sentence, if the clock rate of some cores follows the load; one governor for each group of cores."""
    others = dict.fromkeys(governor for governor in governors if governor != "performance")
    return f"the CPU frequency governor is {', '.join(others)}" if others else None


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


def quota_warning(quota: float | None, cores: int) -> str | None:
    """A sentence, if a control group grants less processor time than there are cores."""
    if quota is None or quota >= cores:
        return None
    return f"a control group limits this process to {quota:.2f} of {cores} cores"


def condition_warnings(root: Path = ROOT) -> list[str]:
    """Everything that is known to disturb now. What can't be read is not guessed."""
    cores = os.cpu_count() or 1
    found = [
        load_warning(os.getloadavg()[0], cores),
        governor_warning(_governors(root / "sys/devices/system/cpu/cpufreq")),
        memory_warning(_read(root / "proc/meminfo") or ""),
        power_warning(_power_supplies(root / "sys/class/power_supply")),
        quota_warning(cpu_quota(root), cores),
    ]
    return [sentence for sentence in found if sentence]


def _governors(folder: Path) -> list[str]:
    read = (_read(policy / "scaling_governor") for policy in sorted(folder.glob("policy*")))
    return [governor for governor in read if governor]


def _power_supplies(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {supply.name: f"{_read(supply / 'type')}:{_read(supply / 'online')}" for supply in sorted(folder.iterdir())}


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return None
