"""A file on its way here: the bytes that have come, their hash so far, and what lets the rest follow later.

It knows the headers that tell a server which bytes of which version are wanted (RFC 9110, sections 13 and 14), and
opens no connection.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import msgspec

STRONG_AFTER: Final = dt.timedelta(seconds=1)


class Validators(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a server said about the version of a file, to be asked with the next time (RFC 9110, section 13)."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """The conditional request's headers; none at all when nothing is known."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """What stands for these very bytes in an answer's headers, fit for If-Range; None if nothing does.

    A weak tag doesn't, nor does a date beside one, nor a date so young that a second version could bear it.
    """
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    if etag is not None:
        return None if etag.startswith("W/") else etag
    try:
        is_old = parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(modified or "") >= STRONG_AFTER
    except (KeyError, ValueError, TypeError):
        return None
    return modified if is_old else None


class Partial:
    """The first bytes of a file. The hash is kept with them, so that the rest can follow without reading them again.

    It lives no longer than its process: after a power cut nobody could tell what such a file really holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self.total_bytes: int | None = None
        self.version = Validators()
        self._if_range: str | None = None
        self._digest = hashlib.sha256()
        self._file: int | None = None

    @property
    def sha256(self) -> str:
        """The hash of all that has come."""
        return self._digest.hexdigest()

    @property
    def can_go_on(self) -> bool:
        """Whether a server can be asked for the rest."""
        return self.size_bytes > 0 and self._if_range is not None

    def headers(self) -> dict[str, str]:
        """What asks for the rest of this very version, and for the whole of any other; empty when there is no rest."""
        if not self.can_go_on or self._if_range is None:
            return {}
        return {"Range": f"bytes={self.size_bytes}-", "If-Range": self._if_range}

    def begin(self, version: Validators, if_range: str | None, total_bytes: int | None) -> None:
        """Forget what has come: the first byte of this version is next."""
        self.size_bytes, self.total_bytes = 0, total_bytes
        self.version, self._if_range = version, if_range
        self._digest = hashlib.sha256()

    def goes_on(self, headers: Mapping[str, str]) -> bool:
        """Whether the answer with these headers begins where this ends, and is of the same version."""
        unit, _, span = headers.get("Content-Range", "").partition(" ")
        place, _, total = span.partition("/")
        if unit.lower() != "bytes" or place.partition("-")[0] != str(self.size_bytes):
            return False
        if "Content-Encoding" in headers or not self._is_of(headers):
            return False
        known, self.total_bytes = self.total_bytes, int(total) if re.fullmatch(r"\d{1,18}", total) else self.total_bytes
        return known in (None, self.total_bytes)

    def _is_of(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer's validators, which it may leave out, are those that the first bytes came with."""
        version = self.version
        if version.etag is not None:
            return headers.get("ETag", version.etag) == version.etag
        return headers.get("Last-Modified", version.last_modified) == version.last_modified

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Take further bytes inside this block. What a failed write left beyond the counted ones is cut off first."""
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(self._file, self.size_bytes)
            yield
        finally:
            descriptor, self._file = self._file, None
            os.close(descriptor)

    def append(self, chunk: bytes) -> None:
        """Write and hash the next bytes; OSError, with the counted bytes unharmed, if the disk won't take them."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.pwrite(self._opened(), rest, self.size_bytes + len(chunk) - len(rest)) :]
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def sync(self) -> None:
        """Have all of it on disk."""
        os.fsync(self._opened())

    def is_intact(self) -> bool:
        """Whether the counted bytes still lie there."""
        try:
            return self.path.stat().st_size >= self.size_bytes
        except OSError:
            return False

    def remove(self) -> None:
        """Give the bytes up, and their place on the disk."""
        self.path.unlink(missing_ok=True)
        self.begin(Validators(), None, None)

    def _opened(self) -> int:
        if self._file is None:
            raise ValueError("bytes are taken inside `open` only")
        return self._file
