"""The stream of events: what happens in the fleet, as it happens."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers_events
from daemons.core.events import POSITION_PATTERN, EventFilter, Position, position_of
from daemons.orchestrator.api.context import FEED
from daemons.orchestrator.api.parameters import headers_of, query_of
from daemons.orchestrator.api.routes import EVENT_STREAM, WATCH, CampaignId, Content, Route, WorkerId
from daemons.orchestrator.api.streaming import stream

Place = Annotated[
    str,
    Meta(
        pattern=POSITION_PATTERN,
        extra={"allowed": "the identifier of an event, such as 0123456789ab-42"},
    ),
]
Type = Literal["worker", "worker_removed", "job", "progress", "campaign", "campaign_removed", "reset"]


class EventsQuery(Struct, frozen=True):
    """Which events are told."""

    after: Place | None = None
    """Those after this one, the newest 10,000 at most. Without: what happens from now on."""
    campaign_id: CampaignId | None = None
    """Those alone about this campaign and its jobs."""
    worker_id: WorkerId | None = None
    """Those alone about this device and the jobs that it has."""
    type: Annotated[list[Type], Meta(max_length=20)] = []
    """Those of these types alone; may be given several times."""
    seconds: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    """End the stream after so long; 0: when all is told that has happened. Without: never."""


class EventsHeaders(Struct, frozen=True, rename={"last_event_id": "Last-Event-ID"}):
    """What a listener sends that comes again."""

    last_event_id: Place | None = None
    """The same as `after`, and goes before it: programs that know server-sent events send it by themselves."""


async def events(request: web.Request) -> web.StreamResponse:
    """What happens in the fleet, as server-sent events, until the listener has had enough.

    The first one is `ready`: what happens after it will be told. `data` is a JSON document with `type`, `seq`,
    `epoch`, `at` and the whole new `state` of what changed. Where something is missing, `resync` stands in its stead:
    then what is known is to be fetched again, and what follows is newer.
    """
    query, headers = query_of(request, EventsQuery), headers_of(request, EventsHeaders)
    wanted = EventFilter(frozenset(query.type), query.campaign_id, query.worker_id)
    seconds = math.inf if query.seconds is None else query.seconds
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})  # a proxy that gathers would hold events back
    response.content_type, response.charset = EVENT_STREAM, "utf-8"
    pieces = request.app[FEED].stream(_place(headers.last_event_id or query.after), wanted, seconds)
    return await stream(request, pieces, response, is_large=False)


def _place(text: str | None) -> Position | None:
    return None if text is None else position_of(text)


ROUTES: Final = (
    Route(
        "GET",
        "/api/events",
        events,
        WATCH,
        "Listen to events",
        answers={
            200: Content(
                media=(EVENT_STREAM,),
                line=answers_events.AnyEvent,
                text="Server-sent events; the `data` of each is one of the types whose names end with Event.",
            )
        },
        query=EventsQuery,
        headers=EventsHeaders,
    ),
)
