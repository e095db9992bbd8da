"""The models that are kept: found, named, read, removed; and room made for more of them.

Whatever blocks is done in threads of its own. What unfinished campaigns need is asked of the store while nobody else
may change the folder, and a campaign that is about to need something shares the folder's lock until it is recorded.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import structlog

from daemons.core.errors import Conflict, NotFound, PreconditionFailed
from daemons.core.settings import KeptModelSettings
from daemons.core.urls import KeptModel
from daemons.orchestrator.modelstore.folder import Content, ModelFolder
from daemons.orchestrator.modelstore.names import Named, Names, Version
from daemons.orchestrator.modelstore.pulled import Pulled
from daemons.orchestrator.modelstore.room import GB, Promise, Room
from daemons.orchestrator.modelstore.uploads import Upload, Uploads
from daemons.runtime.background import Stop, in_thread
from daemons.store import Store

log = structlog.get_logger(__name__)

T = TypeVar("T")

THREADS: Final = 4
STEP_BYTES: Final = 64 * 2**20
"""So much is promised at a time where a transfer doesn't say how long it will be."""


class Conditions(NamedTuple):
    """On what condition a request that changes a name is meant (RFC 9110, section 13)."""

    must_be_new: bool = False
    must_be_there: bool = False
    one_of: frozenset[str] | None = None
    """Hashes, to one of which it points; `none_of` are some to which it doesn't."""
    none_of: frozenset[str] = frozenset()

    def check(self, name: str, named: Named | None) -> None:
        """PreconditionFailed, if they don't hold."""
        if named is None:
            if self.must_be_there:
                raise PreconditionFailed(f"there is no model {name}, and If-Match wants one")
            return
        digest = named.newest.sha256
        if self.must_be_new or digest in self.none_of:
            raise PreconditionFailed(
                f"there is a model {name} already, of SHA-256 {digest}, and If-None-Match forbids to replace it"
            )
        if self.one_of is not None and digest not in self.one_of:
            raise PreconditionFailed(f"the model {name} is not the one that If-Match names: its SHA-256 is {digest}")


ALWAYS: Final = Conditions()


class Opened(NamedTuple):
    """A content that can be read, whatever happens to its name. Whoever opened it closes the descriptor."""

    descriptor: int
    sha256: str
    size_bytes: int


class Found(NamedTuple):
    """What a ``model:`` URL leads to."""

    sha256: str
    size_bytes: int
    name: str | None


class Removed(NamedTuple):
    """What the removal of a name has freed."""

    freed_bytes: int
    kept: int
    """Contents that unfinished campaigns or other names still need."""


