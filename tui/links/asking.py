"""What screens ask and order, put to the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemons.client import Client


class ClientAsker:
    """Calls the client's method of that name; answers are documents or lists of them, so that they can be recorded."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, method: str, arguments: dict[str, Any]) -> Any:
        """The answer. Raises BenchfleetError."""
        own: dict[str, Callable[..., Awaitable[Any]]] = {
            "records_of_device": self._records_of_device,
            "records_of_campaign": self._records_of_campaign,
        }
        call: Callable[..., Awaitable[Any]] = own.get(method) or getattr(self._client, method)
        return await call(**arguments)

    async def _records_of_device(self, worker_id: str, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async for record in self._client.iter_records_all(worker_id=worker_id):
            found.append(record)
            if len(found) == limit:
                break
        return found

    async def _records_of_campaign(self, campaign_id: str) -> list[dict[str, Any]]:
        return await self._client.records_all(campaign_id=campaign_id)
