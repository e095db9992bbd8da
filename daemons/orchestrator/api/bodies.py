"""Reading what a request says, and writing JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from daemons.core.errors import InvalidInput, TooLarge, UnsupportedMediaType
from daemons.core.models import MAX_BODY_BYTES
from daemons.core.validation import decode_json

T = TypeVar("T")

_FLAGS: Final = {"true": True, "1": True, "": True, "false": False, "0": False}

BODY_TIMEOUT_S: Final = 30.0
"""A body that drips in more slowly than this is cut off."""


def json_response(document: Any, status: int = HTTPStatus.OK, **headers: str) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/json", headers=headers
    )


async def read_json(request: web.Request, wanted: type[T], *, empty: T | None = None) -> T:
    """The request's body as a `wanted`; `empty` if there is no body and none is needed.

    Raises InvalidInput, TooLarge or UnsupportedMediaType, each with a sentence.
    """
    body = await _read(request)
    if not body and empty is not None:
        return empty
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


def query_flag(request: web.Request, name: str) -> bool:
    """Whether the query string says yes; InvalidInput for what is neither yes nor no."""
    text = request.query.get(name, "false").lower()
    if text not in _FLAGS:
        raise InvalidInput(f"{name}: must be true or false, and is {text[:60]!r}", field=name)
    return _FLAGS[text]


def query_choice(request: web.Request, name: str, allowed: Sequence[str]) -> str:
    """One of the words that are `allowed`, the first if there is none; InvalidInput for any other."""
    text = request.query.get(name, allowed[0])
    if text not in allowed:
        raise InvalidInput(f"{name}: must be one of {', '.join(allowed)}, and is {text[:60]!r}", field=name)
    return text


def query_number(request: web.Request, name: str, *, default: float, least: float, most: float) -> float:
    """A number from the query string, or InvalidInput that says what is allowed."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise InvalidInput(f"{name}: must be a number from {least:g} to {most:g}, and is {text[:60]!r}", field=name)
    return number
