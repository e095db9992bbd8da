"""One campaign, followed and waited for: what a script holds after it has submitted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from daemons.client.connection import Document
from daemons.client.following import Following
from daemons.client.results import Record
from daemons.core.errors import NotFound
from daemons.core.events import Event

if TYPE_CHECKING:
    from daemons.client.client import Client

PATIENCE_S: Final = 60.0
"""A campaign is followed for so long without an answer."""


class Campaign:
    """A handle on one campaign. Making it asks nothing of the server."""

    def __init__(self, client: Client, campaign_id: str) -> None:
        self._client = client
        self.campaign_id = campaign_id

    def __repr__(self) -> str:
        return f"Campaign({self.campaign_id!r} at {self._client.url})"

    async def document(self) -> Document:
        """The campaign with the states of its jobs, as it is now."""
        return await self._client.campaign(self.campaign_id)

    def follow(self, *, with_jobs: bool = True, patience_s: float = PATIENCE_S) -> AsyncGenerator[Event]:
        """What there is of the campaign now, then each change of it once, until it has ended.

        Events are of the types `campaign`, `job` and `progress`; the last one is the ended campaign's. Without jobs,
        of the type `campaign` alone. Connections that break, and an orchestrator that is away, are waited for;
        raises OrchestratorUnavailable after `patience_s` without an answer, and NotFound when the campaign is gone.
        """
        return Following(self._client.with_patience(patience_s), self.campaign_id, with_jobs=with_jobs).events()

    async def wait(self, timeout_s: float | None = None, *, patience_s: float = PATIENCE_S) -> Document:
        """The campaign's document once it has ended. TimeoutError if that takes longer than `timeout_s`."""
        document: Document = {}
        async with asyncio.timeout(timeout_s), aclosing(self.follow(with_jobs=False, patience_s=patience_s)) as events:
            async for event in events:
                document = event.state
        try:
            return await self.document()
        except NotFound:  # it was deleted after its end
            return document

    async def results(self) -> list[Record]:
        """The rows so far, as `Client.records` gives them."""
        return await self._client.records(self.campaign_id)

    async def cancel(self) -> Document:
        """Cancel what has not ended."""
        return await self._client.cancel(self.campaign_id)

    async def retry(self) -> Document:
        """Open the failed jobs again."""
        return await self._client.retry(self.campaign_id)
