"""Memory of this process as the kernel accounts it. Peaks are the kernel's own, so the shortest spike counts.

All figures are bytes. What can't be read is None.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Final, Protocol

RUSAGE_INFO_V4: Final = 4
# struct rusage_info_v4 is a UUID of 16 bytes and 35 unsigned 64-bit fields; these are places among the fields.
_FIELDS: Final = 35
_FOOTPRINT: Final = 7
_LIFETIME_MAX_FOOTPRINT: Final = 28
_INTERVAL_MAX_FOOTPRINT: Final = 33


class Memory(Protocol):
    """What a phase needs to know of memory."""

    def now(self) -> int | None:
        """In use now."""

    def begin_phase(self) -> bool:
        """Start a new peak; False where the system doesn't allow that, and the peak is the process's lifetime's."""

    def peak(self) -> int | None:
        """The peak since `begin_phase`."""


class LinuxMemory:
    """Resident memory, from /proc/self/status; writing 5 to clear_refs resets its peak (proc_pid_clear_refs(5))."""

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._status = process / "status"
        self._clear_refs = process / "clear_refs"

    def now(self) -> int | None:
        """Resident memory."""
        return self._read("VmRSS:")

    def begin_phase(self) -> bool:
        """Reset the peak."""
        try:
            self._clear_refs.write_text("5", "ascii")
        except OSError:
            return False
        return True

    def peak(self) -> int | None:
        """The highest resident memory since the reset."""
        return self._read("VmHWM:")

    def _read(self, name: str) -> int | None:
        try:
            lines = self._status.read_text("ascii", errors="replace").splitlines()
        except OSError:
            return None
        kilobytes = next((line.split()[1] for line in lines if line.startswith(name)), None)
        return int(kilobytes) * 1024 if kilobytes else None


class MacMemory:
    """Physical footprint, from proc_pid_rusage: it counts memory of the GPU and the Neural Engine, which RSS misses."""

    def __init__(self, libproc: Any = None) -> None:
        self._libproc = libproc or ctypes.CDLL("/usr/lib/libproc.dylib")
        self._pid = os.getpid()

    def now(self) -> int | None:
        """Physical footprint."""
        return self._field(_FOOTPRINT)

    def begin_phase(self) -> bool:
        """Reset the interval's maximum, where the system lets a process do that for itself."""
        reset = getattr(self._libproc, "proc_reset_footprint_interval", None)
        return reset is not None and reset(self._pid) == 0

    def peak(self) -> int | None:
        """The interval's maximum, or the lifetime's where there is none."""
        return self._field(_INTERVAL_MAX_FOOTPRINT) or self._field(_LIFETIME_MAX_FOOTPRINT)

    def _field(self, index: int) -> int | None:
        buffer = (ctypes.c_uint64 * (2 + _FIELDS))()
        if self._libproc.proc_pid_rusage(self._pid, RUSAGE_INFO_V4, ctypes.byref(buffer)) != 0:
            return None
        return int(buffer[2 + index]) or None


class UnknownMemory:
    """Where the system tells nothing that could be believed."""

    def now(self) -> int | None:
        """Not known."""
        return None

    def begin_phase(self) -> bool:
        """Nothing to reset."""
        return False

    def peak(self) -> int | None:
        """Not known."""
        return None


def own_memory(platform: str = sys.platform) -> Memory:
    """The memory of this process, as this system accounts it."""
    if platform == "linux":
        return LinuxMemory()
    if platform == "darwin":
        return MacMemory()
    return UnknownMemory()
