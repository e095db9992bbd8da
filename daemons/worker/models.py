"""The models that lie on this device: files named by the SHA-256 of their bytes, and which URL led to which of them.

A file under its final name is whole: it was hashed while it came, synced, and renamed after the last byte. Every
fetch asks the URL's server again, so that a changed model is noticed; an unchanged one is not sent twice where the
server knows entity tags or dates.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import uuid
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemons.runtime.files import write_atomically
from daemons.runtime.locks import FileLock
from daemons.worker.download import (
    Advance,
    Fetched,
    Limits,
    NotFetched,
    Unreachable,
    Validators,
    download,
    file_name,
    shown_url,
)

log = structlog.get_logger(__name__)

RETRY_WINDOW_S: Final = 10.0
FIRST_DELAY_S: Final = 0.5
MAX_INDEXED: Final = 1000
PARTIAL: Final = "partial-"
_ZIP_MAGIC: Final = b"PK\x03\x04"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A whole model on this device."""

    path: Path
    file_name: str
    sha256: str
    size_bytes: int


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL led to when it was asked last."""

    sha256: str
    size_bytes: int
    validators: Validators = Validators()


class ModelCache:
    """The folder of models. Its lock makes one fetch at a time of all processes that share it.

    `limit_bytes` bounds what lies there between two fetches: the least recently used go, never the one in use.
    """

    def __init__(
        self, folder: Path, limits: Limits, *, limit_bytes: int, retry_window_s: float = RETRY_WINDOW_S
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._limit_bytes = limit_bytes
        self._retry_window_s = retry_window_s
        self._index_file = folder / "index.json"

    async def fetch(self, url: str, pinned_sha256: str | None, advance: Advance) -> Model:
        """The model at `url`, whole and on this device's disk.

        Raises NotFetched with a remark when it can't be had, or when its bytes are not those that the campaign's other
        devices have measured (`pinned_sha256`). What may pass is tried again for about ten seconds.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with FileLock(self._folder / "lock").held():
            self._remove_partials()
            known = await self._current(url, pinned_sha256, advance)
            path = self._folder / known.sha256
            os.utime(path)
            self._evict(self._limit_bytes, keep=path)
        _check_pin(url, known.sha256, pinned_sha256)
        _refuse_archive(path)
        return Model(path=path, file_name=file_name(url), sha256=known.sha256, size_bytes=known.size_bytes)

    async def _current(self, url: str, pinned: str | None, advance: Advance) -> Known:
        """What `url` leads to now. When it is away, the very bytes that the campaign is about do as well."""
        known = self._lookup(url)
        have_pinned = known is not None and known.sha256 == pinned
        try:
            got = await self._persistently(url, known, advance, 0.0 if have_pinned else self._retry_window_s)
        except Unreachable as error:
            if known is None or not have_pinned:
                raise
            log.warning("model's server was away, its cached bytes are used", url=shown_url(url), error=str(error))
            return known
        self._remember(url, got)
        return got

    async def _persistently(self, url: str, known: Known | None, advance: Advance, window_s: float) -> Known:
        clock = asyncio.get_running_loop().time
        delay_s, failed_at, tries = FIRST_DELAY_S, None, 0
        while True:
            try:
                return await self._once(url, known, advance)
            except Unreachable as error:
                failed_at, tries = clock() if failed_at is None else failed_at, tries + 1
                if clock() + delay_s > failed_at + window_s:
                    raise Unreachable(f"{error} (tried {tries} times)" if tries > 1 else str(error)) from error
            await asyncio.sleep(delay_s)
            delay_s *= 2

    async def _once(self, url: str, known: Known | None, advance: Advance) -> Known:
        partial = self._folder / f"{PARTIAL}{uuid.uuid4().hex}"
        try:
            got = await download(url, partial, self._limits, known.validators if known else Validators(), advance)
            return self._adopt(partial, got) if isinstance(got, Fetched) else _unchanged(url, known)
        except OSError as error:
            raise self._disk_trouble(error) from error
        finally:
            partial.unlink(missing_ok=True)

    def _adopt(self, partial: Path, fetched: Fetched) -> Known:
        partial.replace(self._folder / fetched.sha256)
        return Known(sha256=fetched.sha256, size_bytes=fetched.size_bytes, validators=fetched.validators)

    def _disk_trouble(self, error: OSError) -> NotFetched:
        """What to do about a disk that won't take the model: a full one is given another try without the old models."""
        if error.errno == errno.ENOSPC and self._evict(0):
            return Unreachable("the device's disk was full, and older models were removed from it")
        return NotFetched(f"the model can't be kept on this device: {error.strerror or error}")

    # Which URL led to which file

    def _lookup(self, url: str) -> Known | None:
        """What is known of `url`, if its file is here and whole."""
        known = self._index().get(_key(url))
        if known is None:
            return None
        path = self._folder / known.sha256
        return known if path.is_file() and path.stat().st_size == known.size_bytes else None

    def _remember(self, url: str, known: Known) -> None:
        index = self._index()
        index.pop(_key(url), None)
        index[_key(url)] = known
        write_atomically(self._index_file, msgspec.json.encode(dict(list(index.items())[-MAX_INDEXED:])), mode=0o600)

    def _index(self) -> dict[str, Known]:
        try:
            return msgspec.json.decode(self._index_file.read_bytes(), type=dict[str, Known])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            log.warning("index of models was unreadable and is made anew", error=str(error))
            return {}

    # What has to go

    def _models(self) -> list[Path]:
        """The whole models here, the least recently used first."""
        found = [path for path in self._folder.iterdir() if len(path.name) == 64 and path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def _evict(self, limit_bytes: int, keep: Path | None = None) -> int:
        """Remove models until `limit_bytes` are left. Returns how many went."""
        models = self._models()
        total, count = sum(path.stat().st_size for path in models), 0
        for path in models:
            if total <= limit_bytes:
                break
            if path != keep:
                total, count = total - path.stat().st_size, count + 1
                path.unlink()
                log.info("model evicted", sha256=path.name)
        return count

    def _remove_partials(self) -> None:
        for path in self._folder.glob(f"{PARTIAL}*"):
            path.unlink(missing_ok=True)


def _key(url: str) -> str:
    """A URL's entry in the index, where a password in it can't be read."""
    return hashlib.sha256(url.encode()).hexdigest()


def _unchanged(url: str, known: Known | None) -> Known:
    if known is None:
        raise NotFetched(f"the model's server answers HTTP 304 for {shown_url(url)}, which it was not asked for")
    return known


def _check_pin(url: str, found: str, pinned: str | None) -> None:
    if pinned is not None and found != pinned:
        raise NotFetched(
            f"the model at {shown_url(url)} has changed: its SHA-256 is {found}, and this campaign is about {pinned}"
        )


def _refuse_archive(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC:
            raise NotFetched("the model is a zip archive, and this version measures models of a single file only")
