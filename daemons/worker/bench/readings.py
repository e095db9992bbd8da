"""What can be read of a device's conditions without root, by name; None is "could not be read", and no guess.

================  =====================================================================================
load_average      of the last minute
cores             that the system has
governor          of the CPU's clock rate, or several
turbo             whether the clock may go above its nominal rate
throttle_count    times that the CPU was throttled since boot, all cores and packages together
temperature_c     of the hottest thermal zone
thermal_state     macOS: nominal, or what it says instead
memory_available  share of the memory
memory_pressure   share of the last 10 s in which something waited for memory (Linux PSI)
power_source      mains or battery
battery_percent   charge
================  =====================================================================================

Of NVIDIA's GPU, where the compute unit may be one: ``gpu_utilization`` (per cent), ``gpu_temperature_c``,
``gpu_throttle_reasons``, ``gpu_memory_used_mb`` and ``gpu_programs`` (processes that compute on it).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from daemons.core.verdict import Readings
from daemons.worker.bench.nvidia import gpu_for

Command = Callable[..., str]

COMMAND_TIMEOUT_S: Final = 2.0


def read_conditions(unit: str = "", platform: str = sys.platform, root: Path = Path("/")) -> Readings:
    """The conditions for a measurement on `unit` now.

    Blocks for a few milliseconds, on macOS for as long as its commands take.
    """
    gpu = gpu_for(unit)
    common = {"load_average": os.getloadavg()[0], "cores": float(os.cpu_count() or 1)}
    return (
        common
        | (gpu.conditions() if gpu else {})
        | dict(macos_conditions(output_of) if platform == "darwin" else linux_conditions(root))
    )


def linux_conditions(root: Path) -> Readings:
    """From /proc and /sys."""
    cpu = root / "sys/devices/system/cpu"
    supplies = list(_power_supplies(root / "sys/class/power_supply"))
    governors = dict.fromkeys(_texts(cpu.glob("cpufreq/policy*/scaling_governor")))
    temperatures = [
        int(text) / 1000 for text in _texts(root.glob("sys/class/thermal/thermal_zone*/temp")) if _int(text)
    ]
    throttles = [int(text) for text in _texts(cpu.glob("cpu*/thermal_throttle/*_throttle_count")) if text.isdigit()]
    return {
        "governor": ", ".join(governors) or None,
        "turbo": _turbo(cpu),
        "throttle_count": float(sum(throttles)) if throttles else None,
        "temperature_c": max(temperatures, default=None),
        "memory_available": available_share(_text(root / "proc/meminfo") or ""),
        "memory_pressure": pressure_share(_text(root / "proc/pressure/memory") or ""),
        "power_source": power_source(supplies),
        "battery_percent": next((float(s["capacity"]) for s in supplies if s["capacity"].isdigit()), None),
    }


def _turbo(cpu: Path) -> bool | None:
    if (off := _text(cpu / "intel_pstate/no_turbo")) is not None:
        return off == "0"
    boost = _text(cpu / "cpufreq/boost")
    return None if boost is None else boost == "1"


def available_share(meminfo: str) -> float | None:
    """The share of the memory that is available; `meminfo` as in /proc/meminfo."""
    kilobytes = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", meminfo, re.MULTILINE)}
    total, available = kilobytes.get("MemTotal"), kilobytes.get("MemAvailable")
    return available / total if total and available is not None else None


def pressure_share(pressure: str) -> float | None:
    """Pressure stall information: the share of the last 10 s in which some task waited for memory."""
    found = re.search(r"^some avg10=([\d.]+)", pressure, re.MULTILINE)
    return float(found[1]) / 100 if found else None


def power_source(supplies: list[dict[str, str]]) -> str | None:
    """Mains or battery; a battery of a mouse or a phone is none of the device's."""
    own = [supply for supply in supplies if supply["scope"] != "Device"]
    if any(supply["online"] == "1" for supply in own if supply["type"] in ("Mains", "USB")):
        return "mains"
    if any(supply["status"] == "Discharging" for supply in own if supply["type"] == "Battery"):
        return "battery"
    return "mains" if any(supply["type"] == "Battery" for supply in own) else None


def _power_supplies(folder: Path) -> Iterator[dict[str, str]]:
    for supply in sorted(folder.glob("*")):
        yield {name: _text(supply / name) or "" for name in ("type", "online", "status", "scope", "capacity")}


def macos_conditions(output: Command) -> Readings:
    """From pmset and sysctl, which need no root."""
    battery, heat = output("pmset", "-g", "batt"), output("pmset", "-g", "therm")
    charge = re.search(r"(\d+)%", battery)
    return {
        "governor": None,
        "turbo": None,
        "throttle_count": None,
        "temperature_c": None,
        "thermal_state": thermal_state(heat),
        "memory_available": _share_of_percent(output("sysctl", "-n", "kern.memorystatus_level")),
        "memory_pressure": None,
        "power_source": _macos_source(battery),
        "battery_percent": float(charge[1]) if charge else None,
    }


def thermal_state(therm: str) -> str | None:
    """``nominal``, or the speed limit that `pmset -g therm` tells; None where it tells neither."""
    limit = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", therm)
    if limit:
        return "nominal" if int(limit[1]) >= 100 else f"limited to {limit[1]} %"
    return "nominal" if "No thermal warning level" in therm else None


def _macos_source(battery: str) -> str | None:
    if "Battery Power" in battery:
        return "battery"
    return "mains" if "AC Power" in battery else None


def _share_of_percent(text: str) -> float | None:
    return int(text) / 100 if text.strip().isdigit() else None


def output_of(*command: str) -> str:
    """What a command prints, nothing if it can't."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _texts(paths: Iterator[Path]) -> list[str]:
    return [text for path in sorted(paths) if (text := _text(path))]


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return None


def _int(text: str) -> bool:
    return text.lstrip("-").isdigit()
