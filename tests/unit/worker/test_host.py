"""What a device says of itself, from texts as kernels and firmware write them."""

import platform
import subprocess

import pytest

from daemons.worker import host
from daemons.worker.host import (
    boot_id,
    chip_name,
    core_names,
    device_facts,
    gigabytes,
    hardware_model,
    linux_soc,
    mac_soc,
)

RASPBERRY_PI_4 = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Revision\t: d03114
Serial\t\t: 10000000abcdef01
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""

GRAVITON_2 = """\
processor\t: 0
BogoMIPS\t: 243.75
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""

BIG_LITTLE = """\
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 4
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""

XEON = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R)  CPU @ 2.20GHz\nprocessor\t: 1\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800.000000MHz\n"
RISC_V = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\n"
OLD_ARM = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 4 (v7l)\nHardware\t: BCM2835\n"


@pytest.fixture
def tree(tmp_path):
    """A file system with the given files."""

    def plant(**files):
        for path, text in files.items():
            file = tmp_path / path.replace("__", "/").replace("device_tree", "device-tree")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        return tmp_path

    return plant


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (XEON, "Intel(R) Xeon(R) CPU @ 2.20GHz"),
        (GRAVITON_2, "ARM Neoverse-N1"),
        (BIG_LITTLE, "ARM Cortex-A55 + Cortex-A76"),
        (POWER, "POWER9, altivec supported"),
        (RISC_V, "sifive,u74-mc"),
        (OLD_ARM, "BCM2835"),
        ("", None),
    ],
    ids=["x86", "server", "big and little", "power", "risc-v", "old arm", "nothing"],
)
def test_processors_by_cpuinfo(tree, cpuinfo, expected):
    assert linux_soc(tree(proc__cpuinfo=cpuinfo)) == expected


def test_a_board_is_named_by_its_chip(tree):
    root = tree(
        proc__cpuinfo=RASPBERRY_PI_4,
        proc__device_tree__compatible="raspberrypi,4-model-b\0brcm,bcm2711\0",
        proc__device_tree__model="Raspberry Pi 4 Model B Rev 1.4\0",
    )
    assert linux_soc(root) == "Broadcom BCM2711"
    assert hardware_model(root) == "Raspberry Pi 4 Model B Rev 1.4"


@pytest.mark.parametrize(
    ("compatible", "expected"),
    [
        ("nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0", "NVIDIA TEGRA234"),
        ("apple,j314s\0apple,t6000\0apple,arm-platform\0", "Apple T6000"),
        ("radxa,rock-5b\0rockchip,rk3588\0", "Rockchip RK3588"),
        ("linux,dummy-virt\0", None),
        ("", None),
    ],
)
def test_chips_in_a_device_tree(compatible, expected):
    assert chip_name(compatible) == expected


def test_the_kernels_soc_driver_is_asked_before_the_device_tree(tree):
    root = tree(sys__devices__soc0__machine="SM8550\n", sys__devices__soc0__family="Snapdragon\n")
    assert linux_soc(root) == "Snapdragon SM8550"


def test_a_board_name_in_the_soc_driver_is_not_taken_for_a_chip(tree):
    root = tree(sys__devices__soc0__machine="Toradex Verdin\n", sys__devices__soc0__family="Freescale i.MX\n")
    assert linux_soc(root) is None


def test_cores_that_no_table_knows_are_told_by_number():
    assert core_names("CPU implementer\t: 0x99\nCPU part\t: 0xabc\n") == "maker 0x99 part 0xabc"


