"""What disturbs a measurement is told in a sentence; what can't be read is not guessed."""

from __future__ import annotations

import pytest

from daemons.worker.bench.conditions import (
    condition_warnings,
    governor_warning,
    load_warning,
    memory_warning,
    power_warning,
    quota_warning,
)


def test_a_busy_machine_is_told():
    assert load_warning(1.5, 4) == "the load average was 1.50 on 4 cores"
    assert load_warning(1.0, 4) is None


@pytest.mark.parametrize(
    ("governors", "said"),
    [
        (["powersave"], "the CPU frequency governor is powersave"),
        (["performance", "schedutil", "schedutil"], "the CPU frequency governor is schedutil"),
        (["performance"], None),
        ([], None),
    ],
)
def test_a_clock_rate_that_moves_is_told(governors, said):
    assert governor_warning(governors) == said


@pytest.mark.parametrize(
    ("meminfo", "said"),
    [
        ("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 50 kB\nHugePages_Total: 0\n", "only 5% of the memory was"),
        ("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n", None),
        ("MemTotal: 1000 kB\n", None),
        ("", None),
    ],
)
def test_little_memory_is_told(meminfo, said):
    assert (memory_warning(meminfo) or "").startswith(said or "")
    assert (memory_warning(meminfo) is None) == (said is None)


@pytest.mark.parametrize(
    ("supplies", "on_battery"),
    [
        ({"AC": "Mains:0", "BAT0": "Battery:None"}, True),
        ({"AC": "Mains:1", "BAT0": "Battery:None"}, False),
        ({"AC": "Mains:0", "ADP1": "Mains:1"}, False),
        ({"mouse": "Battery:1"}, False),
        ({}, False),
    ],
)
def test_a_battery_is_told(supplies, on_battery):
    assert (power_warning(supplies) == "the machine runs on its battery") is on_battery


@pytest.mark.parametrize(
    ("quota", "said"),
    [(1.5, "a control group limits this process to 1.50 of 4 cores"), (4.0, None), (None, None)],
)
def test_a_quota_is_told(quota, said):
    assert quota_warning(quota, 4) == said


def test_everything_is_read_from_the_systems_own_files(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0.0, 0.0))
    files = {
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil\n",
        "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 10 kB\n",
        "sys/class/power_supply/AC/type": "Mains\n",
        "sys/class/power_supply/AC/online": "0\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    said = condition_warnings(tmp_path)
    assert said[0].startswith("the load average was 99.00 on")
    assert said[1:4] == [
        "the CPU frequency governor is schedutil",
        "only 1% of the memory was available",
        "the machine runs on its battery",
    ]


def test_where_nothing_can_be_read_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert condition_warnings(tmp_path) == []
