"""A disk of a few megabytes that a test can fill, and empty again (Linux, root: a file system in memory)."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SIZE = "3m"
BALLAST = "ballast"


def why_not() -> str | None:
    """Why no small disk can be had here; None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a small disk to fill needs Linux and root"
    return None


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """`folder` on a disk of its own until the block ends. CalledProcessError where that can't be."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Fill the disk, but for `leave` bytes."""
    with (folder / BALLAST).open("ab", buffering=0) as ballast:
        for size in (2**16, 2**12):
            try:
                while True:
                    ballast.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    if leave:
        os.truncate(folder / BALLAST, (folder / BALLAST).stat().st_size - leave)


def empty(folder: Path) -> None:
    """There is space again."""
    (folder / BALLAST).unlink()
