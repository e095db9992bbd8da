"""What NVIDIA's management library tells of a GPU: identity, memory in use, clocks, and why they are held down.

NVML has no peak of memory, so what is read is what was in use at one moment, by all programs on the GPU. Every reading
that a GPU refuses is left out; where there is no NVML, no driver or no GPU, there are no readings at all. Used by the
measuring process at the end of each phase, and by the daemon before and after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

T = TypeVar("T")

MB: Final = 2**20
MAX_TEXT: Final = 200
BY_BUS: Final = "PCI_BUS_ID"

IDLE: Final = 0x1
REASONS: Final = {
    0x2: "clocks set by a user",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clock setting",
}
"""Bits of `nvmlClocksEventReasons`, as the library's header defines them. Idling is no reason to name."""
NONE: Final = "none"
HEAT_AND_POWER_LOSS: Final = frozenset({0x8, 0x20, 0x40, 0x80})
"""Reasons that a cooler or better fed device would not have."""
THROTTLED: Final = frozenset(REASONS[bit] for bit in HEAT_AND_POWER_LOSS)


def count_by_bus(environ: Any = os.environ) -> None:
    """Have CUDA number GPUs as NVML does, by their place on the bus, unless somebody has decided otherwise.

    Must be called before CUDA is loaded.
    """
    environ.setdefault("CUDA_DEVICE_ORDER", BY_BUS)


class NvidiaGpu:
    """One GPU. `nvml` is the module `pynvml`, initialized; `handle` is its own for the GPU."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    def identity(self) -> dict[str, Any]:
        """Name, driver and memory in MB, by CSV column name."""
        memory = self._read("nvmlDeviceGetMemoryInfo")
        return _known(
            GpuName=_text(self._read("nvmlDeviceGetName")),
            GpuDriver=_text(_ask(self._nvml, self._nvml.nvmlSystemGetDriverVersion)),
            GpuMemoryTotal=None if memory is None else memory.total / MB,
        )

    def described(self) -> str:
        """For people, such as ``NVIDIA L4, 23 GB, driver 550.54.15``."""
        known = self.identity()
        total = known.get("GpuMemoryTotal")
        parts = (known.get("GpuName"), f"{total / 1024:.0f} GB" if total else None)
        driver = f"driver {known['GpuDriver']}" if "GpuDriver" in known else None
        return ", ".join(part for part in (*parts, driver) if part)[:MAX_TEXT]

    def after_load(self) -> dict[str, Any]:
        """Identity, and the memory in use now, by CSV column name."""
        return self.identity() | _known(GpuMemoryAfterLoad=self.memory_used())

    def after_runs(self) -> dict[str, Any]:
        """State, and the memory in use now, by CSV column name."""
        return self.state() | _known(GpuMemoryAfterInference=self.memory_used())

    def memory_used(self) -> float | None:
        """MB in use now, by all programs."""
        memory = self._read("nvmlDeviceGetMemoryInfo")
        return None if memory is None else memory.used / MB

    def state(self) -> dict[str, Any]:
        """Utilization in per cent, clock in MHz and what holds it down, by CSV column name."""
        rates, reasons = self._read("nvmlDeviceGetUtilizationRates"), self._held_down_by()
        return _known(
            GpuUtilization=None if rates is None else float(rates.gpu),
            GpuClockMhz=self._read("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
            GpuThrottleReasons=None if reasons is None else throttle_reasons(reasons),
        )

    def conditions(self) -> dict[str, str | float | bool | None]:
        """As `daemons.worker.bench.readings` names conditions."""
        state, sensor = self.state(), self._nvml.NVML_TEMPERATURE_GPU
        heat = self._read("nvmlDeviceGetTemperature", sensor)
        programs = self._read("nvmlDeviceGetComputeRunningProcesses")
        return {
            "gpu_utilization": state.get("GpuUtilization"),
            "gpu_throttle_reasons": state.get("GpuThrottleReasons"),
            "gpu_temperature_c": None if heat is None else float(heat),
            "gpu_memory_used_mb": self.memory_used(),
            "gpu_programs": None if programs is None else float(len(programs)),
        }

    def _held_down_by(self) -> int | None:
        """Bits; the call was renamed, and old libraries know the old name only."""
        for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            bits = self._read(name)
            if bits is not None:
                return int(bits)
        return None

    def _read(self, name: str, *arguments: Any) -> Any:
        function = getattr(self._nvml, name, None)
        return None if function is None else _ask(self._nvml, lambda: function(self._handle, *arguments))


def throttle_reasons(bits: int) -> str:
    """In words, ``none`` if the clock is free to rise."""
    known = [text for bit, text in REASONS.items() if bits & bit]
    other = bits & ~(IDLE | sum(REASONS))
    return ", ".join([*known, *([f"reason {other:#x}"] if other else [])]) or NONE


def is_throttled(reasons: str) -> bool:
    """Whether heat or lack of power hold the clock down, in what `throttle_reasons` says."""
    return not THROTTLED.isdisjoint(reasons.split(", "))


def gpu_for(unit: str) -> NvidiaGpu | None:
    """The GPU that a measurement on `unit` would use if it is NVIDIA's; None for units of other kinds.

    Must be called before CUDA is loaded, which is to number GPUs as NVML does.
    """
    if not unit.startswith("GPU"):
        return None
    count_by_bus()
    return first_gpu()


def first_gpu(environ: Mapping[str, str] = os.environ) -> NvidiaGpu | None:
    """The GPU that CUDA calls 0 in this environment; None if there is none, or NVML doesn't know it."""
    return next(gpus(environ), None)


