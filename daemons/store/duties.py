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


class Duties:
    """The lease's steps. Whether a counter has stood still for too long is judged by the caller's own clock."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def take(self, holder: str, stale_counter: int = -1) -> Lease:
        """Renew the lease if `holder` has it; take it if it is free or its counter is still `stale_counter`."""
        answer = await self._scripts.run("take_duties", holder=holder, counter=stale_counter)
        return Lease(holder=answer["holder"], counter=int(answer["counter"]))

    async def drop(self, holder: str) -> None:
        """Give the lease up, if `holder` has it."""
        await self._scripts.run("drop_duties", holder=holder)
