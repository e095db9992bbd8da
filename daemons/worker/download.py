"""One model over the network: a URL in, a whole file and its SHA-256 out, or a reason why not.

It knows nothing of caches and jobs. A failure is either `Unreachable` (may pass, worth another try) or `NotFetched`
(would repeat). Their texts hold no user names, passwords or query strings of URLs.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Literal
from urllib.parse import unquote

import aiohttp
import msgspec
import yarl

from daemons.worker.egress import Gate

MAX_REDIRECTS: Final = 3
CHUNK_BYTES: Final = 2**20
CONNECT_TIMEOUT_S: Final = 10.0
STALL_TIMEOUT_S: Final = 30.0
DEFAULT_FILE_NAME: Final = "model"
MAX_FILE_NAME: Final = 255
MAX_SHOWN: Final = 300

_TEMPORARY: Final = frozenset({408, 425, 429})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})

Advance = Callable[[int, int | None], None]
"""Told how many bytes have come, of how many if that is known."""


class NotFetched(Exception):
    """The model can't be had, and asking again would not change that. The text says why."""


class Unreachable(NotFetched):
    """The model could not be had this time. The text says why."""


class Validators(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a server said about the version of a file, to be asked with the next time (RFC 9110, section 13)."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """The conditional request's headers; none at all when nothing is known."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in the target file now."""

    sha256: str
    size_bytes: int
    validators: Validators


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one transfer may do."""

    max_bytes: int
    private_addresses: bool = True
    own_origin: str | None = None
    """The orchestrator's address, without a path: private or not, models that it serves itself may be fetched."""

    def allow_private(self, url: yarl.URL) -> bool:
        """Whether the host of `url` may turn out to be at a private address."""
        return self.private_addresses or (self.own_origin is not None and url.origin() == yarl.URL(self.own_origin))


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment."""
    try:
        parsed = yarl.URL(url)
        shown = str(parsed.with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        return "a URL that can't be read"
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"


def file_name(url: str) -> str:
    """What the model is called: the last segment of the URL's path, decoded; never a path, never control characters."""
    path = re.split(r"[?#]", re.sub(r"^[a-zA-Z]+://[^/?#]*", "", url), maxsplit=1)[0]
    last = re.split(r"[/\\]", unquote(path).rstrip("/\\"))[-1]
    clean = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip()
    return clean[:MAX_FILE_NAME] if clean.strip(".") else DEFAULT_FILE_NAME


async def download(
    url: str, target: Path, limits: Limits, known: Validators, advance: Advance
) -> Fetched | Literal["unchanged"]:
    """Fetch `url` into the new file `target`, or "unchanged" when the server says that `known` still holds.

    Follows three redirects at most, none from https to http, and connects to allowed addresses only, each time.
    Raises NotFetched or Unreachable, or OSError when `target` can't be written. A cut-off transfer is never taken.
    """
    gate = Gate(private_allowed=limits.private_addresses)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=STALL_TIMEOUT_S)
    async with aiohttp.ClientSession(
        connector=gate.connector(), cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout, trust_env=False
    ) as session:
        try:
            return await _follow(session, gate, _parsed(url), target, limits, known, advance)
        except aiohttp.InvalidURL as error:
            raise NotFetched(f"the model's URL leads to something that is no URL ({shown_url(url)})") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotFetched(f"the certificate of {error.host} can't be trusted: {error.certificate_error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            if gate.refused is not None:
                raise NotFetched(f"the model is not fetched from {shown_url(url)}: {gate.refused}") from error
            raise Unreachable(f"the model could not be fetched from {shown_url(url)}: {_cause(error)}") from error


def _parsed(url: str) -> yarl.URL:
    try:
        parsed = yarl.URL(url)
    except ValueError as error:
        raise NotFetched("the model's URL can't be read as one") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise NotFetched(
            f"models are fetched by http and https only, and this URL is of {parsed.scheme or 'no scheme'}"
        )
    return parsed


async def _follow(
    session: aiohttp.ClientSession,
    gate: Gate,
    url: yarl.URL,
    target: Path,
    limits: Limits,
    known: Validators,
    advance: Advance,
) -> Fetched | Literal["unchanged"]:
    headers = {"Accept-Encoding": "identity"} | known.headers()
    for _ in range(MAX_REDIRECTS + 1):
        gate.private_allowed = limits.allow_private(url)
        async with session.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status not in _MOVED:
                return await _take(answer, target, limits, advance)
            url = _next_hop(url, answer)
    raise NotFetched(f"the model's URL leads on through more than {MAX_REDIRECTS} redirects")


def _next_hop(url: yarl.URL, answer: aiohttp.ClientResponse) -> yarl.URL:
    try:
        target = _parsed(str(url.join(yarl.URL(answer.headers["Location"]))))
    except (KeyError, ValueError) as error:
        raise NotFetched(f"{shown_url(str(url))} leads on (HTTP {answer.status}), but to no URL") from error
    if url.scheme == "https" and target.scheme == "http":
        raise NotFetched(f"{shown_url(str(url))} leads from https to http, which is not followed")
    return target


async def _take(
    answer: aiohttp.ClientResponse, target: Path, limits: Limits, advance: Advance
) -> Fetched | Literal["unchanged"]:
    if answer.status == 304:
        return "unchanged"
    if answer.status != 200:
        kind = Unreachable if answer.status >= 500 or answer.status in _TEMPORARY else NotFetched
        answered = f"HTTP {answer.status} {http.client.responses.get(answer.status, '')}".rstrip()
        raise kind(f"the model's server answers {answered} for {shown_url(str(answer.url))}")
    _check_size(answer.content_length or 0, limits)
    with await asyncio.to_thread(target.open, "xb") as file:
        sha256, size = await _stream(answer, file, limits, advance)
    validators = Validators(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
    return Fetched(sha256=sha256, size_bytes=size, validators=validators)


async def _stream(answer: aiohttp.ClientResponse, file: BinaryIO, limits: Limits, advance: Advance) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0

    def keep(chunk: bytes) -> None:
        digest.update(chunk)
        file.write(chunk)

    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        _check_size(size, limits)
        await asyncio.to_thread(keep, chunk)  # a slow disk must not hold up the beats
        advance(size, answer.content_length)
    await asyncio.to_thread(_sync, file)
    encoded = "Content-Encoding" in answer.headers
    if not encoded and answer.content_length not in (None, size):
        raise Unreachable(f"the model was cut off in transfer: {size:,} of {answer.content_length:,} bytes came")
    if size == 0:
        raise NotFetched(f"the model at {shown_url(str(answer.url))} is empty: 0 bytes came")
    return digest.hexdigest(), size


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        allowed_gb = limits.max_bytes / 1e9
        raise NotFetched(f"the model is larger than {allowed_gb:.3g} GB, this worker's limits.model_limit_gb")


def _cause(error: BaseException) -> str:
    """The cause of a failed transfer in words, without the URL that some of aiohttp's texts hold."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host name {error.host} can't be resolved"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port} ({_reason(error.os_error)})"
        case aiohttp.ClientPayloadError():
            return "the transfer was cut off before the end"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {CONNECT_TIMEOUT_S:g} s"
        case TimeoutError():
            return f"nothing came for {STALL_TIMEOUT_S:g} s"
        case _:
            return f"the connection failed ({type(error).__name__})"


def _reason(error: OSError) -> str:
    """The system's word for it, where there is one; asyncio puts the address in its place."""
    return os.strerror(error.errno).lower() if error.errno else str(error).lower()
