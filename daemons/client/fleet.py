"""Devices: watched, drained, checked, set aside, removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TypedDict, Unpack

from msgspec import UnsetType

from daemons.client.address import segment
from daemons.client.connection import Connection, Document
from daemons.client.paging import all_of
from daemons.core import answers_fleet


class WorkerFilters(TypedDict, total=False):
    """Which devices: those of this status, that offer this compute unit and have all these tags, alone."""

    status: str | None
    compute_unit: str | None
    tag: str | Sequence[str] | None


class Fleet(Connection):
    """Requests about devices."""

    async def workers(
        self, *, limit: int | None = None, cursor: str | None = None, **wanted: Unpack[WorkerFilters]
    ) -> Document:
        """One page of workers, the oldest first; all of them for as long as they fit."""
        return await self._get("workers", {**wanted, "limit": limit, "cursor": cursor})

    def iter_workers(self, **wanted: Unpack[WorkerFilters]) -> AsyncIterator[answers_fleet.Worker]:
        """All such workers, the oldest first, however many pages they take."""

        async def page(cursor: str | None) -> tuple[list[answers_fleet.Worker], str | UnsetType]:
            body = await self._send("GET", "workers", query={**wanted, "cursor": cursor})
            found = self._decode(body, answers_fleet.WorkerList)
            return found.workers, found.next_cursor

        return all_of(page)

    async def worker(self, worker_id: str) -> Document:
        """One worker."""
        return await self._get(f"workers/{segment(worker_id)}")

    async def set_status(self, worker_id: str, status: str) -> Document:
        """Set a worker's status by hand."""
        return await self._typed(Document, "PUT", f"workers/{segment(worker_id)}/status", {"status": status})

    async def worker_health(self, worker_id: str) -> Document:
        """When one worker was last heard."""
        return await self._get(f"workers/{segment(worker_id)}/health")

    async def workers_health(self) -> Document:
        """When each worker was last heard."""
        return await self._get("health/workers")

    async def reset_worker(self, worker_id: str) -> Document:
        """Take a faulty worker back into service."""
        return await self._typed(Document, "PUT", f"workers/{segment(worker_id)}/reset")

    async def drain_worker(self, worker_id: str, reason: str | None = None) -> Document:
        """Let a worker end what it runs, and take nothing more."""
        body = {} if reason is None else {"reason": reason}
        return await self._typed(Document, "POST", f"workers/{segment(worker_id)}/drain", body, is_repeatable=True)

    async def undrain_worker(self, worker_id: str) -> Document:
        """Let a worker take jobs again."""
        return await self._typed(Document, "POST", f"workers/{segment(worker_id)}/undrain", is_repeatable=True)

    async def check_worker(self, worker_id: str) -> Document:
        """Let a worker measure the reference model before its other jobs: the checkup's `campaign_id`."""
        return await self._typed(Document, "POST", f"workers/{segment(worker_id)}/check")

    async def remove_worker(self, worker_id: str, *, force: bool = False) -> Document:
        """Forget a worker that is offline or faulty; with `force` also one that lives."""
        gone: Document = {"worker_id": worker_id, "removed": True, "failed_jobs": None}
        return await self._delete(f"workers/{segment(worker_id)}", gone, {"force": True if force else None})
