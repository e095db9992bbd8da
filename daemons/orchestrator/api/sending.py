"""Sends a content that is kept: whole or in part, as the request's headers want it (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct, field

from daemons.core.errors import PreconditionFailed
from daemons.orchestrator.api.errors import problem
from daemons.orchestrator.api.parameters import headers_of
from daemons.orchestrator.modelstore.store import ModelStore, Opened

CHUNK_BYTES: Final = 256 * 1024
STALL_S: Final = 60.0
"""A reader that takes nothing for so long is left."""

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

Header = Annotated[str, Meta(min_length=1, max_length=8000)]


class ReadHeaders(Struct, frozen=True, kw_only=True):
    """Which bytes are wanted, and whether."""

    range: Header | None = field(name="Range", default=None)
    """`bytes=FIRST-LAST`: a part alone."""
    if_range: Header | None = field(name="If-Range", default=None)
    """The part only of this version, such as `"SHA-256"`; all of any other."""
    if_none_match: Header | None = field(name="If-None-Match", default=None)
    """Only if it is none of these versions."""
    if_match: Header | None = field(name="If-Match", default=None)
    """Only if it is one of these versions."""


async def send(request: web.Request, models: ModelStore, opened: Opened, file_name: str) -> web.StreamResponse:
    """The content, or what the request's conditions make of it. PreconditionFailed if If-Match names another."""
    wanted, tag = headers_of(request, ReadHeaders), f'"{opened.sha256}"'
    if wanted.if_match is not None and not _names(wanted.if_match, tag):
        raise PreconditionFailed(f"this is not the version that If-Match names; its SHA-256 is {opened.sha256}")
    headers = _described(opened, tag, file_name)
    if wanted.if_none_match is not None and _names(wanted.if_none_match, tag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    part = _part(wanted, tag, opened.size_bytes) if request.method == "GET" else None
    if part is not None and not part:
        return _no_such_part(opened.size_bytes)
    response = web.StreamResponse(headers=headers)
    if part is not None:
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{opened.size_bytes}"
    part = part or range(opened.size_bytes)
    response.content_length = len(part)
    await _stream(request, response, models, opened, part)
    return response


def _described(opened: Opened, tag: str, file_name: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(opened.sha256)).decode()
    return {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{file_name}"',
    }


def _names(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in [part.strip().removeprefix("W/") for part in header.split(",")]


def _part(wanted: ReadHeaders, tag: str, size_bytes: int) -> range | None:
    """The bytes that are wanted, empty if there are none of them; None if it is all, also for want of a sense."""
    match = _RANGE.fullmatch((wanted.range or "").replace(" ", ""))
    if match is None or match.groups() == ("", "") or (wanted.if_range or tag).strip() != tag:
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size_bytes - int(last)), size_bytes)
    return range(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)


def _no_such_part(size_bytes: int) -> web.Response:
    sentence = f"the model has {size_bytes:,} bytes, and Range names none of them"
    answer = problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "no_such_range", sentence)
    answer.headers["Content-Range"] = f"bytes */{size_bytes}"
    return answer


async def _stream(
    request: web.Request, response: web.StreamResponse, models: ModelStore, opened: Opened, part: range
) -> None:
    await response.prepare(request)
    if request.method == "HEAD":
        return
    try:
        for offset in range(part.start, part.stop, CHUNK_BYTES):
            size = min(CHUNK_BYTES, part.stop - offset)
            chunk = await models.in_thread(lambda _stop, at=offset, size=size: os.pread(opened.descriptor, size, at))  # type: ignore[misc]
            async with asyncio.timeout(STALL_S):
                await response.write(chunk)
        await response.write_eof()
    except (ConnectionError, TimeoutError):  # the reader is gone, or has stopped to read: nobody to tell
        if request.transport is not None:
            request.transport.abort()