class ModelStore:
    """The folder of models at `root`, and what the fleet's campaigns need of it."""

    def __init__(self, root: Path, settings: KeptModelSettings, store: Store) -> None:
        self.folder = ModelFolder(root)
        self.folder.make()
        self.names = Names(self.folder)
        self.uploads = Uploads(self.folder)
        self.pulled = Pulled(self.folder)
        self.room = Room(root, int(settings.limit_gb * GB), int(settings.store_limit_gb * GB))
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, "models")

    async def in_thread(self, work: Callable[[Stop], T]) -> T:
        """What `work` returns or raises, from a thread of ours."""
        return await in_thread(work, self._threads)

    # Looking

    async def all(self) -> list[Named]:
        """Every name, in order."""
        return await self.in_thread(lambda _stop: self.names.all())

    async def named(self, name: str) -> Named | None:
        """What is known of a name."""
        return await self.in_thread(lambda _stop: self.names.get(name))

    async def get(self, name: str) -> Named:
        """What is known of a name, or NotFound with those that may have been meant."""
        named = await self.named(name)
        if named is None:
            raise NotFound(await self._unknown(name))
        return named

    async def find(self, kept: KeptModel) -> Found:
        """What a URL leads to now, which counts as using it; or NotFound."""
        digest = kept.sha256 or (await self.get(str(kept.name))).newest.sha256
        return await self.in_thread(lambda _stop: self._find(digest, kept.name))

    def _find(self, digest: str, name: str | None) -> Found:
        content = self.folder.content(digest)
        if content is None:
            raise NotFound(f"no model of SHA-256 {digest} is kept here (any more); upload it again")
        self.folder.touch(digest)
        return Found(digest, content.size_bytes, name or self.names.name_of(digest))

    async def open(self, sha256: str) -> Opened:
        """A content, to be read; it counts as used. NotFound if it isn't kept."""
        return await self.in_thread(lambda _stop: self._open(sha256))

    def _open(self, sha256: str) -> Opened:
        try:
            descriptor = os.open(self.folder.path_of(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise NotFound(f"no model of SHA-256 {sha256} is kept here (any more)") from error
        os.utime(descriptor)
        return Opened(descriptor, sha256, os.fstat(descriptor).st_size)

    async def used_bytes(self) -> int:
        """What all that lies here takes."""
        return await self.in_thread(lambda _stop: self._used_bytes())

    def _used_bytes(self) -> int:
        return sum(content.size_bytes for content in self.folder.contents()) + self.uploads.size_bytes()

    async def _unknown(self, name: str) -> str:
        near = await self.in_thread(lambda _stop: self.names.near(name))
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return f"there is no model {name[:200]!r}; {hint}GET /api/models lists them"

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """A block in which nothing is removed: what is found here in it can be written down as needed."""
        async with self.folder.lock.shared():
            yield

    # Changing

    async def publish(self, upload: Upload, name: str, conditions: Conditions) -> tuple[Named, bool]:
        """Give what was uploaded its place and its name: what the name is now, and whether that is new."""
        await self.in_thread(lambda _stop: upload.sync())
        async with self.folder.lock.held():
            return await self.in_thread(lambda _stop: self._publish(upload, name, conditions))

    def _publish(self, upload: Upload, name: str, conditions: Conditions) -> tuple[Named, bool]:
        conditions.check(name, self.names.get(name))
        upload.place(self.folder)
        return self._point(name, upload.sha256, upload.size_bytes)

    async def name_content(self, sha256: str, name: str, conditions: Conditions) -> tuple[Named, bool]:
        """Have a name point to what is kept already; NotFound if it isn't. Returns what `publish` does."""
        async with self.folder.lock.held():
            return await self.in_thread(lambda _stop: self._name_content(sha256, name, conditions))

    def _name_content(self, sha256: str, name: str, conditions: Conditions) -> tuple[Named, bool]:
        conditions.check(name, self.names.get(name))
        content = self.folder.content(sha256)
        if content is None:
            raise NotFound(f"no model of SHA-256 {sha256} is kept here; send its bytes")
        return self._point(name, sha256, content.size_bytes)

    def _point(self, name: str, sha256: str, size_bytes: int) -> tuple[Named, bool]:
        named = self.names.get(name)
        if named is not None and named.newest.sha256 == sha256:
            return named, False
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        version = Version(sha256=sha256, size_bytes=size_bytes, uploaded_at=now)
        named = (named or Named(name=name, versions=[])).with_newest(version)
        self.names.put(named)
        log.info("model named", model=name, sha256=sha256, size_bytes=size_bytes)
        return named, True

    async def remove(self, name: str, conditions: Conditions = ALWAYS) -> Removed:
        """Forget a name and remove what nobody else needs of it.

        Raises NotFound, PreconditionFailed, Conflict while an unfinished campaign needs what it points to, or
        StoreUnavailable if that can't be known.
        """
        async with self.folder.lock.held():
            named = await self.get(name)
            conditions.check(name, named)
            needed = await self._store.models.in_use()
            return await self.in_thread(lambda _stop: self._remove(named, needed))

    def _remove(self, named: Named, needed: dict[str, str]) -> Removed:
        pointed_to = self.names.pointed_to(but=named.name)
        newest = named.newest.sha256
        if newest in needed and newest not in pointed_to:
            raise Conflict(
                f"{needed[newest]} needs the model {named.name} and has not ended; wait for its end, or cancel it"
            )
        self.names.remove(named.name)
        freed = kept = 0
        for version in named.versions:
            content = self.folder.content(version.sha256)
            if content is None:
                continue
            if version.sha256 in needed or version.sha256 in pointed_to:
                kept += 1
            else:
                self.folder.remove(version.sha256)
                freed += content.size_bytes
        log.info("model removed", model=named.name, freed_bytes=freed)
        return Removed(freed, kept)

    # Making room

    async def check_room(self, size_bytes: int) -> None:
        """NoRoom, if so many bytes would not fit, not even once what nobody needs is gone."""
        stored = await self.used_bytes()
        missing = self.room.missing(size_bytes, stored)
        if missing > 0:
            needed = await self._store.models.in_use()
            unneeded = await self.in_thread(lambda _stop: self._unneeded(needed))
            if sum(content.size_bytes for content in unneeded) < missing:
                raise self.room.refusal(size_bytes, stored)

    async def cover(self, promise: Promise, size_bytes: int) -> None:
        """Have room for so many bytes of one transfer in all, or NoRoom. What nobody needs has to go, if need be."""
        more = size_bytes - promise.promised_bytes
        if more <= 0:
            return
        ahead = max(more, min(STEP_BYTES, promise.promised_bytes))
        stored = await self.used_bytes()
        if self.room.missing(ahead, stored) == 0:
            promise.promised_bytes += ahead
            return
        if not await self._evict(lambda: self.room.missing(more, self._used_bytes())):
            raise self.room.refusal(more, stored)
        promise.promised_bytes += more

    async def tidy(self) -> None:
        """Remove uploads that nobody goes on with, and what is beyond the limit. Raises StoreUnavailable, OSError."""
        await self.in_thread(lambda _stop: self.uploads.remove_stale())
        if await self.used_bytes() > self.room.store_limit_bytes:
            await self._evict(lambda: self._used_bytes() - self.room.store_limit_bytes, as_far_as_possible=True)
        await self.in_thread(lambda _stop: self.pulled.remove_stale())

    async def _evict(self, missing: Callable[[], int], *, as_far_as_possible: bool = False) -> bool:
        """Remove the least recently used of what nobody needs; False, and nothing is removed, if that isn't enough.

        `missing` tells how much has to go: it is asked when nobody else can be removing any more.
        """
        async with self.folder.lock.held():
            size_bytes = await self.in_thread(lambda _stop: missing())
            if size_bytes <= 0:
                return True
            needed = await self._store.models.in_use()
            unneeded = await self.in_thread(lambda _stop: self._unneeded(needed))
            is_enough = sum(content.size_bytes for content in unneeded) >= size_bytes
            if is_enough or as_far_as_possible:
                await self.in_thread(lambda _stop: self._remove_contents(unneeded, size_bytes))
            return is_enough

    def _unneeded(self, needed: dict[str, str]) -> list[Content]:
        """Contents that no name points to and no unfinished campaign needs, the least recently used first."""
        pointed_to = self.names.pointed_to()
        return [
            content
            for content in self.folder.contents()
            if content.sha256 not in pointed_to and content.sha256 not in needed
        ]

    def _remove_contents(self, contents: list[Content], size_bytes: int) -> None:
        freed = 0
        for content in contents:
            if freed >= size_bytes:
                return
            self.folder.remove(content.sha256)
            freed += content.size_bytes
            log.info("model evicted", sha256=content.sha256, size_bytes=content.size_bytes)
