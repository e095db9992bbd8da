"""What this device is: processor, memory, system, model. Each reader is a small function over text or a file tree.

Unknown is None, but the processor always has a name.
"""

from __future__ import annotations

import contextlib
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

import daemons
from daemons.core.models import DeviceInfo
from daemons.worker.bench.nvidia import gpus

Sysctl = Callable[[str], str | None]
"""The value of one of macOS's kernel variables."""

MAX_TEXT: Final = 200
SYSCTL_TIMEOUT_S: Final = 5.0

USUAL_GB: Final = (0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Sizes that memory is sold in."""

_PLACEHOLDERS: Final = re.compile(
    r"(to be filled|system (product )?name|system manufacturer|default string|not (specified|applicable)|none|n/?a|"
    r"unknown|o\.?e\.?m\.?|all series|x+|0+|product name|standard|type1productconfigid)\b.*",
    re.IGNORECASE,
)
_GENERIC: Final = re.compile(r"arm-platform|dummy-virt|riscv-virtio|.*-virt")

CPU_MAKERS: Final = {
    0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA",
    0x50: "APM", 0x51: "Qualcomm", 0x53: "Samsung", 0x56: "Marvell", 0x61: "Apple", 0x6D: "Microsoft",
    0x70: "Phytium", 0xC0: "Ampere",
}  # fmt: skip

CPU_PARTS: Final = {
    (0x41, 0xB76): "ARM1176", (0x41, 0xC07): "Cortex-A7", (0x41, 0xC08): "Cortex-A8", (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15", (0x41, 0xD03): "Cortex-A53", (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57", (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73", (0x41, 0xD0A): "Cortex-A75", (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1", (0x41, 0xD0D): "Cortex-A77", (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78", (0x41, 0xD42): "Cortex-A78AE", (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510", (0x41, 0xD47): "Cortex-A710", (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2", (0x41, 0xD4D): "Cortex-A715", (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse-V2", (0x41, 0xD80): "Cortex-A520", (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4", (0x41, 0xD84): "Neoverse-V3", (0x41, 0xD8E): "Neoverse-N3",
    (0x43, 0x0AF): "ThunderX2", (0x46, 0x001): "A64FX", (0x48, 0xD01): "TaiShan v110", (0x4E, 0x004): "Carmel",
    (0x51, 0x001): "Oryon", (0x51, 0x802): "Kryo 385 Gold", (0x51, 0x803): "Kryo 385 Silver",
    (0x51, 0x804): "Kryo 485 Gold", (0x51, 0x805): "Kryo 485 Silver",
    (0x61, 0x022): "M1 Icestorm", (0x61, 0x023): "M1 Firestorm", (0x61, 0x032): "M2 Blizzard",
    (0x61, 0x033): "M2 Avalanche", (0x6D, 0xD49): "Azure Cobalt 100", (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1a",
}  # fmt: skip
"""As Arm's and the makers' manuals, and the kernel's `cputype.h`, number them."""

CHIP_MAKERS: Final = {
    "allwinner": "Allwinner", "amlogic": "Amlogic", "apple": "Apple", "brcm": "Broadcom", "fsl": "NXP",
    "marvell": "Marvell", "mediatek": "MediaTek", "nvidia": "NVIDIA", "nxp": "NXP", "qcom": "Qualcomm",
    "renesas": "Renesas", "rockchip": "Rockchip", "samsung": "Samsung", "st": "STMicroelectronics",
    "starfive": "StarFive", "ti": "TI", "xlnx": "Xilinx",
}  # fmt: skip
"""Prefixes of device-tree `compatible` strings."""


def device_facts(udid: str | None = None) -> DeviceInfo:
    """What this device is. `udid` is passed through; engines are not looked for."""
    is_mac = platform.system() == "Darwin"
    soc = mac_soc(sysctl) if is_mac else linux_soc(Path("/"))
    model = sysctl("hw.model") if is_mac else hardware_model(Path("/"))
    return DeviceInfo(
        soc=(soc or platform.processor() or platform.machine() or "unknown processor")[:MAX_TEXT],
        ram=gigabytes(psutil.virtual_memory().total),
        device_os=platform.system() or None,
        udid=udid,
        device_os_version=os_version(),
        hardware_model=model[:MAX_TEXT] if model else None,
        architecture=platform.machine() or None,
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(logical=True),
        gpus=[] if is_mac else [*nvidia_gpus(), *amd_gpus(Path("/"))],
        benchfleet=daemons.__version__,
    )


def boot_id(root: Path = Path("/"), read: Sysctl | None = None) -> str | None:
    """What names the time since this machine was started; None where the system has no such thing.

    macOS changes what it tells of the moment when its clock is set: the session's own name goes first.
    """
    if platform.system() == "Darwin":
        ask = read or sysctl
        return ask("kern.bootsessionuuid") or ask("kern.boottime")
    text = text_of(root / "proc/sys/kernel/random/boot_id")
    return text.strip() or None if text else None


def sysctl(name: str) -> str | None:
    """A kernel variable of macOS, as `sysctl -n` prints it; None if it can't be read."""
    try:
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=SYSCTL_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def mac_soc(read: Sysctl) -> str | None:
    """Such as ``Apple M2 Pro``; on Intel Macs the processor's full name."""
    name = read("machdep.cpu.brand_string") or read("hw.model")
    return one_line(name) if name else None


def linux_soc(root: Path) -> str | None:
    """The processor's name; on boards the chip's, as the device tree has it."""
    cpuinfo = text_of(root / "proc/cpuinfo") or ""
    return (
        model_name(cpuinfo)
        or chip_from_soc_bus(root)
        or chip_name(text_of(root / "proc/device-tree/compatible") or "")
        or core_names(cpuinfo)
        or other_name(cpuinfo)
    )


def fields(cpuinfo: str, name: str) -> list[str]:
    """Every value of one field of /proc/cpuinfo, each once."""
    pattern = re.compile(rf"^{re.escape(name)}\s*:\s*(.+?)\s*$", re.MULTILINE)
    return list(dict.fromkeys(pattern.findall(cpuinfo)))


def model_name(cpuinfo: str) -> str | None:
    """What an x86 processor calls itself. ARM kernels write the architecture there, which names no chip."""
    names = [name for name in fields(cpuinfo, "model name") if not re.match(r"ARMv|AArch64", name, re.IGNORECASE)]
    return one_line(names[0]) if names else None


def chip_from_soc_bus(root: Path) -> str | None:
    """What the kernel's SoC driver says, such as ``Snapdragon SM8550``."""
    soc = root / "sys/devices/soc0"
    machine, family = text_of(soc / "machine"), text_of(soc / "family")
    if machine is None or family is None or not re.fullmatch(r"[A-Z]{2,4}\d+\w*", one_line(machine)):
        return None  # many drivers put the board's name there
    return one_line(f"{family} {machine}")


def chip_name(compatible: str) -> str | None:
    """The chip among the zero-separated names of a device tree's root, which go from the board to the general."""
    entries = [entry for entry in compatible.split("\0") if "," in entry]
    chips = [entry.split(",", 1) for entry in entries if not _GENERIC.fullmatch(entry.split(",", 1)[1])]
    if not chips:
        return None
    maker, part = chips[-1]
    return f"{CHIP_MAKERS.get(maker, maker.capitalize())} {part.upper() if len(part) <= 10 else part}"


def core_names(cpuinfo: str) -> str | None:
    """The kinds of cores of an ARM processor, such as ``ARM Cortex-A76 + Cortex-A55``, by their registered numbers."""
    pattern = re.compile(
        r"^CPU implementer\s*:\s*(0x[0-9a-f]+)$.*?^CPU part\s*:\s*(0x[0-9a-f]+)$", re.MULTILINE | re.DOTALL
    )
    cores = list(dict.fromkeys((int(maker, 16), int(part, 16)) for maker, part in pattern.findall(cpuinfo)))
    if not cores:
        return None
    maker = CPU_MAKERS.get(cores[0][0], f"maker {cores[0][0]:#x}")
    return f"{maker} {' + '.join(CPU_PARTS.get(core, f'part {core[1]:#x}') for core in cores)}"


def other_name(cpuinfo: str) -> str | None:
    """What POWER, RISC-V and old ARM kernels call the processor."""
    names = (fields(cpuinfo, key) for key in ("Hardware", "uarch", "cpu model", "cpu", "Processor", "model name"))
    return next((one_line(found[0]) for found in names if found), None)


def nvidia_gpus() -> list[str]:
    """Each NVIDIA GPU as its driver tells of it; none where there is no driver."""
    return [text for gpu in gpus() if (text := gpu.described())]


def amd_gpus(root: Path) -> list[str]:
    """Each AMD GPU by the product name that its kernel driver gives it."""
    cards = sorted((root / "sys/class/drm").glob("card[0-9]*/device/product_name"))
    names = [one_line(text_of(path) or "") for path in cards]
    return [f"AMD {name.removeprefix('AMD ')}"[:MAX_TEXT] for name in names if name]


def hardware_model(root: Path) -> str | None:
    """The machine's maker and model: firmware on a PC, the device tree on a board."""
    board = text_of(root / "proc/device-tree/model")
    if board and board.strip("\0 \n"):
        return one_line(board)
    dmi = root / "sys/class/dmi/id"
    for maker_file, model_file in (("sys_vendor", "product_name"), ("board_vendor", "board_name")):
        model = known(text_of(dmi / model_file))
        if model:
            return with_maker(known(text_of(dmi / maker_file)), model)
    return None


def with_maker(maker: str | None, model: str) -> str:
    """The model after its maker, unless it begins with it."""
    return model if maker is None or model.lower().startswith(maker.split()[0].lower()) else f"{maker} {model}"


def known(text: str | None) -> str | None:
    """The text, unless it is one of the placeholders that makers forget to replace."""
    plain = one_line(text or "")
    return plain if plain and not _PLACEHOLDERS.fullmatch(plain) else None


def os_version() -> str | None:
    """Such as ``Debian GNU/Linux 12 (bookworm)`` or ``macOS 15.1``."""
    if platform.system() == "Darwin":
        version = platform.mac_ver()[0]
        return f"macOS {version}" if version else None
    release: Mapping[str, str] = {}
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release()
    return (release.get("PRETTY_NAME") or platform.release())[:MAX_TEXT] or None


def gigabytes(total_bytes: int) -> str:
    """Memory as its owner says it: the kernel's total is a little less than what was bought."""
    measured = total_bytes / 2**30
    for usual in USUAL_GB:
        least = 0.93 if usual >= 2 else 0.8
        if usual * least <= measured <= usual * 1.02:
            return f"{usual:g}"
    return f"{measured:.0f}" if measured >= 1.5 else f"{measured:.2g}"


def one_line(text: str) -> str:
    """Without the padding, line ends and zero bytes that firmware leaves."""
    return " ".join(text.replace("\0", " ").split())


def text_of(path: Path) -> str | None:
    """A file's text; None if it can't be read."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return None
