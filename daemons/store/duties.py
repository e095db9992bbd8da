"""The lease of the periodic duties: one replica does them at a time, and any other can take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from daemons.store.lua import Scripts


class Lease(msgspec.Struct, frozen=True):
    """Who holds it, and the counter that the holder raises."""

    holder: str
    counter: int


class FleetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What monitoring tells of the whole fleet."""

    counters: dict[str, int] = {}
    """What has happened how often, since the last reset."""
    duties: dict[str, float] = {}
    """Milliseconds since each duty was last done, by any replica."""
    problems: dict[str, str] = {}
    """What stands in the way of a duty."""
    holder: str | None = None
    outputs: str | None = None
    """The mark of the folder that the holder writes results to."""
    oldest_result_ms: float | None = None
    undelivered: int = 0
    """Results that devices keep because nobody takes them."""
    leaving: int = 0
    webhooks_pending: int = 0


class Duties:
    """The lease's steps. Whether a counter has stood still for too long is judged by the caller's own clock."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def take(self, holder: str, stale_counter: int = -1) -> Lease:
        """Renew the lease if `holder` has it; take it if it is free or its counter is still `stale_counter`."""
        answer = await self._scripts.run("take_duties", holder=holder, counter=stale_counter)
        return Lease(holder=answer["holder"], counter=int(answer["counter"]))

    async def note(self, holder: str, done: dict[str, float], problems: dict[str, str], outputs: str) -> None:
        """Note how many seconds ago `holder` has done each duty, and what it could not do.

        Nothing happens if it has lost the lease.
        """
        done_ms = {name: round(ago_s * 1000) for name, ago_s in done.items()}
        await self._scripts.run("note_duties", holder=holder, done=done_ms, problems=problems, outputs=outputs)

    async def facts(self) -> FleetFacts:
        """How the duties stand, and what has happened to the fleet's jobs."""
        return msgspec.convert(await self._scripts.run("fleet_facts"), FleetFacts)

    async def drop(self, holder: str) -> None:
        """Give the lease up, if `holder` has it."""
        await self._scripts.run("drop_duties", holder=holder)
