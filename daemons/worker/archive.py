"""Zip archives of models: unpacked whole and within limits, or refused with the reason and nothing left on disk.

Nothing in an archive is believed: what it says of its sizes is only a reason to refuse early, and every byte is
counted as it comes out. Names that would have to be repaired are refused. Only zip is read, never tar.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from io import BufferedReader, FileIO
from pathlib import Path
from typing import IO, Final

from daemons.runtime.background import Stop

MAX_ENTRIES: Final = 10_000
MAX_RATIO: Final = 200
"""Unpacked bytes for each packed one. Weights rarely reach 2, sparse ones 20; deflate's most is 1,032."""

RATIO_FROM_BYTES: Final = 16 * 2**20
"""Less than this does no harm, however well it was packed."""

MAX_DIRECTORY_BYTES: Final = 4 * 2**20
MAX_NAME_BYTES: Final = 1000
MAX_PART_BYTES: Final = 255
MAX_LISTED: Final = 10
CHUNK_BYTES: Final = 2**20

_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1 | 0x40
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError
)  # fmt: skip
"""What zipfile raises for archives that contradict themselves. RuntimeError: an encrypted entry that didn't say so."""


class ArchiveRefused(Exception):
    """The archive is not unpacked, or its files are not one model. The text says why."""


def is_zip(path: Path) -> bool:
    """Whether the file begins as zip archives do."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


def unpack(archive: Path, folder: Path, *, max_bytes: int, stop: Stop) -> list[str]:
    """Unpack `archive` into the new folder `folder`, each file synced. Returns the files' names, ``/`` between parts.

    Raises ArchiveRefused, OSError if the disk won't take it, or Stopped; then `folder` is not there.
    """
    folder.mkdir(mode=0o700)
    try:
        with _Bounded(FileIO(archive)) as file:
            return _unpack(file, folder, _Meter(max_bytes, archive.stat().st_size), stop)
    except _DAMAGED as error:
        shutil.rmtree(folder)
        raise ArchiveRefused(f"the zip archive is damaged, or no zip archive: {error}") from error
    except BaseException:
        shutil.rmtree(folder)
        raise


def _unpack(file: _Bounded, folder: Path, meter: _Meter, stop: Stop) -> list[str]:
    with zipfile.ZipFile(file) as opened:
        entries = opened.infolist()
        _check_entries(entries)
        meter.check(sum(entry.file_size for entry in entries))
        for entry in entries:
            stop.look()
            target = folder / entry.filename
            (target if entry.is_dir() else target.parent).mkdir(parents=True, exist_ok=True, mode=0o700)
            if not entry.is_dir():
                with opened.open(entry) as source:
                    _copy(source, target, meter, stop)
    return [entry.filename for entry in entries if not entry.is_dir()]


def _copy(source: IO[bytes], target: Path, meter: _Meter, stop: Stop) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a Path can't adopt a descriptor)
        while chunk := source.read(CHUNK_BYTES):
            stop.look()
            meter.count(len(chunk))
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


class _Meter:
    """Counts what comes out of an archive of `packed_bytes`, and refuses what is too much."""

    def __init__(self, max_bytes: int, packed_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._packed_bytes = max(packed_bytes, 1)
        self._counted = 0

    def count(self, size: int) -> None:
        self._counted += size
        self.check(self._counted)

    def check(self, unpacked_bytes: int) -> None:
        if unpacked_bytes > self._max_bytes:
            allowed_gb = self._max_bytes / 1e9
            raise ArchiveRefused(
                f"the archive unpacks to more than {allowed_gb:.3g} GB, this worker's limits.model_limit_gb"
            )
        if unpacked_bytes > RATIO_FROM_BYTES and unpacked_bytes > MAX_RATIO * self._packed_bytes:
            raise ArchiveRefused(
                f"the archive unpacks to more than {MAX_RATIO} times its own size, as those do that are meant to "
                "fill a disk; if it is meant well, pack it without compression"
            )


class _Bounded(BufferedReader):
    """A file of which no single read is large: zipfile would take a directory of any size into memory at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = os.fstat(self.fileno()).st_size - self.tell() if size is None or size < 0 else size
        if wanted > MAX_DIRECTORY_BYTES:
            raise ArchiveRefused(f"the archive's directory is larger than {MAX_DIRECTORY_BYTES:,} bytes")
        return super().read(wanted)


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise ArchiveRefused(f"the archive has {len(entries):,} entries, and {MAX_ENTRIES:,} are allowed")
    for entry in entries:
        problem = _objection(entry)
        if problem:
            raise ArchiveRefused(f"the archive's entry {_shown(entry.orig_filename)} is refused: {problem}")
    _check_clashes(entries)


def _objection(entry: zipfile.ZipInfo) -> str | None:
    """What is wrong with an entry by itself, None when nothing is."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if stat.S_ISLNK(kind):
        return "it is a symbolic link"
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        return "it is neither a regular file nor a folder"
    if entry.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    if entry.compress_type not in _METHODS:
        return "it is packed by another method than deflate"
    if entry.header_offset < 0 or (entry.is_dir() and entry.file_size):
        return "it contradicts itself"
    return _objection_to_name(entry.orig_filename)


def _objection_to_name(name: str) -> str | None:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/"):
        return "its name is absolute"
    if re.match("[A-Za-z]:", name):
        return "its name begins with a drive letter"
    if "\\" in name:
        return "its name has a backslash"
    if ".." in parts:
        return "its name leads out of the archive"
    if "" in parts or "." in parts:
        return "its name has an empty part or the part `.`"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        return "its name has control characters"
    if len(name.encode()) > MAX_NAME_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return "its name is too long"
    return None


def _check_clashes(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse names that meet on disk. Some file systems tell neither case nor ways of writing an accent apart."""
    taken: dict[str, bool] = {}
    for entry in entries:
        name = _folded(entry.filename.removesuffix("/"))
        if name in taken:
            raise ArchiveRefused(f"the archive has the name {_shown(entry.filename)} twice")
        taken[name] = entry.is_dir()
    for folder in _folders_above(taken):
        if taken.get(folder) is False:
            raise ArchiveRefused(f"the archive has {_shown(folder)} both as a file and as a folder")


def _folders_above(names: Iterable[str]) -> set[str]:
    """The folders that `names` are in: an archive need not have an entry for them, and they count as if it had."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
        if len(found) > MAX_ENTRIES:
            raise ArchiveRefused(f"the archive has more than {MAX_ENTRIES:,} folders")
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def listed(names: list[str]) -> str:
    """Names for people, the first of very many."""
    more = len(names) - MAX_LISTED
    return ", ".join(map(_shown, names[:MAX_LISTED])) + (f" and {more:,} more" if more > 0 else "")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 200 else f"{name[:200]}…")
