"""Models on their way to and from an orchestrator: what a client does with files.

A transfer that breaks off goes on where it ended, for as long as something new comes now and then. What it knows of
the connection is `Connection` alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import aiohttp

from daemons.core.errors import Conflict, InvalidInput, OrchestratorUnavailable, Unavailable, WrongHash
from daemons.core.urls import check_model_name, is_sha256

Document = dict[str, Any]
T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Told how many bytes are over, of how many."""

CHUNK_BYTES: Final = 2**18
PATIENCE_S: Final = 60.0
"""A transfer is given up when nothing new has come or gone for so long."""
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 10.0
STALL_S: Final = 30.0
CONCLUDING_S: Final = 600.0
"""The server may take so long to have a large model on disk."""


class Connection(Protocol):
    """What a client does for a transfer."""

    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
        answer_in_s: float = STALL_S,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """An answer whose body is read bit by bit; raises what the server refuses with."""

    async def upload_state(self, name: str, size_bytes: int, sha256: str) -> Document:
        """How far an upload is, and whether there is room for the rest."""


async def upload(connection: Connection, path: Path, name: str | None, on_progress: Progress) -> Document:
    """Send the file as the model `name`: its view as it is then. Raises OSError if the file can't be read."""
    name = check_model_name(path.name if name is None else name)
    with await asyncio.to_thread(path.open, "rb") as file:
        found = await asyncio.to_thread(_measure, file.fileno())
        if found.size_bytes == 0:
            raise InvalidInput(f"{path} is empty; a model has bytes")
        sending = Upload(connection, file.fileno(), found, name, on_progress)
        return await _persistently(sending.go_on, lambda: sending.sent_bytes)


class Measured(NamedTuple):
    """What a file was when it was read."""

    size_bytes: int
    sha256: str
    changed_at_ns: int


def _measure(descriptor: int) -> Measured:
    digest, size, found = hashlib.sha256(), 0, os.fstat(descriptor)
    while chunk := os.pread(descriptor, 2**20, size):
        digest.update(chunk)
        size += len(chunk)
    return Measured(size, digest.hexdigest(), found.st_mtime_ns)


class Upload:
    """One file on its way to the orchestrator."""

    def __init__(
        self, connection: Connection, descriptor: int, measured: Measured, name: str, on_progress: Progress
    ) -> None:
        self._connection = connection
        self._descriptor = descriptor
        self._measured = measured
        self._size_bytes, self._sha256 = measured.size_bytes, measured.sha256
        self._name = name
        self._on_progress = on_progress
        self._patience: asyncio.Timeout = asyncio.timeout(None)
        self.sent_bytes = 0
        """The most that was sent at any time."""

    async def go_on(self) -> Document:
        """Send what the server doesn't have."""
        found = os.fstat(self._descriptor)
        if (found.st_size, found.st_mtime_ns) != (self._size_bytes, self._measured.changed_at_ns):
            raise InvalidInput(f"the file of {self._name} was changed while it was being sent; send it again")
        state = await self._connection.upload_state(self._name, self._size_bytes, self._sha256)
        if state["is_kept"]:
            return await self._put({}, b"")
        offset = state["offset"] if self._is_of_this_file(state) else 0
        if offset == 0:
            return await self._put({}, self._bytes_from(0))
        try:
            return await self._rest_from(offset)
        except WrongHash:  # what was there was of another file that didn't say so
            return await self._put({}, self._bytes_from(0))

    def _is_of_this_file(self, state: Document) -> bool:
        """Whether what the server has may be the beginning of this file. The hash of the whole decides in the end."""
        wanted = {"sha256": self._sha256, "total_bytes": self._size_bytes}
        return state["offset"] <= self._size_bytes and all(state[key] in (None, value) for key, value in wanted.items())

    async def _rest_from(self, offset: int) -> Document:
        if offset == self._size_bytes:
            return await self._put({"Content-Range": f"bytes */{offset}"}, b"")
        span = f"bytes {offset}-{self._size_bytes - 1}/{self._size_bytes}"
        return await self._put({"Content-Range": span}, self._bytes_from(offset), offset)

    async def _put(self, headers: dict[str, str], data: AsyncIterator[bytes] | bytes, offset: int = 0) -> Document:
        length = len(data) if isinstance(data, bytes) else self._size_bytes - offset
        described = {
            "Content-Length": str(length),
            "Content-Type": "application/octet-stream",
            "X-Content-SHA256": self._sha256,
        }
        try:
            async with asyncio.timeout(CONCLUDING_S) as self._patience:
                async with self._connection.stream(
                    "PUT", f"models/{self._name}", headers=described | headers, data=data, answer_in_s=CONCLUDING_S
                ) as answer:
                    document: Document = await answer.json(content_type=None)
        except TimeoutError as error:
            raise OrchestratorUnavailable(f"the orchestrator took nothing for {STALL_S:g} s") from error
        self._on_progress(self._size_bytes, self._size_bytes)
        return document

    async def _bytes_from(self, offset: int) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        while offset < self._size_bytes:
            chunk = await asyncio.to_thread(os.pread, self._descriptor, CHUNK_BYTES, offset)
            if not chunk:
                raise OSError("the file has become shorter")
            self._patience.reschedule(clock() + STALL_S)
            yield chunk
            offset += len(chunk)
            self.sent_bytes = max(self.sent_bytes, offset)
            self._on_progress(offset, self._size_bytes)
        self._patience.reschedule(clock() + CONCLUDING_S)


