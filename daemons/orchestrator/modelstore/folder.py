"""The folder of models: contents by their hash, and its lock. Everything here blocks.

``sha256/ab/abcd…`` is a content, whole and under its true name or not there. Callers hold the lock alone to take a
content in, to remove one or to change a name; they share it while they write down elsewhere that a content is needed.
So whoever removes can look first who needs what. Names from outside are no part of any path here but as their hash.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from daemons.core.urls import is_sha256
from daemons.runtime.files import sync_folder
from daemons.runtime.locks import FileLock

CONTENTS: Final = "sha256"
NAMES: Final = "names"
UPLOADS: Final = "uploads"
PULLS: Final = "pulls"


class Content(NamedTuple):
    """A content that is kept."""

    sha256: str
    size_bytes: int
    used_at_s: float
    """When it was taken in or read last."""


class ModelFolder:
    """The folder at `root`. It may not exist yet; `make` sees to that."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = FileLock(root / "lock")

    def make(self) -> None:
        """Make what is missing, for its owner alone."""
        for name in (CONTENTS, NAMES, UPLOADS, PULLS):
            (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def path_of(self, sha256: str) -> Path:
        """Where a content of this hash lies, if it does. ValueError for what is no hash: it would be a path."""
        if not is_sha256(sha256):
            raise ValueError("no SHA-256")
        return self.root / CONTENTS / sha256[:2] / sha256

    def content(self, sha256: str) -> Content | None:
        """The content of this hash, if it is kept."""
        try:
            found = self.path_of(sha256).stat()
        except FileNotFoundError:
            return None
        return Content(sha256, found.st_size, found.st_mtime)

    def contents(self) -> list[Content]:
        """All that is kept, the least recently used first."""
        names = (entry.name for entry in (self.root / CONTENTS).glob("*/*") if is_sha256(entry.name))
        found = [content for name in names if (content := self.content(name)) is not None]
        return sorted(found, key=lambda content: content.used_at_s)

    def take_in(self, whole: Path, sha256: str) -> None:
        """Give a file that is whole and on disk its place. One that lies there is replaced by the same bytes."""
        target = self.path_of(sha256)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        whole.replace(target)
        os.utime(target)
        sync_folder(target.parent)
        sync_folder(target.parent.parent)

    def touch(self, sha256: str) -> None:
        """Note that a content is used now."""
        os.utime(self.path_of(sha256))

    def remove(self, sha256: str) -> None:
        """Remove a content. Whoever reads it now can read on."""
        self.path_of(sha256).unlink(missing_ok=True)


def as_file_name(text: str) -> str:
    """What stands for `text` in a file's name: always of one length, and the same letters in any case are others."""
    return hashlib.sha256(text.encode()).hexdigest()
