"""A model on this disk, of one file or of several: its size and hash, and whether it has changed.

Several files are a folder (Core ML), an .xml with its .bin (OpenVINO), or an .onnx with the files that it keeps weights
in. The hash of one file is that of its bytes, as in a campaign. That of several is over each file's name inside the
model, its size and its bytes, in a fixed order: moving or renaming the model as a whole doesn't change it.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Final

from daemons.core.errors import BenchfleetError
from daemons.runtime.background import Stop, in_thread
from daemons.worker.external_data import ExternalDataRefused, locations
from daemons.worker.kinds import ONNX, OPENVINO, WEIGHTS, ending_of

READ_CHUNK: Final = 2**23

State = list[tuple[str, int, int, int]]
"""Of each file its name, size, time of change and number."""


class ModelOnDisk:
    """A model as it was before the first measurement. `beside` names the files in which an .onnx keeps weights."""

    def __init__(self, path: Path, beside: tuple[str, ...] = ()) -> None:
        self._path, self._beside = path, beside
        self._state = self._look()
        self.facts: dict[str, Any] = {"FileSize": sum(size for _, size, _, _ in self._state)}

    async def read(self) -> ModelOnDisk:
        """Learn its hash. Cancelling ends it soon, however large the model is."""
        digest, files = hashlib.sha256(), _files_of(self._path, self._beside)
        try:
            for name, size, _, _ in self._state:
                if name:
                    digest.update(f"{name}\0{size}\0".encode())
                await _read_into(digest, files[name])
        except (OSError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else "a file of it is gone"
            raise BenchfleetError(f"{self._path} can't be read: {reason}") from error
        self.facts["ModelHash"] = digest.hexdigest()
        return self

    def require_same(self) -> None:
        """BenchfleetError if it has changed: what was measured would be filed under another one's hash."""
        if self._look() != self._state:
            raise BenchfleetError(f"{self._path} was changed while it was measured; measure again when it is finished")

    def _look(self) -> State:
        try:
            found = [(name, file.stat()) for name, file in _files_of(self._path, self._beside).items()]
        except OSError as error:
            raise BenchfleetError(f"{self._path} can't be read any more: {error.strerror}") from error
        return [(name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in found]


async def on_disk(path: Path) -> ModelOnDisk:
    """The model with all of its files, its size and its hash known."""
    return await ModelOnDisk(path, await in_thread(lambda stop: _external_data(path, stop))).read()


def _external_data(path: Path, stop: Stop) -> tuple[str, ...]:
    """The files in which an .onnx keeps weights. Whatever else is wrong with it, the engine will say."""
    try:
        found = locations(path, stop) if ending_of(path.name) == ONNX else []
    except (OSError, ExternalDataRefused):
        return ()
    return tuple(sorted(name for name in found if (path.parent / name).is_file()))


async def _read_into(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(READ_CHUNK):
            digest.update(chunk)
            await asyncio.sleep(0)


def _files_of(path: Path, beside: tuple[str, ...]) -> dict[str, Path]:
    """Each file by its name inside the model; a file by itself has an empty one."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file for file in found}
    if ending_of(path.name) == OPENVINO:
        return {OPENVINO: path, WEIGHTS: path.with_suffix(WEIGHTS)}
    if beside:
        return {ONNX: path, **{name: path.parent / name for name in beside}}
    return {"": path}
