"""Conditions are read from what the systems say, and what they don't say is None."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.worker.bench.readings import (
    linux_conditions,
    macos_conditions,
    power_source,
    read_conditions,
    thermal_state,
)


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("·", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def test_nothing_readable_is_all_none(tmp_path: Path) -> None:
    assert set(linux_conditions(tmp_path).values()) == {None}


def test_a_laptop_on_its_battery_that_was_throttled(tmp_path: Path) -> None:
    cpu, power = tmp_path / "sys/devices/system/cpu", tmp_path / "sys/class/power_supply"
    put(cpu / "cpufreq/policy0", scaling_governor="powersave")
    put(cpu / "cpufreq/policy1", scaling_governor="performance")
    put(cpu / "intel_pstate", no_turbo="1")
    put(cpu / "cpu0/thermal_throttle", core_throttle_count="3", package_throttle_count="4")
    put(cpu / "cpu1/thermal_throttle", core_throttle_count="2")
    put(tmp_path / "sys/class/thermal/thermal_zone0", temp="45000")
    put(tmp_path / "sys/class/thermal/thermal_zone1", temp="81500")
    put(tmp_path / "proc", meminfo="MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    4000 kB")
    put(tmp_path / "proc/pressure", memory="some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00")
    put(power / "AC", type="Mains", online="0")
    put(power / "BAT0", type="Battery", status="Discharging", capacity="61")

    assert linux_conditions(tmp_path) == {
        "governor": "powersave, performance",
        "turbo": False,
        "throttle_count": 9.0,
        "temperature_c": 81.5,
        "memory_available": 0.25,
        "memory_pressure": 0.125,
        "power_source": "battery",
        "battery_percent": 61.0,
    }


def supply(**said: str) -> dict[str, str]:
    return {"type": "", "online": "", "status": "", "scope": "", "capacity": ""} | said


@pytest.mark.parametrize(
    ("supplies", "source"),
    [
        ([], None),
        ([supply(type="Mains", online="1")], "mains"),
        ([supply(type="Mains", online="0"), supply(type="Battery", status="Discharging")], "battery"),
        ([supply(type="Battery", status="Full")], "mains"),
        ([supply(type="Battery", status="Discharging", scope="Device")], None),
        ([supply(type="USB", online="1"), supply(type="Battery", status="Charging")], "mains"),
    ],
)
def test_the_power_source(supplies: list[dict[str, str]], source: str | None) -> None:
    assert power_source(supplies) == source


def test_a_mac_says_it_through_its_commands() -> None:
    said = {
        ("pmset", "-g", "batt"): "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t83%; discharging;",
        ("pmset", "-g", "therm"): "Note: No thermal warning level has been recorded\n",
        ("sysctl", "-n", "kern.memorystatus_level"): "47\n",
    }

    found = macos_conditions(lambda *command: said[command])

    assert found["power_source"] == "battery"
    assert found["battery_percent"] == 83.0
    assert found["thermal_state"] == "nominal"
    assert found["memory_available"] == 0.47


@pytest.mark.parametrize(
    ("therm", "state"),
    [("CPU_Speed_Limit \t= 100", "nominal"), ("CPU_Speed_Limit \t= 65", "limited to 65 %"), ("", None)],
)
def test_the_thermal_state_of_a_mac(therm: str, state: str | None) -> None:
    assert thermal_state(therm) == state


def test_this_machine_tells_its_load_and_cores() -> None:
    found = read_conditions()

    assert isinstance(found["load_average"], float)
    assert isinstance(found["cores"], float)
