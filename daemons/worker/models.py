"""The models on this device, and files of inputs: fetched, judged, unpacked where they come as archives, and kept.

Every fetch asks the URL's server again, so that a changed model is noticed; an unchanged one is not sent twice where
the server knows entity tags or dates. A transfer that breaks off goes on where it ended, in the same attempt or in the
next one of this process. What is refused leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import msgspec
import structlog

from daemons.core.errors import AlreadyRunning, InvalidInput
from daemons.core.urls import KeptModel, kept_model, model_file_name
from daemons.runtime.background import in_thread
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
from daemons.transfer.persistence import RETRY_WINDOW_S, persistently
from daemons.worker import archive, builtin, external_data, kinds
from daemons.worker.admission import Admission, Arrival
from daemons.worker.credentials import Credentials, unknown
from daemons.worker.home import Home, NotAtHome
from daemons.worker.shelf import Known, Shelf

log = structlog.get_logger(__name__)

HOME_WINDOW_S: Final = 600.0
"""So long an orchestrator may be away that alone has a model. It could be told of no failure meanwhile either."""

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
    at_home: str | None = None
    """The hash under which the orchestrator keeps it, where it comes from there."""
    window_s: float
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
        home: Home | None = None,
        retry_window_s: float = RETRY_WINDOW_S,
    ) -> None:
        self._shelf = Shelf(folder)
        self._admission = Admission(self._shelf, limits.max_bytes)
        self._lock = FileLock(folder / "lock")
        self._limits = limits
        self._limit_bytes = limit_bytes
        self._credentials = credentials or Credentials()
        self._home = home
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
        self,
        url: str,
        pinned_sha256: str | None,
        advance: Advance,
        *,
        credentials: str | None = None,
        campaign_id: str | None = None,
        job_id: str | None = None,
    ) -> Model:
        """The model at `url`, whole, judged harmless, and on this device's disk.

        `credentials` names headers that this device keeps for the URL's host; `campaign_id` a campaign for which the
        orchestrator may have it, and `job_id` the job in it. Raises NotFetched with a remark when the model can't be
        had, is refused, or has other bytes than the campaign's other devices have measured (`pinned_sha256`). What may
        pass is tried again for about ten seconds without progress.
        """
        known = await self._from_home(url, pinned_sha256, advance, campaign_id, job_id)
        if known is None:
            source = Source(url=url, what=_MODEL, credential=self._credential(credentials))
            key, window_s = _key(url, credentials), self._retry_window_s
            order = _Order(source=source, key=key, kind=_MODEL, pinned=pinned_sha256, window_s=window_s)
            known = await self._serve(order, advance)
        _check_pin(url, known.sha256, pinned_sha256)
        return Model(
            path=self._shelf.path_of(known),
            folder=self._shelf.folder_of(known),
            file_name=model_file_name(url),
            sha256=known.sha256,
            size_bytes=known.size_bytes,
        )

    async def _from_home(
        self, url: str, pinned: str | None, advance: Advance, campaign_id: str | None, job_id: str | None
    ) -> Known | None:
        """The model from the orchestrator: what is kept there alone, always; else what it has fetched, if it has."""
        kept = _named_by(url)
        if kept is not None:
            return await self._kept(_home_order(url, kept.sha256 or pinned, _MODEL), advance)
        if self._home is None or campaign_id is None:
            return None
        digest = pinned if pinned is not None and self._shelf.lookup(_home_order(url, pinned, _MODEL).key) else None
        digest = digest or await self._home.where_is(campaign_id, advance, job_id)
        if digest is None:
            return None
        try:
            return await self._serve(_home_order(url, digest, _MODEL, self._retry_window_s), advance)
        except (NotAtHome, Unreachable) as error:
            log.warning("model is fetched from its own source", url=shown_url(url), error=str(error))
            return None

    async def _kept(self, order: _Order, advance: Advance) -> Known:
        """What the orchestrator alone has."""
        try:
            return await self._serve(order, advance)
        except Unreachable as error:
            raise NotKept(str(error)) from error

    async def fetch_inputs(
        self, url: str, advance: Advance, *, credentials: str | None = None, beside: Model | None = None
    ) -> Path:
        """The .npz file at `url`, fetched exactly as a model is; raises as `fetch` does. `beside` stays on the disk."""
        keep = () if beside is None else (beside.path,)
        kept = _named_by(url)
        if kept is not None:
            order = msgspec.structs.replace(_home_order(url, kept.sha256, _INPUTS), keep=keep)
            return self._shelf.path_of(await self._kept(order, advance))
        source = Source(url=url, what=_INPUTS, credential=self._credential(credentials))
        key, window_s = _key(url, credentials, _INPUTS), self._retry_window_s
        order = _Order(source=source, key=key, kind=_INPUTS, keep=keep, window_s=window_s)
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
        if known is not None and order.at_home is not None:
            return known
        have_pinned = known is not None and known.sha256 == order.pinned
        if known is not None and have_pinned:
            # Of all old models, a full disk must not cost the one that may be all there is.
            order = msgspec.structs.replace(order, keep=(*order.keep, self._shelf.path_of(known)))
        try:
            window_s = 0.0 if have_pinned else order.window_s
            got = await persistently(lambda: self._once(order, known, partial, advance), partial, window_s)
        except Unreachable as error:
            if known is None or not have_pinned:
                raise
            shown = shown_url(order.source.url)
            log.warning("model's server was away, its cached bytes are used", url=shown, error=str(error))
            return known
        self._shelf.remember(order.key, got)
        return got

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
        if order.at_home is not None:
            if self._home is None:
                raise NotFetched(f"{order.source.url} names what an orchestrator keeps, and there is none here")
            return await self._home.fetch(order.at_home, partial, self._limits, advance)
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
            return await in_thread(lambda stop: self._admission.admit(_arrival(order, partial.path), fetched, stop))
        except (archive.ArchiveRefused, external_data.ExternalDataRefused) as error:
            raise NotFetched(str(error)) from error
        except OSError as error:
            raise self._disk_trouble(error, order, is_passing=False) from error


def _key(url: str, credentials: str | None, kind: _Kind = _MODEL) -> str:
    """A request's entry in the index, where a password in it can't be read.

    What was had with credentials is found with their name alone: the URL by itself leads to nothing.
    """
    parts = (url,) if credentials is None and kind == _MODEL else (url, kind, credentials)
    return hashlib.sha256(url.encode() if len(parts) == 1 else msgspec.json.encode(parts)).hexdigest()


def _named_by(url: str) -> KeptModel | None:
    try:
        return kept_model(url)
    except InvalidInput as error:
        raise NotFetched(str(error)) from error


def _home_order(url: str, sha256: str | None, kind: _Kind, window_s: float | None = None) -> _Order:
    """What fetches the bytes of this hash from the orchestrator. Whatever URL led to them, they lie here once."""
    if sha256 is None:
        raise NotFetched(f"the orchestrator names {kind} {shown_url(url)} without its SHA-256; upgrade it")
    name = model_file_name(url)
    source = Source(url=KeptModel(quote(name, safe=""), sha256).url, what=kind)
    key = _key(f"{KeptModel(None, sha256).url}{kinds.ending_of(name)}", None, kind)  # what is judged by its name
    window_s = HOME_WINDOW_S if window_s is None else window_s
    return _Order(source=source, key=key, kind=kind, at_home=sha256, window_s=window_s)


def _arrival(order: _Order, path: Path) -> Arrival:
    name = model_file_name(order.source.url)
    return Arrival(path=path, name=name, is_inputs=order.kind == _INPUTS, keep=order.keep)


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
