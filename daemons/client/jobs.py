"""Jobs, and the queues in which they wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, TypedDict, Unpack

from msgspec import UnsetType

from daemons.client.address import segment
from daemons.client.connection import Connection, Document
from daemons.client.paging import all_of
from daemons.core import answers

AnyKind = Literal["benchmark", "health", "all"]
"""What people submit, checkups of devices, or both."""


class JobFilters(TypedDict, total=False):
    """Which jobs: those of this campaign, status, device and compute unit alone."""

    campaign_id: str | None
    status: str | None
    worker_id: str | None
    compute_unit: str | None
    kind: AnyKind | None


class Jobs(Connection):
    """Requests about jobs."""

    async def jobs(
        self, *, limit: int | None = None, cursor: str | None = None, **wanted: Unpack[JobFilters]
    ) -> Document:
        """One page of jobs: of the newest campaign first, in their order within each."""
        return await self._get("jobs", {**wanted, "limit": limit, "cursor": cursor})

    def iter_jobs(self, **wanted: Unpack[JobFilters]) -> AsyncIterator[answers.Job]:
        """All such jobs in that order, however many pages they take."""

        async def page(cursor: str | None) -> tuple[list[answers.Job], str | UnsetType]:
            found = self._decode(await self._send("GET", "jobs", query={**wanted, "cursor": cursor}), answers.JobList)
            return found.jobs, found.next_cursor

        return all_of(page)

    async def job(self, job_id: str) -> Document:
        """One job with its history, and its result once it has ended."""
        return await self._get(f"jobs/{segment(job_id)}")

    async def cancel_job(self, job_id: str) -> Document:
        """End a waiting job at once, a running one as soon as its worker hears of it."""
        return await self._typed(Document, "POST", f"jobs/{segment(job_id)}/cancel", is_repeatable=True)

    async def retry_job(self, job_id: str) -> Document:
        """Open a failed job again."""
        return await self._typed(Document, "POST", f"jobs/{segment(job_id)}/retry")

    async def queue_status(self) -> Document:
        """How much is waiting, by worker and by unit."""
        return await self._get("queue/status")