async def download(connection: Connection, name: str, target: Path, on_progress: Progress) -> None:
    """Have the model `name` in the file `target`, whole and of the right hash, or leave what is there alone."""
    await _download(connection, check_model_name(name), target, on_progress)


async def download_by_sha256(connection: Connection, sha256: str, target: Path, on_progress: Progress) -> None:
    """Have the bytes of that hash in the file `target`, whole, or leave what is there alone."""
    if not is_sha256(sha256.lower()):
        raise InvalidInput(f"a SHA-256 is 64 hexadecimal digits, and not {sha256[:80]!r}")
    await _download(connection, f"sha256/{sha256.lower()}", target, on_progress)


async def _download(connection: Connection, path: str, target: Path, on_progress: Progress) -> None:
    draft = target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}.part")
    fetching = Download(connection, path, draft, on_progress)
    try:
        await _persistently(fetching.go_on, lambda: fetching.came_bytes)
        draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


class Download:
    """One model on its way from the orchestrator into the file `draft`."""

    def __init__(self, connection: Connection, path: str, draft: Path, on_progress: Progress) -> None:
        self._connection = connection
        self._path = path
        self._draft = draft
        self._on_progress = on_progress
        self._tag = ""
        self._digest = hashlib.sha256()
        self.came_bytes = 0

    async def go_on(self) -> None:
        """Fetch what isn't here. If the name means other bytes by now, all of them."""
        headers = {"Range": f"bytes={self.came_bytes}-", "If-Range": self._tag} if self.came_bytes else {}
        async with self._connection.stream("GET", f"models/{self._path}", headers=headers) as answer:
            if answer.status != 206:
                self.came_bytes, self._digest = 0, hashlib.sha256()
            self._tag = answer.headers.get("ETag", "")
            total = self.came_bytes + (answer.content_length or 0)
            with await asyncio.to_thread(self._draft.open, "r+b" if self.came_bytes else "wb") as file:
                await asyncio.to_thread(file.seek, self.came_bytes)
                async for chunk in chunks_of(answer):
                    await asyncio.to_thread(file.write, chunk)
                    self._digest.update(chunk)
                    self.came_bytes += len(chunk)
                    self._on_progress(self.came_bytes, total)
        if self._tag.strip('"') != self._digest.hexdigest():
            raise WrongHash(f"the bytes of {self._path} that came are not those of its SHA-256, {self._tag}")


async def chunks_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes; OrchestratorUnavailable if it breaks off."""
    try:
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            yield chunk
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise OrchestratorUnavailable(f"the orchestrator's answer broke off ({type(error).__name__})") from error


async def _persistently(attempt: Callable[[], Awaitable[T]], progress: Callable[[], int]) -> T:
    """What `attempt` returns, tried again until `progress` has not changed for `PATIENCE_S`."""
    clock = asyncio.get_running_loop().time
    reached, since_s, delay_s = progress(), clock(), FIRST_DELAY_S
    while True:
        try:
            return await attempt()
        except (Unavailable, Conflict) as error:
            if progress() > reached:
                reached, since_s, delay_s = progress(), clock(), FIRST_DELAY_S
            wait_s = max(delay_s, getattr(error, "retry_after_s", 0.0)) if _is_busy(error) else delay_s
            if clock() + wait_s > since_s + PATIENCE_S:
                raise
        await asyncio.sleep(wait_s)
        delay_s = min(LONGEST_DELAY_S, delay_s * 2)


def _is_busy(error: Exception) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, OrchestratorUnavailable)
