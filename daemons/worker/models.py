"""The models on this device, and files of inputs: fetched, judged, unpacked where they come as archives, and kept.

Every fetch asks the URL's server again, so that a changed model is noticed; an unchanged one is not sent twice where
the server knows entity tags or dates. A transfer that breaks off goes on where it ended, in the same attempt or in the
next one of this process. What is refused leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from daemons.core.errors import AlreadyRunning
from daemons.core.urls import model_file_name
from daemons.runtime.background import Stop, in_thread
from daemons.runtime.locks import FileLock
from daemons.transfer.credential import Credential
from daemons.transfer.download import (
    Advance,
    Fetched,
    Limits,
    NotFetched,
    NotKept,
    Source,
    Unreachable,
    download,
    shown_url,
)
from daemons.transfer.partial import Partial, Validators
from daemons.worker import archive, builtin, external_data, kinds
from daemons.worker.credentials import Credentials, unknown
from daemons.worker.shelf import Known, Shelf, measure

log = structlog.get_logger(__name__)

RETRY_WINDOW_S: Final = 10.0
FIRST_DELAY_S: Final = 0.5

_Kind = Literal["the model", "the inputs file"]
_MODEL: Final = "the model"
_INPUTS: Final = "the inputs file"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A whole model on this device."""

    path: Path
    """The file or the package's folder to load; what an archive held beside it lies beside it."""
    folder: Path | None = None
    """The unpacked archive, all of whose files belong to the model."""
    file_name: str
    """What it is called, as the URL says: an archive's name, if it came as one."""
    sha256: str
    """Of the bytes that came, as is `size_bytes`."""
    size_bytes: int


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to fetch."""

    source: Source
    key: str
    kind: _Kind
    pinned: str | None = None
    keep: tuple[Path, ...] = ()


class ModelCache:
    """The models of this device. A lock makes one fetch at a time of all processes that share the folder.

    `limit_bytes` bounds what lies there between two fetches: the least recently used go, never the one in use, and
    an unpacked archive as a whole.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        *,
        limit_bytes: int,
        credentials: Credentials | None = None,
        retry_window_s: float = RETRY_WINDOW_S,
    ) -> None:
        self._shelf = Shelf(folder)
        self._lock = FileLock(folder / "lock")
        self._limits = limits
        self._limit_bytes = limit_bytes
        self._credentials = credentials or Credentials()
        self._retry_window_s = retry_window_s
        self._broken: tuple[str, Partial] | None = None

    def clean_up(self) -> None:
        """Remove what a killed process left of unfinished work, unless another process is at work in the folder."""
        try:
            with self._lock.held_now():
                self._shelf.remove_leftovers()
        except AlreadyRunning:
            log.info("models folder is in use, its leftovers are left to its user")
        except OSError as error:
            log.warning("leftovers of models could not be removed", error=error.strerror or str(error))

    async def fetch(
        self, url: str, pinned_sha256: str | None, advance: Advance, *, credentials: str | None = None
    ) -> Model:
        """The model at `url`, whole, judged harmless, and on this device's disk.

        `credentials` names headers that this device keeps for the URL's host. Raises NotFetched with a remark when the
        model can't be had, is refused, or has other bytes than the campaign's other devices have measured
        (`pinned_sha256`). What may pass is tried again for about ten seconds without progress.
        """
        source = Source(url=url, what=_MODEL, credential=self._credential(credentials))
        order = _Order(source=source, key=_key(url, credentials), kind=_MODEL, pinned=pinned_sha256)
        known = await self._serve(order, advance)
        _check_pin(url, known.sha256, pinned_sha256)
        return Model(
            path=self._shelf.path_of(known),
            folder=self._shelf.folder_of(known),
            file_name=model_file_name(url),
            sha256=known.sha256,
            size_bytes=known.size_bytes,
        )

    async def fetch_inputs(
        self, url: str, advance: Advance, *, credentials: str | None = None, beside: Model | None = None
    ) -> Path:
        """The .npz file at `url`, fetched exactly as a model is; raises as `fetch` does. `beside` stays on the disk."""
        source = Source(url=url, what=_INPUTS, credential=self._credential(credentials))
        keep = () if beside is None else (beside.path,)
        order = _Order(source=source, key=_key(url, credentials, _INPUTS), kind=_INPUTS, keep=keep)
        return self._shelf.path_of(await self._serve(order, advance))

    def _credential(self, name: str | None) -> Credential | None:
        found = None if name is None else self._credentials.named(name)
        if name is not None and found is None:
            raise NotFetched(unknown(name))
        return found

    async def _serve(self, order: _Order, advance: Advance) -> Known:
        self._shelf.make()
        async with self._lock.held():
            partial = self._take_up(order)
            try:
                known = await self._current(order, partial, advance)
            except NotFetched as error:
                if not isinstance(error, Unreachable):
                    partial.remove()
                raise
            finally:
                self._put_down(order, partial)
            self._shelf.touch(known)
            keep = (*order.keep, self._shelf.path_of(known))
            await in_thread(lambda _stop: self._shelf.evict(self._limit_bytes, keep))
        return known

    def _take_up(self, order: _Order) -> Partial:
        """Where the order's bytes go: after those of its last transfer, if that broke off and they are here still."""
        key, partial = self._broken or ("", None)
        self._broken = None
        if partial is None or key != order.key or not partial.is_intact():
            partial = Partial(self._shelf.temporary("partial-"))
        self._shelf.remove_leftovers(keep=(partial.path,))
        return partial

    def _put_down(self, order: _Order, partial: Partial) -> None:
        """Keep what can be continued, if there is room for it in the cache; remove it otherwise."""
        is_worth_it = partial.can_go_on and partial.is_intact()
        if is_worth_it and self._shelf.size_bytes() + partial.size_bytes <= self._limit_bytes:
            self._broken = (order.key, partial)
        else:
            partial.remove()

    async def _current(self, order: _Order, partial: Partial, advance: Advance) -> Known:
        """What the order leads to now. When it is away, the very bytes that the campaign is about do as well."""
        known = self._shelf.lookup(order.key)
        have_pinned = known is not None and known.sha256 == order.pinned
        if known is not None and have_pinned:
            # Of all old models, a full disk must not cost the one that may be all there is.
            order = msgspec.structs.replace(order, keep=(*order.keep, self._shelf.path_of(known)))
        try:
            got = await self._persistently(order, known, partial, advance, 0.0 if have_pinned else self._retry_window_s)
        except Unreachable as error:
            if known is None or not have_pinned:
                raise
            shown = shown_url(order.source.url)
            log.warning("model's server was away, its cached bytes are used", url=shown, error=str(error))
            return known
        self._shelf.remember(order.key, got)
        return got

    async def _persistently(
        self, order: _Order, known: Known | None, partial: Partial, advance: Advance, window_s: float
    ) -> Known:
        """Try again until nothing new has come for `window_s`."""
        clock = asyncio.get_running_loop().time
        delay_s, failed_at, tries, most_bytes = FIRST_DELAY_S, None, 0, partial.size_bytes
        while True:
            try:
                return await self._once(order, known, partial, advance)
            except Unreachable as error:
                tries += 1
                if failed_at is None or partial.size_bytes > most_bytes:
                    failed_at, delay_s = clock(), FIRST_DELAY_S
                most_bytes = max(most_bytes, partial.size_bytes)
                if clock() + delay_s > failed_at + window_s:
                    raise Unreachable(f"{error} (tried {tries} times)" if tries > 1 else str(error)) from error
            await asyncio.sleep(delay_s)
            delay_s *= 2

    async def _once(self, order: _Order, known: Known | None, partial: Partial, advance: Advance) -> Known:
        try:
            validators = known.validators if known else Validators()
            got = await self._obtain(order, partial, validators, advance)
        except OSError as error:
            raise self._disk_trouble(error, order, is_passing=True) from error
        if not isinstance(got, Fetched):
            return _unchanged(order, known)
        try:
            return await self._adopt(order, partial, got)
        finally:
            partial.remove()

    async def _obtain(
        self, order: _Order, partial: Partial, validators: Validators, advance: Advance
    ) -> Fetched | Literal["unchanged"]:
        if builtin.is_builtin(order.source.url):
            return await in_thread(lambda _stop: builtin.fetch(order.source.url, partial))
        return await download(order.source, partial, self._limits, validators, advance)

    def _disk_trouble(self, error: OSError, order: _Order, *, is_passing: bool) -> NotFetched:
        """What to do about a disk that won't take the model: a full one is given another try without the old models."""
        if error.errno == errno.ENOSPC and self._shelf.evict(0, order.keep) and is_passing:
            return Unreachable("the device's disk was full, and older models were removed from it")
        return NotKept(f"{order.kind} can't be kept on this device: {error.strerror or error}")

    # From bytes to something that may be measured

    async def _adopt(self, order: _Order, partial: Partial, fetched: Fetched) -> Known:
        """Judge what has come whole, and give it its place."""
        try:
            return await in_thread(lambda stop: self._judge(order, partial.path, fetched, stop))
        except (archive.ArchiveRefused, external_data.ExternalDataRefused) as error:
            raise NotFetched(str(error)) from error
        except OSError as error:
            raise self._disk_trouble(error, order, is_passing=False) from error

    def _judge(self, order: _Order, path: Path, fetched: Fetched, stop: Stop) -> Known:
        known = Known(sha256=fetched.sha256, size_bytes=fetched.size_bytes, validators=fetched.validators)
        if order.kind == _INPUTS:
            return self._place_inputs(path, known, order.source.url)
        name, is_zip = model_file_name(order.source.url), archive.is_zip(path)
        problem = kinds.objection(name, is_zip=is_zip)
        if problem:
            raise NotFetched(problem)
        if is_zip:
            return self._unpack(path, known, order.keep, stop)
        return self._place_file(path, known, kinds.ending_of(name), stop)

    def _place_file(self, path: Path, known: Known, ending: str, stop: Stop) -> Known:
        if ending == kinds.CORE_ML_FILE:
            known = msgspec.structs.replace(known, suffix=ending)
        else:
            external_data.check(path, None, stop)
        self._shelf.place(path, known)
        return known

    def _place_inputs(self, path: Path, known: Known, url: str) -> Known:
        if not archive.is_zip(path):
            raise NotFetched(f"{model_file_name(url)} is no .npz file: numpy.savez writes such files")
        known = msgspec.structs.replace(known, suffix=".npz")
        self._shelf.place(path, known)
        return known

    def _unpack(self, path: Path, known: Known, keep: Collection[Path], stop: Stop) -> Known:
        """Unpack into a folder that nobody looks for, and give it its name when all in it is right."""
        folder = self._shelf.temporary("unpacking-")
        try:
            inside = kinds.find_model(self._unpacked(path, folder, keep, stop))
            _check_inside(folder / inside, stop)
            known = msgspec.structs.replace(known, suffix=".d", inside=inside, unpacked=measure(folder))
            self._shelf.place(folder, known)
        finally:
            self._shelf.remove_leftovers(keep=(path,))
        return known

    def _unpacked(self, path: Path, folder: Path, keep: Collection[Path], stop: Stop) -> list[str]:
        """The names in the archive, unpacked; on a full disk once more without the older models."""
        max_bytes = self._limits.max_bytes
        try:
            return archive.unpack(path, folder, max_bytes=max_bytes, stop=stop)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._shelf.evict(0, keep):
                raise
        return archive.unpack(path, folder, max_bytes=max_bytes, stop=stop)


def _key(url: str, credentials: str | None, kind: _Kind = _MODEL) -> str:
    """A request's entry in the index, where a password in it can't be read.

    What was had with credentials is found with their name alone: the URL by itself leads to nothing.
    """
    parts = (url,) if credentials is None and kind == _MODEL else (url, kind, credentials)
    return hashlib.sha256(url.encode() if len(parts) == 1 else msgspec.json.encode(parts)).hexdigest()


def _check_inside(model: Path, stop: Stop) -> None:
    match kinds.ending_of(model.name):
        case kinds.ONNX:
            external_data.check(model, model.parent, stop)
        case kinds.OPENVINO:
            external_data.check_is_xml(model)


def _unchanged(order: _Order, known: Known | None) -> Known:
    if known is None:
        shown = shown_url(order.source.url)
        raise NotFetched(f"{order.kind}'s server answers HTTP 304 for {shown}, which it was not asked for")
    return known


def _check_pin(url: str, found: str, pinned: str | None) -> None:
    if pinned is not None and found != pinned:
        raise NotFetched(
            f"the model at {shown_url(url)} has changed: its SHA-256 is {found}, and this campaign is about {pinned}"
        )
