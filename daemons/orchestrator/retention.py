"""Forgets campaigns that ended long ago. Their CSV files stay."""

from __future__ import annotations

from typing import Final

import structlog

from daemons.store import Store

log = structlog.get_logger(__name__)

DAY_S: Final = 86_400.0
EVERY_S: Final = 60.0


class Retention:
    """One round forgets all that is due, in portions. `days` None keeps all that nobody has deleted."""

    def __init__(self, store: Store, days: float | None) -> None:
        self._store = store
        self._keep_s = None if days is None else days * DAY_S

    async def round(self) -> None:
        """Forget what is due. Raises StoreUnavailable."""
        forgotten, has_more = 0, True
        while has_more:
            campaigns, has_more = await self._store.campaigns.forget_old(self._keep_s)
            forgotten += campaigns
        if forgotten:
            log.info("old campaigns forgotten", campaigns=forgotten)
