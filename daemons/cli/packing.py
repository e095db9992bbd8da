"""Models of more than one file, packed as they travel: a zip that is the same for the same files, byte for byte."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from daemons.worker.kinds import CORE_ML_FOLDERS, OPENVINO, WEIGHTS, ending_of

SINCE: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: a copy of a model is the same model."""
CHUNK_BYTES: Final = 2**20


def why_no_model(path: Path) -> str | None:
    """Why what is there can't be sent as a model; None if it can."""
    if path.is_dir():
        return (
            None if _is_package(path) else f"{path} is a folder; zip it (zip -r model.zip {path.name}), or name a file"
        )
    if not os.access(path, os.R_OK):
        return f"{path} can't be read by this user"
    if path.stat().st_size == 0:
        return f"{path} is empty; a model has bytes"
    if ending_of(path.name) == OPENVINO and not path.with_suffix(WEIGHTS).is_file():
        return f"beside {path} there is no {path.with_suffix(WEIGHTS).name}, which holds its weights"
    return None


@contextmanager
def as_one_file(path: Path) -> Iterator[Path]:
    """The model as a single file: itself, or a zip of it until the block ends. OSError if that can't be made."""
    if not path.is_dir() and ending_of(path.name) != OPENVINO:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="benchfleet-") as folder:
        packed = Path(folder) / f"{path.name}.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for name, file in sorted(_members(path)):
                with (
                    archive.open(zipfile.ZipInfo(name, SINCE), "w", force_zip64=True) as entry,
                    file.open("rb") as source,
                ):
                    shutil.copyfileobj(source, entry, CHUNK_BYTES)
        yield packed


def _members(path: Path) -> Iterator[tuple[str, Path]]:
    """Names in the archive, and the files that they stand for."""
    if path.is_dir():
        for file in path.rglob("*"):
            if file.is_file():
                yield f"{path.name}/{file.relative_to(path).as_posix()}", file
    else:
        yield path.name, path
        yield path.with_suffix(WEIGHTS).name, path.with_suffix(WEIGHTS)


def _is_package(path: Path) -> bool:
    return ending_of(path.name) in CORE_ML_FOLDERS
