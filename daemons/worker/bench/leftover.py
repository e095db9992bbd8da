"""The note of which process measures, and the end of one whose daemon was killed.

On Linux the leader ends with its daemon, but what it has started may not; elsewhere a watcher of its own ends it. This
is for what slips through, since two measurements at once would measure each other. Process numbers come again, so the
note tells the process itself apart from its number, by no wall clock.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
import structlog

from daemons.runtime.files import write_atomically
from daemons.worker.bench.process import MODULE

log = structlog.get_logger(__name__)


class Note(msgspec.Struct, frozen=True):
    """A measuring process: its number, which is its group's, and what sets it apart from others of that number."""

    pid: int
    birth: str
    boot: str


def write_note(record: Path, pid: int) -> None:
    """Note the process in `record`. Without a note nothing is killed later, so a full disk is no reason to stop."""
    try:
        write_atomically(record, msgspec.json.encode(Note(pid, birth_of(pid), this_boot())), mode=0o600)
    except (OSError, psutil.Error) as error:
        log.warning("measuring process not noted", pid=pid, record=str(record), error=str(error))


def kill_leftover(record: Path) -> int | None:
    """Kill the measuring process that a killed predecessor noted in `record`, with all that it has started.

    Its number; None if there was none, or if the number belongs to another process by now.
    """
    try:
        note = msgspec.json.decode(record.read_bytes(), type=Note)
        if not is_ours(note):
            return None
        os.killpg(note.pid, signal.SIGKILL)
    except (OSError, psutil.Error, msgspec.DecodeError):
        return None
    log.warning("leftover measuring process killed", pid=note.pid)
    return note.pid


def is_ours(note: Note) -> bool:
    """Whether the group of this number is the one that was noted."""
    if note.boot != this_boot():
        return False
    try:
        return birth_of(note.pid) == note.birth
    except (OSError, psutil.Error):
        # The leader is gone. A number is not given again while a group has it, so what is left is told by its command.
        return any(_is_left_of(note.pid, process) for process in psutil.process_iter(["cmdline"]))


def _is_left_of(group: int, process: Any) -> bool:
    try:
        is_member = os.getpgid(process.pid) == group == os.getsid(process.pid)
    except OSError:
        return False
    return is_member and MODULE in (process.info["cmdline"] or ())


def birth_of(pid: int) -> str:
    """When a process began, as the kernel keeps it: ticks since the boot on Linux. OSError or psutil.Error if gone."""
    if sys.platform != "linux":
        return repr(psutil.Process(pid).create_time())
    after_name = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2]
    return after_name.split()[19]


def this_boot() -> str:
    """What changes when the machine starts anew, where the system tells it without a clock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
