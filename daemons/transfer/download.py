"""One model over the network: a URL in, a whole file and its SHA-256 out, or a reason why not.

It knows nothing of caches and jobs. A failure is either `Unreachable` (may pass, worth another try) or `NotFetched`
(would repeat). Their texts hold no user names, passwords or query strings of URLs, and no headers of credentials.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import aiohttp
import msgspec
import yarl

from daemons.runtime.background import in_thread
from daemons.transfer.credential import Credential, same_place
from daemons.transfer.egress import Gate
from daemons.transfer.partial import Partial, Validators, strong_validator

MAX_REDIRECTS: Final = 3
CHUNK_BYTES: Final = 2**20
CONNECT_TIMEOUT_S: Final = 10.0
STALL_TIMEOUT_S: Final = 30.0
MAX_SHOWN: Final = 300

_TEMPORARY: Final = frozenset({408, 425, 429})
_WANTS_CREDENTIALS: Final = frozenset({401, 403, 404})  # some answer 404 to strangers
_MOVED: Final = frozenset({301, 302, 303, 307, 308})

Advance = Callable[[int, int | None], None]
"""Told how many bytes have come, of how many if that is known."""


async def _as_it_comes(_size_bytes: int) -> None:
    """The disk says when it is full."""


class NotFetched(Exception):
    """The model can't be had, and asking again would not change that. The text says why."""


class Unreachable(NotFetched):
    """The model could not be had this time. The text says why."""


class NotKept(NotFetched):
    """The model can't be kept here by a fault of this device's own; another one may. The text says why."""


class _NotContinued(Exception):
    """The server won't send the rest of what has come."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file is, what people call it, and who may see the headers that it takes."""

    url: str
    what: str = "the model"
    credential: Credential | None = None


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What is whole now."""

    sha256: str
    size_bytes: int
    validators: Validators


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one transfer may do."""

    max_bytes: int
    private_addresses: bool = True
    size_setting: str = "the limit here"
    """What sets `max_bytes`, as a sentence names it; `address_setting` does so for `private_addresses`."""
    address_setting: str = "private_addresses"
    loopback: bool = True
    """Whether this machine's own addresses may be fetched from, if private ones may."""
    cover: Callable[[int], Awaitable[None]] = _as_it_comes
    """Awaited before so many bytes in all are written; it may raise NotKept."""
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


