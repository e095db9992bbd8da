"""Long answers, sent piece by piece with constant memory. A part of one never looks like the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import structlog
from aiohttp import web

from daemons.orchestrator.api.negotiation import takes_gzip

log = structlog.get_logger(__name__)

PIECE_TIMEOUT_S: Final = 60.0
"""A caller that takes longer for one piece is cut off: it would hold its connection for ever."""


async def stream(
    request: web.Request, pieces: AsyncGenerator[bytes, None], response: web.StreamResponse, *, is_large: bool
) -> web.StreamResponse:
    """Send `pieces` as the body of `response`. What fails before the first piece is there is refused as usual.

    What fails later ends the connection, so that the caller sees that its document is not whole.
    """
    async with aclosing(pieces):
        first = await anext(pieces)
        response.headers["Vary"] = "Accept, Accept-Encoding"
        if request.method == "HEAD":
            return response  # not packed: aiohttp would send the packing's end as a body
        if is_large and takes_gzip(request.headers.getall("Accept-Encoding", [])):
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        await _send_all(request, first, pieces, response)
    return response


async def _send_all(
    request: web.Request, first: bytes, rest: AsyncGenerator[bytes, None], response: web.StreamResponse
) -> None:
    try:
        await _send(first, response)
        async for piece in rest:
            await _send(piece, response)
    except ConnectionError:
        return  # the caller hung up
    except _TooSlow:
        log.warning("a caller was too slow and was cut off", path=request.path, peer=request.remote)
        _abort(request)
    except BaseException:
        _abort(request)
        raise


class _TooSlow(Exception):
    """The caller did not take a piece in time."""


async def _send(piece: bytes, response: web.StreamResponse) -> None:
    try:
        async with asyncio.timeout(PIECE_TIMEOUT_S):
            await response.write(piece)
    except TimeoutError as error:
        raise _TooSlow from error


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
