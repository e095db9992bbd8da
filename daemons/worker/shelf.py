"""The folder in which fetched files lie whole, and the index of which request led to which of them.

``<sha256>`` is a model of one file, ``<sha256>.mlmodel`` one that Core ML knows by its ending alone, ``<sha256>.d`` an
unpacked archive, ``<sha256>.npz`` arrays for inputs. Whatever is under such a name is whole and was found harmless
before it got the name. Everything else that begins with
`TEMPORARY` is work in progress, or what a killed process left of it. Callers hold the folder's lock; nothing here
knows of networks.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemons.runtime.files import sync_folder, write_atomically
from daemons.transfer.partial import Validators

log = structlog.get_logger(__name__)

MAX_INDEXED: Final = 1000
TEMPORARY: Final = ("partial-", "unpacking-", "leaving-")

_ENTRY: Final = re.compile(r"[0-9a-f]{64}(\.d|\.npz|\.mlmodel)?")


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request led to when it was made last."""

    sha256: str
    size_bytes: int
    """Of the file as it came."""
    validators: Validators = Validators()
    suffix: str = ""
    """Of the entry's name: what kind of thing it is."""
    inside: str | None = None
    """Where the model's file or folder is in an unpacked archive."""
    unpacked: tuple[int, int] | None = None
    """How many files an archive held, and their bytes together."""

    @property
    def entry(self) -> str:
        """The name of what lies in the folder."""
        return self.sha256 + self.suffix


class Shelf:
    """The folder. It may not exist yet; `Shelf.make` sees to that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index_file = folder / "index.json"

    def make(self) -> None:
        """Make the folder, for its owner alone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def temporary(self, kind: str) -> Path:
        """A path of that kind of work in progress which nobody else uses."""
        return self.folder / f"{kind}{uuid.uuid4().hex}"

    def place(self, temporary: Path, known: Known) -> None:
        """Give what is whole its name. A folder replaces one of the same name whole, never file by file."""
        target = self.folder / known.entry
        if target.is_dir():
            self._remove(target)
        temporary.replace(target)
        sync_folder(self.folder)

    def path_of(self, known: Known) -> Path:
        """What was asked for: the entry, or the model's file or folder in it."""
        entry = self.folder / known.entry
        return entry if known.inside is None else entry / known.inside

    def folder_of(self, known: Known) -> Path | None:
        """The unpacked archive that the model lies in, if it came as one."""
        return None if known.inside is None else self.folder / known.entry

    def touch(self, known: Known) -> None:
        """Note that this entry was used now."""
        os.utime(self.folder / known.entry)

    def remove_leftovers(self, keep: Collection[Path] = ()) -> None:
        """Remove what unfinished work has left, other than `keep`."""
        for path in list(self.folder.iterdir()):
            if path.name.startswith(TEMPORARY) and path not in keep:
                _delete(path)

    # Which request led to what

    def lookup(self, key: str) -> Known | None:
        """What is known under `key`, if it lies here and is whole."""
        known = self._index().get(key)
        return known if known is not None and self._is_whole(known) else None

    def remember(self, key: str, known: Known) -> None:
        """Keep this for the next lookup of `key`."""
        index = self._index()
        index.pop(key, None)
        index[key] = known
        write_atomically(self._index_file, msgspec.json.encode(dict(list(index.items())[-MAX_INDEXED:])), mode=0o600)

    def _is_whole(self, known: Known) -> bool:
        entry = self.folder / known.entry
        try:
            if known.unpacked is None:
                return entry.is_file() and entry.stat().st_size == known.size_bytes
            return entry.is_dir() and measure(entry) == known.unpacked
        except OSError:
            return False

    def _index(self) -> dict[str, Known]:
        try:
            return msgspec.json.decode(self._index_file.read_bytes(), type=dict[str, Known])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            log.warning("index of models was unreadable and is made anew", error=str(error))
            return {}

    # What has to go

    def evict(self, limit_bytes: int, keep: Collection[Path] = ()) -> int:
        """Remove the least recently used entries until `limit_bytes` are left, but none that holds a path of `keep`.

        Returns how many went.
        """
        sizes = {path: _size_of(path) for path in self.entries()}
        kept = {path for path in sizes if any(wanted.is_relative_to(path) for wanted in keep)}
        total, count = sum(sizes.values()), 0
        for path, size in sizes.items():
            if total <= limit_bytes:
                break
            if path not in kept:
                total, count = total - size, count + 1
                self._remove(path)
                log.info("model evicted", entry=path.name)
        return count

    def entries(self) -> list[Path]:
        """What lies here whole, the least recently used first."""
        found = [path for path in self.folder.iterdir() if _ENTRY.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def size_bytes(self) -> int:
        """How much lies here whole."""
        return sum(map(_size_of, self.entries()))

    def _remove(self, path: Path) -> None:
        """Remove an entry. It loses its name first: half a folder must not be found under it."""
        leaving = self.temporary("leaving-")
        path.replace(leaving)
        _delete(leaving)


def measure(folder: Path) -> tuple[int, int]:
    """How many files are in a folder, and their bytes together. OSError if one is no plain file of its own."""
    count = total = 0
    for found in _files_in(folder):
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(f"a file in {folder.name} is a link, or linked elsewhere")
        count, total = count + 1, total + found.st_size
    return count, total


def _files_in(folder: Path) -> Iterator[os.stat_result]:
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    waiting.append(item.path)
                else:
                    yield item.stat(follow_symlinks=False)


def _size_of(entry: Path) -> int:
    if entry.is_dir() and not entry.is_symlink():
        return sum(found.st_size for found in _files_in(entry))
    return entry.lstat().st_size


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
