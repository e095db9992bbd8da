"""One connection to an orchestrator: requests, answers, errors, and how long it is tried.

It knows how the API speaks, and not what it offers: that is in the modules beside this one, each about one subject.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar

import aiohttp
import msgspec
import yarl

from daemons.client.address import Credential, base_of, chosen
from daemons.client.patience import Patience
from daemons.client.refusals import PASSING, may_pass, never_arrived, refusal, silence
from daemons.core.errors import BenchfleetError, NotAuthenticated, NotFound, OrchestratorUnavailable, Unavailable

Document = dict[str, Any]
"""An answer as it came, for whoever looks at it."""
Query = Mapping[str, object]
"""Parameters by name: text, numbers, truths, or several of them. None: it is not sent."""
T = TypeVar("T")

PATIENCE_S: Final = 30.0
"""An orchestrator that is started anew is back before that."""
CONNECT_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 30.0
UPLOAD_TIMEOUT_S: Final = 120.0
KEEPALIVE_S: Final = 10.0
"""Below the server's 15 s: a connection that the server is about to close is never used again."""

_REPEATABLE: Final = frozenset({"GET", "PUT", "DELETE"})


class _Failure(NamedTuple):
    """Why one attempt at a request has brought no answer."""

    error: BenchfleetError
    may_pass: bool
    never_arrived: bool
    has_new_token: bool = False
    """The token was refused, and its file holds another one now."""
    cause: BaseException | None = None


