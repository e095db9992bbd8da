"""The periodic duty about kept models: what nobody goes on with and what is too much has to go."""

from __future__ import annotations

from typing import Final

import structlog

from daemons.orchestrator.modelstore.store import ModelStore

log = structlog.get_logger(__name__)

EVERY_S: Final = 300.0


class Upkeep:
    """One round tidies the folder. What keeps it from that is said in `last_error`."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        self.last_error: str | None = None

    async def round(self) -> None:
        """Tidy. Raises StoreUnavailable."""
        try:
            await self._models.tidy()
        except OSError as error:
            log.warning("the folder of models could not be tidied", error=str(error))
            self.last_error = str(error)
        else:
            self.last_error = None
