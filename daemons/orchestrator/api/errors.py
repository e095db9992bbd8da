"""The one table from our errors to HTTP, and the document that an error becomes (RFC 9457)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from daemons.core import errors

STATUS: Final[dict[type[errors.BenchfleetError], HTTPStatus]] = {
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.WrongHash: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.NoRoom: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""A kind of error has the status of the nearest class above it that stands here."""


def code_of(error: errors.BenchfleetError) -> str:
    """The error's name for programs: ``StaleAttempt`` is ``stale_attempt``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def status_of(error: errors.BenchfleetError) -> HTTPStatus:
    """The HTTP status of an error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(status: HTTPStatus, code: str, sentence: str, **more: Any) -> web.Response:
    """An answer of type `application/problem+json` whose `error` is the sentence."""
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": sentence,
        "error": sentence,
        "code": code,
    }
    return web.Response(
        status=status, body=msgspec.json.encode(document | more), content_type="application/problem+json"
    )


def problem_of(error: errors.BenchfleetError) -> web.Response:
    """The answer that says what was wrong."""
    more: dict[str, Any] = {}
    if isinstance(error, errors.InvalidInput):
        more = {"field": error.field, "mistakes": error.mistakes}
    response = problem(status_of(error), code_of(error), str(error), **more)
    if isinstance(error, errors.Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.NotAuthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="benchfleet"'
    return response


def problem_of_http(error: web.HTTPException, request: web.Request) -> web.Response:
    """The same document for what aiohttp itself refuses."""
    status = HTTPStatus(error.status)
    sentences = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {request.path}; GET /api/docs tells what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.path} doesn't take {request.method}; "
        f"it takes {error.headers.get('Allow', 'another method')}",
        HTTPStatus.REQUEST_TIMEOUT: "the body did not arrive in time; send it again",
    }
    response = problem(status, status.phrase.lower().replace(" ", "_"), sentences.get(status, status.phrase))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