@pytest.mark.parametrize(
    ("kernel_total_kb", "owner_says"),
    [
        (24684096, "24"),
        (16085400, "16"),
        (32656404, "32"),
        (65775000, "64"),
        (7998716, "8"),
        (3884164, "4"),
        (1892000, "2"),
        (944264, "1"),
        (440000, "0.5"),
        (131805000, "128"),
        (528000000, "512"),
        (18 * 2**20, "18"),
        (36 * 2**20, "36"),
        (21 * 2**20, "21"),
        (700000, "0.67"),
    ],
)
def test_memory_is_what_its_owner_would_say(kernel_total_kb, owner_says):
    assert gigabytes(kernel_total_kb * 1024) == owner_says


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys_vendor": "Dell Inc.\n", "product_name": "XPS 13 9310\n"}, "Dell Inc. XPS 13 9310"),
        ({"sys_vendor": "HP\n", "product_name": "HP EliteBook 840 G8\n"}, "HP EliteBook 840 G8"),
        (
            {
                "sys_vendor": "To Be Filled By O.E.M.\n",
                "product_name": "System Product Name\n",
                "board_vendor": "ASUSTeK COMPUTER INC.\n",
                "board_name": "PRIME X570-P\n",
            },
            "ASUSTeK COMPUTER INC. PRIME X570-P",
        ),
        ({"product_name": "Default string\n", "board_name": "None\n"}, None),
        ({"sys_vendor": "Default string\n", "product_name": "Standard Lamp\n"}, None),
        ({}, None),
    ],
)
def test_pcs_by_their_firmware(tree, files, expected):
    root = tree(**{f"sys__class__dmi__id__{name}": text for name, text in files.items()})
    assert hardware_model(root) == expected


def test_a_mac_is_named_by_its_chip():
    assert mac_soc({"machdep.cpu.brand_string": "Apple M2 Pro"}.get) == "Apple M2 Pro"
    assert mac_soc({"hw.model": "Mac14,10"}.get) == "Mac14,10"


def test_facts_of_a_mac(monkeypatch):
    variables = {"machdep.cpu.brand_string": "Apple M2 Pro", "hw.model": "Mac14,10"}

    def sysctl(command, **_):
        return subprocess.CompletedProcess(command, 0, stdout=variables[command[-1]] + "\n")

    monkeypatch.setattr(subprocess, "run", sysctl)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    facts = device_facts()
    assert (facts.soc, facts.hardware_model) == ("Apple M2 Pro", "Mac14,10")
    assert (facts.device_os, facts.device_os_version) == ("Darwin", "macOS 15.1")


def test_a_mac_without_sysctl_still_has_a_processor(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(host, "sysctl", lambda _name: None)
    facts = device_facts()
    assert facts.soc
    assert facts.hardware_model is None


def test_a_variable_that_can_not_be_read_is_unknown(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", fail)
    assert host.sysctl("hw.model") is None


def test_a_system_without_a_release_file_is_named_by_its_kernel(monkeypatch):
    def missing():
        raise OSError

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    assert host.os_version() == platform.release()


def test_this_device_is_described():
    facts = device_facts("some-id")
    assert facts.udid == "some-id"
    assert facts.soc
    assert float(str(facts.ram)) > 0
    assert facts.device_os == platform.system()
    assert facts.device_os_version
    assert facts.architecture == platform.machine()
    assert facts.logical_cores is not None
    assert facts.logical_cores >= 1
    assert facts.benchfleet


def test_amds_gpus_have_the_names_that_their_driver_gives(tree):
    root = tree(
        sys__class__drm__card1__device__product_name="Radeon RX 7900 XTX\n",
        sys__class__drm__card2__device__product_name="\n",
    )
    assert host.amd_gpus(root) == ["AMD Radeon RX 7900 XTX"]


def test_a_start_of_the_machine_has_a_name(tree, monkeypatch):
    monkeypatch.setattr(host.platform, "system", lambda: "Linux")
    root = tree(proc__sys__kernel__random__boot_id="0b5e9a0e-3c58-4f0c-8f0e-4a3a2a0e9d11\n")
    assert boot_id(root) == "0b5e9a0e-3c58-4f0c-8f0e-4a3a2a0e9d11"
    assert boot_id(root / "nowhere") is None


@pytest.mark.parametrize(
    ("told", "name"),
    [({"kern.bootsessionuuid": "A1", "kern.boottime": "7"}, "A1"), ({"kern.boottime": "7"}, "7"), ({}, None)],
)
def test_on_a_mac_the_session_goes_before_the_moment(monkeypatch, told, name):
    monkeypatch.setattr(host.platform, "system", lambda: "Darwin")
    assert boot_id(read=told.get) == name
