"""Shims that stand between a program and its system (LD_PRELOAD), built where there is a C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKEWED_CLOCK = Path(__file__).with_name("skewed_clock.c")
SYNCED_SIZE = Path(__file__).with_name("synced_size.c")


def why_not() -> str | None:
    """Why no shim can be built here; None if one can."""
    if sys.platform != "linux":
        return "shims are for LD_PRELOAD, which is Linux's"
    return None if compiler() else "there is no C compiler to build a shim with"


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def build(source: Path, folder: Path) -> Path:
    """The shim, built in `folder`; skips the test, saying so, where that can't be."""
    if reason := why_not():
        pytest.skip(reason)
    return compiled(source, folder)


def compiled(source: Path, folder: Path) -> Path:
    """The shim, built in `folder`."""
    library = folder / source.with_suffix(".so").name
    command = [compiler() or "cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return library


def skewed(library: Path, offset: Path) -> dict[str, str]:
    """What makes a program's wall clock differ by the seconds that the file `offset` holds at the time."""
    return {"LD_PRELOAD": str(library), "SKEWED_CLOCK_FILE": str(offset)}


def set_offset(offset: Path, seconds: int) -> None:
    """Set the clocks of all programs that read this file."""
    unfinished = offset.with_suffix(".new")
    unfinished.write_text(str(seconds))
    unfinished.rename(offset)


def noting_syncs(library: Path, note: Path) -> dict[str, str]:
    """What makes a server note the size of its append-only file at each sync."""
    return {"LD_PRELOAD": str(library), "SYNCED_SIZE_FILE": str(note)}


def not_synced(note: Path) -> bytes:
    """What of the append-only file a power loss would take."""
    path, size = _noted(note)
    with path.open("rb") as file:
        file.seek(size)
        return file.read()


def lose_what_was_not_synced(note: Path) -> int:
    """Cut the append-only file where it was last synced, as a power loss does; how many bytes went with that."""
    path, size = _noted(note)
    lost = path.stat().st_size - size
    os.truncate(path, size)
    return lost


def _noted(note: Path) -> tuple[Path, int]:
    size, _, path = note.read_text().partition(" ")
    return Path(path.rstrip()), int(size)