class Connection:
    """A connection to one orchestrator, used inside ``async with``.

    `url` is the server's address without ``/api``; `token_file` holds the bearer token, and is read again when the
    orchestrator refuses it. What does no harm when it is done twice is tried again for `patience_s` when the
    orchestrator is away or busy; the rest is tried again only if it can't have arrived. Every method raises the error
    of `daemons.core.errors` that the server named, with the server's own sentence, or OrchestratorUnavailable when
    there is no usable answer.
    """

    def __init__(self, url: str, token_file: str | Path | None = None, *, patience_s: float = PATIENCE_S) -> None:
        self._base = base_of(url)
        self._credential = Credential(None if token_file is None else Path(token_file))
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_environment(
        cls, url: str | None = None, token_file: str | Path | None = None, *, patience_s: float = PATIENCE_S
    ) -> Self:
        """The orchestrator that ``BENCHFLEET_URL`` and ``BENCHFLEET_TOKEN_FILE`` name; arguments outrank them.

        Without either it is the one on this machine, at http://127.0.0.1:5000.
        """
        address = chosen(url, token_file)
        return cls(address.url, address.token_file, patience_s=patience_s)

    @property
    def url(self) -> str:
        """The server's address, fit to be shown."""
        return self._base

    def with_patience(self, patience_s: float) -> Self:
        """The same connection with another patience, for as long as this one is open."""
        other = copy.copy(self)
        other._patience_s = patience_s  # noqa: SLF001 (of its own kind)
        return other

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        connector = aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, path: str, query: Query | None = None) -> Document:
        return self._decode(await self._send("GET", path, query=query), Document)

    async def _typed(
        self, wanted: type[T], method: str, path: str, body: object = None, *, is_repeatable: bool | None = None
    ) -> T:
        return self._decode(await self._send(method, path, body, is_repeatable=is_repeatable), wanted)

    async def _delete(self, path: str, gone: Document, query: Query | None = None) -> Document:
        """What the server says of a removal; `gone`, if the answer that said so was lost."""
        body = await self._send("DELETE", path, query=query)
        return self._decode(body, Document) if body else gone | {"message": "it is gone; how it went was not heard"}

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        extra_s: float = 0.0,
        is_repeatable: bool | None = None,
    ) -> bytes:
        """The body of a 2xx answer; `extra_s` is added to the usual time limit of each attempt."""
        data = None if body is None else msgspec.json.encode(body)
        clock = asyncio.get_running_loop().time
        patience = Patience(self._patience_s, clock())
        may_repeat = method in _REPEATABLE if is_repeatable is None else is_repeatable
        may_be_done = False
        while True:
            answer = await self._attempt(method, path, query, data, headers or {}, extra_s)
            if isinstance(answer, bytes):
                return answer
            if may_be_done and method == "DELETE" and isinstance(answer.error, NotFound):
                return b""
            if answer.has_new_token:
                continue
            may_be_done |= not answer.never_arrived
            is_worth_it = answer.may_pass and (may_repeat or answer.never_arrived)
            delay_s = patience.delay_s(clock(), asked_to_wait(answer.error)) if is_worth_it else None
            if delay_s is None:
                raise answer.error from answer.cause
            await asyncio.sleep(delay_s)

    async def _attempt(
        self,
        method: str,
        path: str,
        query: Query | None,
        data: bytes | None,
        headers: Mapping[str, str],
        extra_s: float,
    ) -> bytes | _Failure:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S + extra_s, sock_connect=CONNECT_TIMEOUT_S)
        token = self._credential.token
        sent = self._headers(has_body=data is not None) | dict(headers)
        try:
            async with await self._request(method, path, query, data=data, headers=sent, timeout=timeout) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            return _Failure(silence(self._base, error), may_pass(error), never_arrived(error), cause=error)
        if answer.ok and answer.status < 300:
            return content
        refused = self._refusal(answer, content)
        return _Failure(refused, answer.status in PASSING, never_arrived=False, has_new_token=self._has_new(token))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
        answer_in_s: float = REQUEST_TIMEOUT_S,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 2xx answer whose body is read bit by bit, each within `answer_in_s`, as is its beginning. Tried once."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=answer_in_s)
        plain = {"Accept-Encoding": "identity"} | dict(headers or {})
        while True:
            token = self._credential.token
            sent = self._headers(has_body=False) | plain
            try:
                answer = await self._request(method, path, query, data=data, headers=sent, timeout=timeout)
            except (aiohttp.ClientError, OSError) as error:
                raise silence(self._base, error) from error
            async with answer:
                if answer.ok and answer.status < 300:
                    yield answer
                    return
                refused = await self._read_refusal(answer)
            if not self._has_new(token) or isinstance(data, AsyncIterator):  # what was sent can't be sent again
                raise refused

    def _has_new(self, token: str | None) -> bool:
        return self._credential.token != token

    async def _read_refusal(self, answer: aiohttp.ClientResponse) -> BenchfleetError:
        try:
            return self._refusal(answer, await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            return silence(self._base, error)

    async def _request(self, method: str, path: str, query: Query | None, **more: Any) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("a Client is used inside `async with`")
        address = yarl.URL(f"{self._base}/{_below(path)}", encoded=True).with_query(_given(query))
        return await self._session.request(method, address, allow_redirects=False, **more)

    def _headers(self, *, has_body: bool) -> dict[str, str]:
        token = self._credential.token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return headers | ({"Content-Type": "application/json"} if has_body else {})

    def _refusal(self, answer: aiohttp.ClientResponse, content: bytes) -> BenchfleetError:
        error = refusal(self._base, answer, content)
        if isinstance(error, NotAuthenticated):
            self._credential.renew()
        return error

    def _decode(self, body: bytes, wanted: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OrchestratorUnavailable(
                f"{self._base} answers, but not as this version's orchestrator does ({error}); check the URL"
            ) from error


def _below(path: str) -> str:
    """An address starts below ``/api``, unless it says otherwise by a slash."""
    return path[1:] if path.startswith("/") else f"api/{path}"


def _given(query: Query | None) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs += [(name, _text(one)) for one in several if one is not None]
    return pairs


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def asked_to_wait(error: BenchfleetError) -> float:
    """How long the server wants to be left alone, where it has said so."""
    return error.__dict__.get("retry_after_s", 0.0) if isinstance(error, Unavailable) else 0.0
