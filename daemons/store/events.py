"""The newest events, kept for those who come back and ask what they have missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from daemons.core.events import Event, Position, event_of

if TYPE_CHECKING:
    from daemons.store.lua import Scripts

PORTION: Final = 500
"""So many are read at a time: other requests are answered in between."""


class Read(NamedTuple):
    """What was found after a place."""

    now: Position
    """Where the events were at that moment."""
    events: list[Event] | None
    """The oldest first, and not necessarily all; None if what came after the place is not known any more."""


class Events:
    """Every method raises StoreUnavailable when the server doesn't answer."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def position(self) -> Position:
        """Where the events are now. What is read afterwards is at least as new."""
        return (await self._read(None)).now

    async def after(self, place: Position) -> Read:
        """What has happened after `place`, as far as it fits into a portion."""
        return await self._read(place)

    async def _read(self, place: Position | None) -> Read:
        epoch, seq = place or (None, None)
        answer = await self._scripts.run("read_events", epoch=epoch, seq=seq, limit=PORTION)
        events = answer.get("events")
        found = None if events is None else [event_of(event) for event in events]
        return Read(Position(answer["epoch"], answer["seq"]), found)
