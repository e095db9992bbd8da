"""A model on this disk, a file or the folder that a Core ML model is: its size and hash, and whether it has changed."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Final

from daemons.core.errors import BenchfleetError

READ_CHUNK: Final = 2**23

State = list[tuple[str, int, int, int]]
"""Of each file its name, size, time of change and number."""


class ModelOnDisk:
    """A model as it was before the first measurement."""

    def __init__(self, path: Path) -> None:
        self._path, self._state = path, _state(path)
        self.facts: dict[str, Any] = {"FileSize": sum(size for _, size, _, _ in self._state)}

    async def read(self) -> ModelOnDisk:
        """Learn its hash: of a folder, over the names and contents of its files. Cancelling ends it soon."""
        digest = hashlib.sha256()
        try:
            for name, size, _, _ in self._state:
                if name:
                    digest.update(f"{name}\0{size}\0".encode())
                await _read_into(digest, self._path / name)
        except OSError as error:
            raise BenchfleetError(f"{self._path} can't be read: {error.strerror}") from error
        self.facts["ModelHash"] = digest.hexdigest()
        return self

    def require_same(self) -> None:
        """BenchfleetError if it has changed: what was measured would be filed under another one's hash."""
        if _state(self._path) != self._state:
            raise BenchfleetError(f"{self._path} was changed while it was measured; measure again when it is finished")


async def _read_into(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(READ_CHUNK):
            digest.update(chunk)
            await asyncio.sleep(0)


def _state(path: Path) -> State:
    """Of a file by itself the name is empty."""
    try:
        files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
        named = [(found.relative_to(path).as_posix() if found != path else "", found.stat()) for found in files]
    except OSError as error:
        raise BenchfleetError(f"{path} can't be read any more: {error.strerror}") from error
    return [(name, found.st_size, found.st_mtime_ns, found.st_ino) for name, found in named]
