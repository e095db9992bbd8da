"""What an upload's headers say, and its bytes as they come: checked, and cut off when they don't come."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Annotated, Final

from aiohttp import web
from aiohttp.http import HttpVersion11
from msgspec import Meta, Struct, field

from daemons.core.errors import InvalidInput, UnsupportedMediaType
from daemons.core.urls import check_model_name
from daemons.orchestrator.api.parameters import headers_of
from daemons.orchestrator.modelstore.receiving import BrokenOff
from daemons.orchestrator.modelstore.store import Conditions
from daemons.orchestrator.modelstore.uploads import Order

STALL_S: Final = 30.0
LEAST_BYTES: Final = 16 * 1024
"""So much must come in `STALL_S`, or the upload is cut off: a slow line does that, an idle one doesn't."""
GATHERED_BYTES: Final = 2**20

_TAG: Final = re.compile(r'"([^"]*)"')
_ONE_TAG: Final = r'(W/)?"[^"]*"'
Tags = Annotated[
    str,
    Meta(
        max_length=8000,
        pattern=rf"^(\*|{_ONE_TAG}( *, *{_ONE_TAG})*)$",
        extra={"allowed": '* or entity tags such as "SHA-256", in quotes'},
    ),
]
Span = Annotated[
    str,
    Meta(
        pattern=r"^bytes (\d{1,18}-\d{1,18}|\*)/\d{1,18}$",
        extra={"allowed": "like 'bytes 1000-1999/5000', or 'bytes */5000' when all have come"},
    ),
]
Hexadecimal = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{64}$", extra={"allowed": "a SHA-256 in 64 hexadecimal digits"})]
_BASE64: Final = "[A-Za-z0-9+/]{43}="
_IN_BASE64: Final = re.compile(f"(?:sha|SHA)-256=:?({_BASE64})")
Digest = Annotated[
    str,
    Meta(
        max_length=8000,
        pattern=f"^(.*, *)?sha-256=:{_BASE64}:(,.*)?$",
        extra={"allowed": "a SHA-256, like sha-256=:BASE64:"},
    ),
]
OldDigest = Annotated[
    str,
    Meta(
        max_length=8000,
        pattern=f"^(.*, *)?(sha|SHA)-256={_BASE64}(,.*)?$",
        extra={"allowed": "a SHA-256, like sha-256=BASE64"},
    ),
]


class ConditionHeaders(Struct, frozen=True, kw_only=True):
    """On what condition a change of a model is meant."""

    if_match: Tags | None = field(name="If-Match", default=None)
    """Only if the name points to one of these versions, such as `"SHA-256"`; `*`: if there is a model of this name."""
    if_none_match: Tags | None = field(name="If-None-Match", default=None)
    """Only if the name points to none of these versions; `*`: if there is no model of this name."""


class UploadHeaders(ConditionHeaders, frozen=True, kw_only=True):
    """What an upload says of itself."""

    content_range: Span | None = field(name="Content-Range", default=None)
    """`bytes FIRST-LAST/TOTAL`: a piece, which goes on where the last one ended. `bytes */TOTAL`: all have come."""
    content_sha256: Hexadecimal | None = field(name="X-Content-SHA256", default=None)
    """The SHA-256 of the whole model, in hexadecimal digits. What has another one is refused."""
    repr_digest: Digest | None = field(name="Repr-Digest", default=None)
    """The same as RFC 9530 has it: `sha-256=:BASE64:`."""
    digest: OldDigest | None = field(name="Digest", default=None)
    """The same as RFC 3230 has it: `sha-256=BASE64`."""


def order_of(request: web.Request) -> Order:
    """What the request brings. Raises InvalidInput or UnsupportedMediaType for what can't be a model's bytes."""
    name = check_model_name(request.match_info["name"])
    _check_plain(request)
    headers = headers_of(request, UploadHeaders)
    length = request.content_length if request.body_exists or request.content_length is not None else 0
    digest = _expected(headers)
    if headers.content_range is None:
        return Order(name=name, end=length, total_bytes=length, sha256=digest)
    start, end, total = _span(headers.content_range, length)
    if start > 0 and digest is None:
        raise InvalidInput(
            "X-Content-SHA256: is missing; whoever continues an upload says the SHA-256 of the whole model, so that "
            "pieces of two models are never taken for one",
            field="X-Content-SHA256",
        )
    return Order(name=name, start=start, end=end, total_bytes=total, sha256=digest)


