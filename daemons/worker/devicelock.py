"""The lock under which this machine measures: one benchmark at a time, whoever asks for it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from daemons.core.errors import ConfigInvalid
from daemons.runtime.locks import FileLock

RUNTIME_ROOT: Final = Path("/tmp")  # noqa: S108 - the folder below it is checked to be the user's own
"""The one folder that all of a user's processes agree on, whatever their environment says; it is empty after a boot."""


def measuring_lock(root: Path = RUNTIME_ROOT) -> FileLock:
    """The lock that every measuring of this user on this machine takes: workers and the command line alike.

    Raises ConfigInvalid when somebody else has taken the folder's name.
    """
    return FileLock(_own_folder(root) / "measuring.lock")


def _own_folder(root: Path) -> Path:
    folder = root / f"benchfleet-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigInvalid(
            f"{folder} must be a folder that only user {os.getuid()} can write to; remove what is there"
        )
    return folder
