"""What disturbs a measurement is told in a sentence; what can't be read is not guessed."""

from __future__ import annotations

import os

import pytest

from daemons.worker.bench.conditions import condition_warnings, load_warning, memory_warning, power_warning


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of files of the test's, on which nothing disturbs; gives what is told after writing some."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)

    def told(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return condition_warnings(tmp_path)

    return told


def governors(*names):
    """Files as the kernel shows them: a folder for each policy, and each core's link to its own."""
    folders = [f"cpufreq/policy{number}" for number in range(len(names))]
    folders += [f"cpu{number}/cpufreq" for number in range(len(names))]
    each = zip(folders, names * 2, strict=True)
    return {f"sys/devices/system/cpu/{folder}/scaling_governor": f"{name}\n" for folder, name in each}


def test_a_busy_machine_is_told():
    assert load_warning(1.5, 4) == "the load average was 1.50 on 4 cores"
    assert load_warning(1.0, 4) is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["powersave"], ["the CPU frequency governor is powersave"]),
        (["performance", "schedutil", "schedutil"], ["the CPU frequency governor is schedutil"]),
        (["performance", "performance"], []),
        ([], []),
    ],
)
def test_a_clock_rate_that_moves_is_told_of_any_core(machine, names, said):
    assert machine(governors(*names)) == said


@pytest.mark.parametrize(
    ("meminfo", "said"),
    [
        (
            "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 50 kB\nHugePages_Total: 0\n",
            "only 5% of the memory was available",
        ),
        ("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n", None),
        ("MemTotal: 1000 kB\n", None),
        ("", None),
    ],
)
def test_little_memory_is_told(meminfo, said):
    assert memory_warning(meminfo) == said


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


@pytest.mark.parametrize("cpu_max", ["max 100000\n", "garbage\n", ""])
def test_no_quota_is_no_warning(machine, cpu_max):
    assert machine({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": cpu_max}) == []


def test_a_quota_of_a_group_above_binds_as_well(machine):
    files = {
        "proc/self/cgroup": "0::/lab/worker\n",
        "sys/fs/cgroup/lab/worker/cpu.max": "max 100000\n",
        "sys/fs/cgroup/lab/cpu.max": "150000 100000\n",
    }
    (sentence,) = machine(files)
    assert sentence.startswith("a control group limits this process to 1.50")


def test_a_quota_of_the_old_version_is_told(machine):
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/lab\n",
        "sys/fs/cgroup/cpu/lab/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu/lab/cpu.cfs_period_us": "100000\n",
    }
    (sentence,) = machine(files)
    assert sentence.startswith("a control group limits this process to 0.50")


def test_all_that_disturbs_is_told_together(machine, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    files = governors("schedutil") | {
        "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 10 kB\n",
        "sys/class/power_supply/AC/type": "Mains\n",
        "sys/class/power_supply/AC/online": "0\n",
    }
    assert machine(files) == [
        "the load average was 99.00 on 4 cores",
        "the CPU frequency governor is schedutil",
        "only 1% of the memory was available",
        "the machine runs on its battery",
    ]


def test_where_nothing_can_be_read_nothing_is_told(machine):
    assert machine({}) == []