def _check_plain(request: web.Request) -> None:
    """The body is the model itself, and nothing that holds it."""
    if request.content_type.startswith("multipart/"):
        raise UnsupportedMediaType("the body is a form; send the model's own bytes, as 'curl -T FILE URL' does")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(
            f"the body's Content-Encoding is {encoding[:60]!r}; send the model's own bytes, a .zip as it is"
        )


def _span(text: str, length: int | None) -> tuple[int, int, int]:
    """First byte, the one after the last, and how many there are in all."""
    place, _, end = text.removeprefix("bytes ").partition("/")
    total = int(end)
    first, stop = (total, total) if place == "*" else _piece(place)
    if stop > total or (stop <= first and place != "*"):
        raise InvalidInput(f"Content-Range: {text!r} names no piece of a whole", field="Content-Range")
    if length is not None and length != stop - first:
        raise InvalidInput(
            f"Content-Range: names {stop - first:,} bytes, and the body has {length:,}", field="Content-Range"
        )
    return first, stop, total


def _piece(place: str) -> tuple[int, int]:
    first, _, last = place.partition("-")
    return int(first), int(last) + 1


def _expected(headers: UploadHeaders) -> str | None:
    """The SHA-256 that the whole is to have, however it is said."""
    found = {
        name: _sha256(name, text)
        for name, text in (
            ("X-Content-SHA256", headers.content_sha256),
            ("Repr-Digest", headers.repr_digest),
            ("Digest", headers.digest),
        )
        if text is not None
    }
    if len(set(found.values())) > 1:
        raise InvalidInput(f"{' and '.join(found)} name different hashes", field=next(iter(found)))
    return next(iter(found.values()), None)


def _sha256(name: str, text: str) -> str:
    if name == "X-Content-SHA256":
        return text.lower()
    match = _IN_BASE64.search(text)
    assert match is not None  # noqa: S101 (its type's pattern says so)
    return base64.b64decode(match[1]).hex()


def conditions_of(headers: ConditionHeaders) -> Conditions:
    """On what condition the request is meant."""
    if headers.if_match is not None:
        tags = None if headers.if_match == "*" else frozenset(_TAG.findall(headers.if_match))
        return Conditions(must_be_there=True, one_of=tags)
    if headers.if_none_match == "*":
        return Conditions(must_be_new=True)
    return Conditions(none_of=frozenset(_TAG.findall(headers.if_none_match or "")))


async def keep_silent(_request: web.Request) -> None:
    """Don't ask for the body yet, where the caller waits to be asked: it may be refused by its headers alone."""


async def chunks_of(request: web.Request) -> AsyncIterator[bytes]:
    """The body, in pieces of a size that is worth writing. Raises BrokenOff, or HTTPRequestTimeout where it stalls."""
    await _ask_for_body(request)
    pace, gathered = _Pace(), bytearray()
    try:
        while data := await _next(request, pace):
            gathered += data
            if len(gathered) >= GATHERED_BYTES:
                yield bytes(gathered)
                gathered.clear()
    except (BrokenOff, web.HTTPRequestTimeout):
        if gathered:  # so much need not be sent again
            yield bytes(gathered)
        raise
    if gathered:
        yield bytes(gathered)


async def _ask_for_body(request: web.Request) -> None:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _next(request: web.Request, pace: _Pace) -> bytes:
    began = pace.now()
    try:
        async with asyncio.timeout(pace.left_s):
            data = await request.content.readany()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"less than {LEAST_BYTES} bytes came in {STALL_S:g} s") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise BrokenOff("the body broke off, or its chunks are malformed; what came can be continued") from error
    pace.count(len(data), pace.now() - began)
    return data


class _Pace:
    """How long may still be waited until enough has come. What the disk takes doesn't count."""

    def __init__(self) -> None:
        self._came = 0
        self._waited_s = 0.0
        self.now = asyncio.get_running_loop().time

    @property
    def left_s(self) -> float:
        return max(0.0, STALL_S - self._waited_s)

    def count(self, size: int, waited_s: float) -> None:
        self._came += size
        self._waited_s += waited_s
        if self._came >= LEAST_BYTES:
            self._came, self._waited_s = 0, 0.0
