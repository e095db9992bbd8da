"""What a route is, as data: the router, the guard, the checks of a request and the API's document are made of it.

A module of handlers ends with its table ``ROUTES``; `daemons.orchestrator.api.app` joins the tables. A handler's
docstring is its description in the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core.urls import NAME_PATTERN
from daemons.orchestrator.api.guard import Handler, Role

JSON: Final = "application/json"
CSV: Final = "text/csv"
LINES: Final = "application/x-ndjson"
HTML: Final = "text/html"
EVENT_STREAM: Final = "text/event-stream"

LOOK: Final = (Role.VIEWER, Role.OPERATOR, Role.WORKER)
WATCH: Final = (Role.VIEWER, Role.OPERATOR)
OPERATE: Final = (Role.OPERATOR,)
WORK: Final = (Role.WORKER,)
WORK_OR_OPERATE: Final = (Role.WORKER, Role.OPERATOR)

CURSOR_ALLOWED: Final = "`next_cursor` of the answer before"
"""What a cursor must be, in words."""

Identifier = Annotated[str, Meta(min_length=1, max_length=200)]

CampaignId = Annotated[
    str,
    Meta(
        pattern=r"^campaign-[0-9]{1,20}$",
        extra={"allowed": "a campaign's identifier, such as campaign-1736432000123456"},
    ),
]
JobId = Annotated[str, Meta(pattern=r"^campaign-[0-9]{1,20}-job-[0-9]{1,6}$")]
WorkerId = Annotated[
    str,
    Meta(pattern=r"^worker-[0-9a-f]{1,32}$", extra={"allowed": "a device's identifier, such as worker-0123456789ab"}),
]

JobCursor = Annotated[str, Meta(pattern=r"^[0-9]{1,20}-[0-9]{1,6}$", extra={"allowed": CURSOR_ALLOWED})]
"""A campaign's number, and a position in it."""

PATH_PARAMETERS: Final[dict[str, Any]] = {
    "campaign_id": Annotated[CampaignId, Meta(description="Such as `campaign-1736432000123456`.")],
    "job_id": Annotated[JobId, Meta(description="Such as `campaign-1736432000123456-job-0`.")],
    "worker_id": Annotated[WorkerId, Meta(description="Such as `worker-0123456789ab`.")],
    "name": Annotated[str, Meta(pattern=NAME_PATTERN, description="A model's, such as `resnet50.onnx`.")],
    "sha256": Annotated[str, Meta(pattern="^[0-9A-Fa-f]{64}$", description="In 64 hexadecimal digits.")],
    "filename": Annotated[Identifier, Meta(description="As `GET /api/results/files` names it.")],
}
"""What stands in the braces of a path, by name."""


class Content(Struct, frozen=True, kw_only=True):
    """What a body holds, of a request or an answer."""

    type: Any = None
    """What its JSON stands for; of lines of JSON, see `line`."""
    line: Any = None
    """What each line of `application/x-ndjson`, and each event of `text/event-stream`, stands for."""
    media: tuple[str, ...] = (JSON,)
    """Its content types; of an answer, the first is sent to whoever has no wish."""
    text: str = ""
    """When it is sent, and what it says."""
    headers: Mapping[str, str] = {}
    """Headers that tell more, each with what it holds."""
    example: Any = None


EMPTY: Final = Content(media=())


class Route(Struct, frozen=True):
    """One thing that can be asked of the API. A `GET` takes `HEAD` as well."""

    method: str
    path: str
    handler: Handler
    roles: tuple[Role, ...]
    """Who may ask, where the server has tokens."""
    summary: str
    answers: Mapping[int, Any] = {}
    """Status → type of the JSON, or Content, of every answer that is no refusal."""
    query: type[Struct] | None = None
    """The query string's parameters: its fields with their types, limits and defaults. None: it takes none."""
    headers: type[Struct] | None = None
    """Request headers that it heeds."""
    body: Any = None
    """Type of the JSON, or Content, that it takes. None: it takes none."""
    is_body_optional: bool = False
    """A request without a body means one that says nothing."""
    refusals: tuple[int, ...] = ()
    """What it may refuse with besides what follows from its other fields: see `refusals_of`."""
    needs_store: bool = True
    is_open: bool = False
    """Anybody may ask, also without a token: it tells nothing of this fleet."""


class Subject(Struct, frozen=True):
    """The routes about one thing, under a heading."""

    name: str
    text: str
    routes: tuple[Route, ...]


ROUTE: Final = web.RequestKey("route", Route)
"""The route that a request takes."""


def content_of(declared: Any) -> Content:
    """What a route declares of a body, written out."""
    return declared if isinstance(declared, Content) else Content(type=declared)


def refusals_of(route: Route) -> tuple[HTTPStatus, ...]:
    """Every status that a route may refuse a request with, in order."""
    found = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, *map(HTTPStatus, route.refusals)}
    if not route.is_open:
        found.add(HTTPStatus.UNAUTHORIZED)
    if "{" in route.path:
        found.add(HTTPStatus.NOT_FOUND)
    if route.body is not None:
        found |= {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    if route.needs_store:
        found.add(HTTPStatus.SERVICE_UNAVAILABLE)
    return tuple(sorted(found - {HTTPStatus(status) for status in route.answers}))
