"""What stands in the way of an answer, as the error that it is: what the server refuses with, or its silence."""

from __future__ import annotations

import os
import re
from typing import Any, Final

import aiohttp
import msgspec

from daemons.core import errors
from daemons.core.errors import BenchfleetError, OrchestratorUnavailable, Unavailable

PASSING: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that say nothing of the request: the same one may be answered later."""

_BY_STATUS: Final[dict[int, type[BenchfleetError]]] = {
    401: errors.NotAuthenticated,
    403: errors.NotAllowed,
    404: errors.NotFound,
    408: errors.OrchestratorUnavailable,
    409: errors.Conflict,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.OrchestratorUnavailable,
}


def _family(base: type[BenchfleetError]) -> list[type[BenchfleetError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _family(child))]


_BY_CODE: Final = {re.sub(r"(?<=.)([A-Z])", r"_\1", kind.__name__).lower(): kind for kind in _family(BenchfleetError)}


def refusal(base: str, answer: aiohttp.ClientResponse, content: bytes) -> BenchfleetError:
    """The error that an answer other than 2xx stands for, with the server's own sentence."""
    problem = _problem(content)
    if problem is None:  # a proxy, or some other server: it can't be believed about jobs and workers
        told = f"{base} answers HTTP {answer.status}, and not as a benchfleet orchestrator does; check the URL"
        return _with_delay(OrchestratorUnavailable(told), answer)
    kind = _kind_of(answer.status, problem.get("code"))
    text = str(problem.get("error") or problem.get("detail") or f"HTTP {answer.status}")
    return _with_delay(_with_places(kind(text), problem), answer)


def _with_places(error: BenchfleetError, problem: dict[str, Any]) -> BenchfleetError:
    """The error with the field that the server names, and every mistake that it has found."""
    if isinstance(error, errors.InvalidInput):
        field, mistakes = problem.get("field"), problem.get("mistakes")
        error.field = field if isinstance(field, str) else None
        if isinstance(mistakes, list) and mistakes and all(isinstance(one, str) for one in mistakes):
            error.mistakes = tuple(mistakes)
    return error


def _with_delay(error: BenchfleetError, answer: aiohttp.ClientResponse) -> BenchfleetError:
    delay = answer.headers.get("Retry-After") or ""
    if isinstance(error, Unavailable) and delay.isdecimal():
        error.retry_after_s = int(delay)
    return error


def silence(base: str, error: BaseException) -> OrchestratorUnavailable:
    """The error that no answer stands for."""
    told = f"no answer from the orchestrator at {base} ({_cause(error)})"
    return OrchestratorUnavailable(f"{told}; is it running there, and can this machine reach it?")


def never_arrived(error: BaseException) -> bool:
    """Whether a request can't have had any effect: there was no connection to send it over."""
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def may_pass(error: BaseException) -> bool:
    """Whether the server may be reached later, when it could not be reached like this."""
    return not isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL)


def _problem(content: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _kind_of(status: int, code: object) -> type[BenchfleetError]:
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status, OrchestratorUnavailable if status >= 500 else errors.InvalidInput)


def _cause(error: BaseException) -> str:
    """Why there was no answer, in few words."""
    match error:
        case TimeoutError():
            return "it took too long"
        case aiohttp.ClientConnectorDNSError():
            return f"the host name {error.host} can't be resolved"
        case OSError(errno=int(number)):  # aiohttp's own text names addresses and TLS settings before the cause
            return os.strerror(number).lower()
        case _:
            return str(error) or type(error).__name__
