"""Takes a model in as its bytes come: counted, hashed and on disk before it has a name, or not there at all.

What breaks off stays to be continued. What is refused leaves nothing.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from daemons.core.errors import InvalidInput, NoRoom, NotFound, PreconditionFailed, Unavailable, WrongHash
from daemons.orchestrator.modelstore.names import Named
from daemons.orchestrator.modelstore.room import Promise, shown_size
from daemons.orchestrator.modelstore.store import Conditions, ModelStore
from daemons.orchestrator.modelstore.uploads import Order, State, Upload

MAX_AT_ONCE: Final = 8

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk says that takes no more."""

_EMPTY: Final = "the request has no body; it needs the bytes of a model"


class BrokenOff(InvalidInput):
    """The bytes ended before their end. What has come can be continued."""


class Busy(Unavailable):
    """As many uploads as may be are under way."""

    retry_after_s = 5


class Receiver:
    """Receives uploads, several at a time."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        self.under_way = 0

    async def receive(
        self, order: Order, conditions: Conditions, chunks: AsyncIterator[bytes]
    ) -> tuple[Named, bool] | State:
        """The name as it is now, and whether that is new; or how far the upload is, if this was not its last piece.

        `chunks` are the request's bytes; it raises what ends them early, and BrokenOff or a time-out leaves what has
        come to be continued. Raises TooLarge, NoRoom, WrongHash, InvalidInput or PreconditionFailed with nothing
        left behind; WrongOffset, Conflict or Busy with nothing changed.
        """
        models = self._models
        models.room.check_size(order.total_bytes or 0, f"the model {order.name}")
        conditions.check(order.name, await models.named(order.name))
        if order.total_bytes == 0:
            return await self._named_by_hash(order, conditions)
        with self._slot(), models.room.promise() as promise:
            await models.cover(promise, (order.total_bytes or 0) - order.start)
            upload = await models.in_thread(lambda stop: models.uploads.open(order, stop))
            try:
                return await self._to_its_end(upload, order, conditions, promise, chunks)
            finally:
                await models.in_thread(lambda _stop: upload.close())

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self.under_way >= MAX_AT_ONCE:
            raise Busy(f"{MAX_AT_ONCE} uploads are under way, and no more are taken at a time; try again later")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def _named_by_hash(self, order: Order, conditions: Conditions) -> tuple[Named, bool]:
        """A body of no bytes with the hash of what is kept names it; any other is a mistake."""
        if order.sha256 is None:
            raise InvalidInput(_EMPTY)
        try:
            return await self._models.name_content(order.sha256, order.name, conditions)
        except NotFound as error:
            raise InvalidInput(f"{_EMPTY}, and {error}") from error

    async def _to_its_end(
        self, upload: Upload, order: Order, conditions: Conditions, promise: Promise, chunks: AsyncIterator[bytes]
    ) -> tuple[Named, bool] | State:
        try:
            await self._take(upload, order, promise, chunks)
            return await self._concluded(upload, order, conditions)
        except BrokenOff:
            raise
        except (InvalidInput, NoRoom, PreconditionFailed):
            await self._models.in_thread(lambda _stop: upload.discard())
            raise
        except OSError as error:
            await self._models.in_thread(lambda _stop: upload.discard())
            if error.errno in FULL:
                came = shown_size(upload.size_bytes)
                raise NoRoom(
                    f"the orchestrator's disk was full after {came} of this model; nothing is left of them"
                ) from error
            raise

    async def _take(self, upload: Upload, order: Order, promise: Promise, chunks: AsyncIterator[bytes]) -> None:
        models, came = self._models, 0
        async for chunk in chunks:
            size = upload.size_bytes + len(chunk)
            models.room.check_size(size, f"the model {order.name}")
            if order.end is not None and size > order.end:
                raise InvalidInput("Content-Range: names fewer bytes than have come", field="Content-Range")
            came += len(chunk)
            await models.cover(promise, came)
            await models.in_thread(lambda _stop, chunk=chunk: upload.append(chunk))  # type: ignore[misc]
            promise.written_bytes = came

    async def _concluded(self, upload: Upload, order: Order, conditions: Conditions) -> tuple[Named, bool] | State:
        if order.end is not None and upload.size_bytes < order.end:
            raise BrokenOff(f"the body broke off after {upload.size_bytes:,} bytes; continue from there")
        if order.total_bytes is not None and upload.size_bytes < order.total_bytes:
            await self._models.in_thread(lambda _stop: upload.sync())
            return State(begun=upload.begun, offset=upload.size_bytes)
        if upload.size_bytes == 0:
            raise InvalidInput(_EMPTY)
        expected = order.sha256 or upload.begun.sha256
        if expected not in (None, upload.sha256):
            raise WrongHash(
                f"the {upload.size_bytes:,} bytes that came have the SHA-256 {upload.sha256}, and the request says "
                f"{expected}; nothing of them is kept",
            )
        return await self._models.publish(upload, order.name, conditions)