async def download(
    source: Source, partial: Partial, limits: Limits, known: Validators, advance: Advance
) -> Fetched | Literal["unchanged"]:
    """Fetch what `source` names into `partial`, or "unchanged" when the server says that `known` still holds.

    What `partial` holds is continued if its server still has the same version, and replaced otherwise. Follows three
    redirects at most, none from https to http, and connects to allowed addresses only, each time. Raises NotFetched
    or Unreachable, or OSError when the file can't be written; `partial` then holds what has come. A transfer that was
    cut off is never taken for whole.
    """
    _check_userinfo(source)
    gate = Gate(
        private_allowed=limits.private_addresses, loopback_allowed=limits.loopback, setting=limits.address_setting
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=STALL_TIMEOUT_S)
    async with aiohttp.ClientSession(
        connector=gate.connector(), cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout, trust_env=False
    ) as session:
        transfer = _Transfer(source, partial, limits, advance)
        try:
            return await transfer.make(session, gate, known)
        except aiohttp.InvalidURL as error:
            raise NotFetched(
                f"{source.what}'s URL leads to something that is no URL ({shown_url(source.url)})"
            ) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotFetched(f"the certificate of {error.host} can't be trusted: {error.certificate_error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            # `from None`: some of these errors hold the request with its headers.
            shown = shown_url(source.url)
            if gate.refused is not None:
                raise NotFetched(f"{source.what} is not fetched from {shown}: {gate.refused}") from None
            raise Unreachable(f"{source.what} could not be fetched from {shown}: {cause_of(error)}") from None


def _check_userinfo(source: Source) -> None:
    url = _parsed(source.url, source.what)
    if source.credential is not None and (url.user is not None or url.password is not None):
        raise NotFetched(
            f"{source.what}'s URL holds a user or password, and its campaign names credentials; remove one"
        )


def _parsed(url: str, what: str) -> yarl.URL:
    try:
        parsed = yarl.URL(url)
    except ValueError as error:
        raise NotFetched(f"{what}'s URL can't be read as one") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        found = parsed.scheme or "no scheme"
        raise NotFetched(f"{what} is fetched by http and https only, and this URL is of {found}")
    return parsed


class _Transfer:
    """One transfer, from the first request to the last byte."""

    def __init__(self, source: Source, partial: Partial, limits: Limits, advance: Advance) -> None:
        self._source = source
        self._partial = partial
        self._limits = limits
        self._advance = advance
        self._withheld: str | None = None

    async def make(
        self, session: aiohttp.ClientSession, gate: Gate, known: Validators
    ) -> Fetched | Literal["unchanged"]:
        try:
            return await self._follow(session, gate, self._partial.headers() or known.headers())
        except _NotContinued:
            self._partial.begin(Validators(), None, None)
            return await self._follow(session, gate, known.headers())

    async def _follow(
        self, session: aiohttp.ClientSession, gate: Gate, wanted: dict[str, str]
    ) -> Fetched | Literal["unchanged"]:
        first = url = _parsed(self._source.url, self._source.what)
        at_home = True
        for _ in range(MAX_REDIRECTS + 1):
            gate.private_allowed = self._limits.allow_private(url)
            secret, at_home = self._secret_headers(url, first, at_home=at_home)
            headers = {"Accept-Encoding": "identity"} | wanted | secret
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status not in _MOVED:
                    return await self._take(answer, wanted)
                url = self._next_hop(url, answer)
        raise NotFetched(f"{self._source.what}'s URL leads on through more than {MAX_REDIRECTS} redirects")

    def _secret_headers(self, url: yarl.URL, first: yarl.URL, *, at_home: bool) -> tuple[dict[str, str], bool]:
        """The credential's headers if `url` may see them, and whether no redirect has led away so far."""
        credential = self._source.credential
        if credential is None:
            return {}, at_home
        at_home = at_home and same_place(url, first)
        self._withheld = credential.objection(url, is_home=at_home and url.user is None)
        return ({} if self._withheld else credential.headers), at_home

    def _next_hop(self, url: yarl.URL, answer: aiohttp.ClientResponse) -> yarl.URL:
        try:
            target = _parsed(str(url.join(yarl.URL(answer.headers["Location"]))), self._source.what)
        except (KeyError, ValueError) as error:
            raise NotFetched(f"{shown_url(str(url))} leads on (HTTP {answer.status}), but to no URL") from error
        if url.scheme == "https" and target.scheme == "http":
            raise NotFetched(f"{shown_url(str(url))} leads from https to http, which is not followed")
        return target

    async def _take(self, answer: aiohttp.ClientResponse, wanted: dict[str, str]) -> Fetched | Literal["unchanged"]:
        asked_for_rest = "Range" in wanted
        if answer.status == 304 and not asked_for_rest:
            return "unchanged"
        if answer.status == 200:
            self._begin(answer)
        elif asked_for_rest and (
            answer.status == 416 or (answer.status == 206 and not self._partial.goes_on(answer.headers))
        ):
            raise _NotContinued
        elif not (asked_for_rest and answer.status == 206):
            raise self._refusal(answer)
        partial = self._partial
        await receive(answer, partial, self._limits, self._advance, self._source.what)
        return Fetched(sha256=partial.sha256, size_bytes=partial.size_bytes, validators=partial.version)

    def _begin(self, answer: aiohttp.ClientResponse) -> None:
        is_encoded = "Content-Encoding" in answer.headers  # then a range would be one of other bytes than come here
        version = Validators(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        if_range = None if is_encoded else strong_validator(answer.headers)
        self._partial.begin(version, if_range, None if is_encoded else answer.content_length)

    def _refusal(self, answer: aiohttp.ClientResponse) -> NotFetched:
        kind = Unreachable if answer.status >= 500 or answer.status in _TEMPORARY else NotFetched
        answered = f"HTTP {answer.status} {http.client.responses.get(answer.status, '')}".rstrip()
        credential = self._source.credential
        hint = ""
        if credential is not None and self._withheld and answer.status in _WANTS_CREDENTIALS:
            hint = f" (the credentials {credential.name} were not sent: {self._withheld})"
        return kind(f"{self._source.what}'s server answers {answered} for {shown_url(str(answer.url))}{hint}")


async def receive(
    answer: aiohttp.ClientResponse, partial: Partial, limits: Limits, advance: Advance, what: str
) -> None:
    """The body of an answer, after what `partial` holds. NotFetched or Unreachable if it isn't all, or is too much."""
    _check_size(partial.total_bytes or 0, limits, what)
    await limits.cover(partial.total_bytes or 0)
    with partial.open():
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            _check_size(partial.size_bytes + len(chunk), limits, what)
            await limits.cover(partial.size_bytes + len(chunk))
            await in_thread(lambda _stop, chunk=chunk: partial.append(chunk))  # type: ignore[misc]
            advance(partial.size_bytes, partial.total_bytes)
        await in_thread(lambda _stop: partial.sync())
    size, total = partial.size_bytes, partial.total_bytes
    if total is not None and size != total:
        raise Unreachable(f"{what} was cut off in transfer: {size:,} of {total:,} bytes came")
    if size == 0:
        raise NotFetched(f"{what} at {shown_url(str(answer.url))} is empty: 0 bytes came")


def _check_size(size: int, limits: Limits, what: str) -> None:
    if size > limits.max_bytes:
        raise NotFetched(f"{what} is larger than {limits.max_bytes / 1e9:.3g} GB, {limits.size_setting}")


def cause_of(error: BaseException) -> str:
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
