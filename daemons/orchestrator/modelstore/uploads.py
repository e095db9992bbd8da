"""Uploads that are under way: for each name one file that grows, until it is whole or nobody goes on with it for a day.

A file that broke off stays as it is and is continued later, perhaps through another orchestrator and after a power
cut. What it then really holds is known by its hash alone, so whoever continues one says the hash of the whole.
Everything here blocks.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from daemons.core.errors import Conflict
from daemons.orchestrator.modelstore.folder import UPLOADS, ModelFolder, as_file_name
from daemons.runtime.background import Stop
from daemons.runtime.files import write_atomically

KEPT_FOR_S: Final = 24 * 3600.0
HASHED_AT_ONCE: Final = 2**20


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a request brings: the bytes from `start` to before `end` of a model of `total_bytes`, as far as it says."""

    name: str
    start: int = 0
    end: int | None = None
    total_bytes: int | None = None
    sha256: str | None = None
    """Of the whole."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an upload beside its bytes."""

    name: str
    began_at: str
    total_bytes: int | None = None
    sha256: str | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far an upload is."""

    begun: Begun
    offset: int
    """How many bytes are here."""


class WrongOffset(Conflict):
    """The bytes that were sent don't go on where those that are here end."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.offset = offset


class Upload:
    """An upload while one request adds to it: nobody else does meanwhile."""

    def __init__(self, path: Path, descriptor: int, begun: Begun) -> None:
        self.path = path
        self.begun = begun
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        self._descriptor = descriptor
        self._is_placed = False

    @property
    def sha256(self) -> str:
        """The hash of all that is here."""
        return self._digest.hexdigest()

    def catch_up(self, size_bytes: int, stop: Stop) -> None:
        """Hash what is here already, after which more can follow."""
        os.ftruncate(self._descriptor, size_bytes)
        while self.size_bytes < size_bytes:
            stop.look()
            self._count(os.pread(self._descriptor, HASHED_AT_ONCE, self.size_bytes))

    def append(self, chunk: bytes) -> None:
        """Write and hash the next bytes; OSError if the disk won't take them."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.pwrite(self._descriptor, rest, self.size_bytes + len(chunk) - len(rest)) :]
        self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def sync(self) -> None:
        """Have all of it on disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Leave it to others. What is here can be continued."""
        os.close(self._descriptor)

    def place(self, folder: ModelFolder) -> None:
        """Give what is whole and on disk its place among the contents."""
        self._drop_record()
        folder.take_in(self.path, self.sha256)
        self._is_placed = True

    def discard(self) -> None:
        """Remove it, unless it has its place by now."""
        if not self._is_placed:
            self._drop_record()
            self.path.unlink(missing_ok=True)

    def _drop_record(self) -> None:
        """First of all: once the file is gone from its path, whatever is found there is somebody else's."""
        _record_of(self.path).unlink(missing_ok=True)


class Uploads:
    """All uploads of a folder."""

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder.root / UPLOADS

    def state(self, name: str) -> State | None:
        """How far the upload of this name is; None if there is none."""
        path = self._path(name)
        begun = _read(_record_of(path))
        size = _size(path)
        return None if begun is None or size is None else State(begun=begun, offset=size)

    def open(self, order: Order, stop: Stop) -> Upload:
        """The upload that the order begins or continues, for this caller alone.

        Raises Conflict while another request adds to it, and WrongOffset if it can't be continued so.
        """
        path = self._path(order.name)
        descriptor = _open_alone(path, order.name)
        try:
            return self._prepared(path, descriptor, order, stop)
        except BaseException:
            os.close(descriptor)
            raise

    def _prepared(self, path: Path, descriptor: int, order: Order, stop: Stop) -> Upload:
        if order.start == 0:
            os.ftruncate(descriptor, 0)
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            begun = Begun(name=order.name, began_at=now, total_bytes=order.total_bytes, sha256=order.sha256)
            write_atomically(_record_of(path), msgspec.json.encode(begun), mode=0o600)
            return Upload(path, descriptor, begun)
        known, size = _read(_record_of(path)), os.fstat(descriptor).st_size
        if known is None or size == 0:
            path.unlink(missing_ok=True)
            raise WrongOffset(f"there is no upload of {order.name} to be continued; send it from its first byte", 0)
        _check_goes_on(known, size, order)
        upload = Upload(path, descriptor, msgspec.structs.replace(known, sha256=order.sha256))
        upload.catch_up(size, stop)
        return upload

    def remove_stale(self, older_than_s: float = KEPT_FOR_S) -> int:
        """Remove what nobody has gone on with for so long; how many bytes that frees."""
        freed, before = 0, time.time() - older_than_s
        for path in list(self._folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                if found.st_mtime < before and not _is_in_use(path):
                    path.unlink()
                    freed += found.st_size
        return freed

    def size_bytes(self) -> int:
        """How much lies here."""
        return sum(_size(path) or 0 for path in self._folder.glob("*.part"))

    def _path(self, name: str) -> Path:
        return self._folder / f"{as_file_name(name)}.part"


def _check_goes_on(begun: Begun, size: int, order: Order) -> None:
    if size != order.start:
        raise WrongOffset(
            f"{size:,} bytes of {order.name} are here, and those sent begin at {order.start:,}: send the rest with "
            f"'Content-Range: bytes {size}-…/…', or all of it without Content-Range",
            size,
        )
    known = {begun.total_bytes, order.total_bytes} - {None}
    hashes = {begun.sha256, order.sha256} - {None}
    if len(known) > 1 or len(hashes) > 1:
        raise WrongOffset(
            f"the upload of {order.name} that broke off was of another file; send all of this one, without "
            "Content-Range",
            0,
        )


def _record_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(record: Path) -> Begun | None:
    try:
        return msgspec.json.decode(record.read_bytes(), type=Begun)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _open_alone(path: Path, name: str) -> int:
    """A descriptor of the file under this path that nobody else has; Conflict if somebody has one."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise Conflict(
                f"an upload of {name} is under way; wait for its end, or until it was silent for half a minute"
            ) from error
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # it was moved to its place, or removed, before it was ours


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)


def _is_in_use(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
