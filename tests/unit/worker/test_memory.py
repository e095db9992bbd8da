"""Peaks come from the kernel: no spike is too short, each phase has its own, and figures are bytes."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from pathlib import Path

import pytest

from daemons.worker.bench.memory import LinuxMemory, MacMemory, UnknownMemory, own_memory

MB = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

RUSAGE_INFO_V4 = struct.Struct("16s35Q")
"""libproc's struct, from the layout that <sys/resource.h> gives it: a UUID and 35 numbers."""


def spike(size):
    """Use `size` bytes for as short as it can be done."""
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for offset in range(0, size, mmap.PAGESIZE):
            memory[offset] = 1


@on_linux
def test_a_spike_that_is_over_when_one_looks_counts():
    memory = LinuxMemory()
    assert memory.begin_phase()
    before = memory.now()
    spike(64 * MB)
    after, peak = memory.now(), memory.peak()
    assert after - before < 8 * MB, "it is gone"
    assert 60 * MB < peak - before < 80 * MB, "and yet it was seen"


@on_linux
def test_each_phase_has_a_peak_of_its_own():
    memory = LinuxMemory()
    memory.begin_phase()
    spike(64 * MB)
    assert memory.begin_phase()
    assert memory.peak() - memory.now() < 8 * MB


@on_linux
def test_figures_are_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert LinuxMemory().now() == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), abs=4 * MB)


def test_the_right_lines_are_read(tmp_path):
    status = "Name:\tx\nVmPeak:\t 9 kB\nVmSize:\t 8 kB\nVmHWM:\t 700 kB\nVmRSS:\t 600 kB\nRssAnon:\t 5 kB\n"
    (tmp_path / "status").write_text(status)
    memory = LinuxMemory(tmp_path)
    assert (memory.now(), memory.peak()) == (600 * 1024, 700 * 1024)
    assert memory.begin_phase()
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_what_cannot_be_read_is_unknown(tmp_path):
    memory = LinuxMemory(tmp_path / "absent")
    assert (memory.now(), memory.begin_phase(), memory.peak()) == (None, False, None)
    (tmp_path / "status").write_text("Name:\tkthread\n")
    assert LinuxMemory(tmp_path).peak() is None


class FakeLibproc:
    """proc_pid_rusage(3) as macOS documents it, over numbers of the test's."""

    def __init__(self, **fields):
        self.fields = [1000 + index for index in range(35)]
        for name, value in fields.items():
            self.fields[int(name.removeprefix("f"))] = value
        self.refuses = False
        self.resets = []

    def proc_pid_rusage(self, pid, flavor, buffer):
        if self.refuses or (pid, flavor) != (os.getpid(), 4):
            return -1
        ctypes.memmove(buffer, RUSAGE_INFO_V4.pack(b"\xff" * 16, *self.fields), RUSAGE_INFO_V4.size)
        return 0


class ResettingLibproc(FakeLibproc):
    def proc_reset_footprint_interval(self, pid):
        self.resets.append(pid)
        return 0


def test_on_a_mac_footprints_are_taken_from_their_places():
    memory = MacMemory(ResettingLibproc(f7=11 * MB, f28=22 * MB, f33=33 * MB))
    assert memory.now() == 11 * MB
    assert memory.peak() == 33 * MB


def test_on_a_mac_the_buffer_has_room_for_the_whole_struct():
    assert RUSAGE_INFO_V4.size == ctypes.sizeof((ctypes.c_uint64 * 37)())
    library = FakeLibproc(f34=2**64 - 1)
    MacMemory(library).now()  # memmove would have written past a shorter one


def test_on_a_mac_the_intervals_maximum_is_reset_where_that_is_possible():
    library = ResettingLibproc()
    assert MacMemory(library).begin_phase()
    assert library.resets == [os.getpid()]


def test_on_a_mac_without_intervals_the_lifetimes_peak_stands_in_and_is_said_to():
    memory = MacMemory(FakeLibproc(f28=22 * MB, f33=0))
    assert not memory.begin_phase()
    assert memory.peak() == 22 * MB


def test_on_a_mac_a_refused_question_has_no_answer():
    library = ResettingLibproc()
    library.refuses = True
    assert (MacMemory(library).now(), MacMemory(library).peak()) == (None, None)


def test_elsewhere_nothing_is_claimed():
    memory = own_memory("win32")
    assert isinstance(memory, UnknownMemory)
    assert (memory.now(), memory.begin_phase(), memory.peak()) == (None, False, None)


def test_linux_asks_its_own_kernel():
    assert isinstance(own_memory("linux"), LinuxMemory)