def gpus(environ: Mapping[str, str] = os.environ) -> Iterator[NvidiaGpu]:
    """The GPUs that CUDA would see in this environment, in its order."""
    nvml = _loaded()
    if nvml is None:
        return
    there = [handle for place in range(_count(nvml)) if (handle := _handle(nvml, place)) is not None]
    for handle in visible(there, environ.get("CUDA_VISIBLE_DEVICES"), lambda one: _uuid(nvml, one)):
        yield NvidiaGpu(nvml, handle)


def visible(there: list[T], said: str | None, uuid_of: Callable[[T], str]) -> list[T]:
    """What of the GPUs, in bus order, ``CUDA_VISIBLE_DEVICES`` leaves, in its order.

    As CUDA reads it: numbers, or the beginnings of UUIDs; what comes after one that doesn't exist is not seen.
    """
    if said is None:
        return there
    found: list[T] = []
    for word in (part.strip() for part in said.split(",")):
        if word.isdigit() and int(word) < len(there):
            found.append(there[int(word)])
            continue
        alike = [one for one in there if word and uuid_of(one).startswith(word)]
        if len(alike) != 1:
            break
        found.extend(alike)
    return found


def _loaded() -> Any:
    """The module, initialized; None where there is nothing for it to talk to."""
    try:
        import pynvml  # noqa: PLC0415 (only where a GPU is measured)
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _count(nvml: Any) -> int:
    return int(_ask(nvml, nvml.nvmlDeviceGetCount) or 0)


def _handle(nvml: Any, place: int) -> Any:
    return _ask(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(place))


def _uuid(nvml: Any, handle: Any) -> str:
    return _text(_ask(nvml, lambda: nvml.nvmlDeviceGetUUID(handle))) or ""


def _ask(nvml: Any, call: Callable[[], Any]) -> Any:
    """What the library answers; None if this GPU doesn't have it."""
    try:
        return call()
    except nvml.NVMLError:
        return None


def _text(value: str | bytes | None) -> str | None:
    """Old versions of the module answer in bytes."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text[:MAX_TEXT] if text else None


def _known(**figures: Any) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if value is not None}
