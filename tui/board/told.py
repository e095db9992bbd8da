"""What a link tells: parts of a snapshot, events, answers to what screens ask, and how it fares itself.

Documents are the REST API's own, so that a recording of them is readable, and can be replayed by a later version.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from daemons.core.events import Event

Document = dict[str, Any]
Kind = Literal["worker", "campaign", "job"]


class Page(Struct, frozen=True, kw_only=True, tag="page"):
    """Some things of one kind as they were when asked for."""

    kind: Kind
    epoch: str
    items: list[Document]


class Whole(Struct, frozen=True, kw_only=True, tag="whole"):
    """The pages told before make a whole: what existed when the snapshot began is in them."""

    epoch: str
    seq: int
    """Read before the pages: whatever is newer comes as an event."""
    workers: list[str]
    campaigns: list[str]


class Happened(Struct, frozen=True, kw_only=True, tag="event"):
    """An event, as everybody hears it."""

    event: Event


class Link(Struct, frozen=True, kw_only=True, tag="link"):
    """How the connection fares from now on."""

    is_live: bool
    why: str = ""
    """What was lost, in a sentence; empty while it is live."""
    retry_in_s: float | None = None
    """Tried again after so long; None: it is being tried now."""
    by: str = ""
    """How events come: by which way."""


class Pulse(Struct, frozen=True, kw_only=True, tag="pulse"):
    """The orchestrator's health, as it answered just now; None: it gave no answer, and why."""

    health: Document | None
    why: str = ""


class Asked(Struct, frozen=True, kw_only=True, tag="asked"):
    """What the API answered to something that a screen asked for."""

    question: str
    """The client's method and its arguments, as JSON."""
    answer: Any


Told = Page | Whole | Happened | Link | Pulse | Asked


def question(method: str, arguments: dict[str, Any]) -> str:
    """A question as a text by which a replay finds its answer."""
    return msgspec.json.encode([method, dict(sorted(arguments.items()))]).decode()
