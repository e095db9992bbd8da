"""Reading what a request says, and writing JSON."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from daemons.core.errors import InvalidInput, TooLarge, UnsupportedMediaType
from daemons.core.events import Position
from daemons.core.models import MAX_BODY_BYTES
from daemons.core.validation import decode_json
from daemons.orchestrator.api.routes import ROUTE, content_of
from daemons.store.lists import Page

T = TypeVar("T")

BODY_TIMEOUT_S: Final = 30.0
"""A body that drips in more slowly than this is cut off."""


def json_response(document: Any, status: int = HTTPStatus.OK, **headers: str) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/json", headers=headers
    )


def listing(name: str, page: Page, since: Position | None = None) -> web.Response:
    """A page of a list; `next_cursor` leads on if there is more. `since`: where the events were before it was read."""
    place = {} if since is None else since._asdict()
    more = {} if page.cursor is None else {"next_cursor": page.cursor}
    return json_response({**place, "count": len(page.items), name: page.items, **more})


async def read_json(request: web.Request, wanted: type[T]) -> T:
    """The request's body as a `wanted`, which its route takes. Where none is needed, none means one that says nothing.

    Raises InvalidInput, TooLarge or UnsupportedMediaType, each with a sentence.
    """
    assert content_of(request[ROUTE].body).type is wanted  # noqa: S101 (the route's table says otherwise)
    body = await _read(request)
    if not body and request[ROUTE].is_body_optional:
        return wanted()
    if not body:
        raise InvalidInput("the request has no body; it needs a JSON object")
    if request.content_type != "application/json" and not request.content_type.endswith("+json"):
        raise UnsupportedMediaType(
            f"the body's content type is {request.content_type}; send it with 'Content-Type: application/json'"
        )
    return decode_json(body, wanted)


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(f"the body is over the limit of {MAX_BODY_BYTES // 2**20} MB") from error
    except (web.RequestPayloadError, ConnectionError) as error:  # the latter: the caller hung up, and won't read this
        raise InvalidInput("the body broke off, or its chunks or its Content-Encoding are malformed") from error
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error
