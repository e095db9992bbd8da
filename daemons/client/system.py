"""The orchestrator itself: its health, its figures, its document."""

from __future__ import annotations

from daemons.client.connection import Connection, Document


class System(Connection):
    """Requests about the orchestrator."""

    async def health(self) -> Document:
        """State of the orchestrator and its database, as it is now: asked once, however patient the client is."""
        return await self.with_patience(0.0)._get("health")  # noqa: SLF001 (of its own kind)

    async def monitoring_stats(self) -> Document:
        """What the periodic duties have done."""
        return await self._get("monitoring/stats")

    async def redis_address(self) -> Document:
        """Where Redis is, for a program on the orchestrator's own machine. NotAllowed for all others."""
        return await self._get("redis")

    async def reset(self) -> Document:
        """Clear all workers, campaigns, jobs and results. CSV files stay."""
        return await self._typed(Document, "POST", "reset")

    async def openapi(self) -> Document:
        """The API's own document, OpenAPI 3.1."""
        return await self._get("openapi.json")

    async def metrics(self) -> str:
        """The fleet and this orchestrator in numbers, as Prometheus reads them."""
        return (await self._send("GET", "/metrics")).decode()
