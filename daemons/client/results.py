"""Results: as CSV text, as records, as they come; and the CSV files that the orchestrator has written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict, Unpack

import msgspec
from msgspec import UnsetType

from daemons.client.address import segment
from daemons.client.connection import UPLOAD_TIMEOUT_S, Connection, Document, Query
from daemons.client.jobs import AnyKind
from daemons.client.modelfiles import chunks_of
from daemons.client.paging import all_of
from daemons.core.errors import OrchestratorUnavailable

Record = dict[str, Any]
"""One result by column name: numbers are numbers, what is not known is None. ``pandas.DataFrame`` takes a list."""

PAGE: Final = 1000


class _Page(msgspec.Struct, frozen=True):
    results: list[Record]
    next_cursor: str | UnsetType = msgspec.UNSET


class ResultFilters(TypedDict, total=False):
    """Which results: those of these campaigns, this status, compute unit and device, and since that time, alone.

    A time without a zone is this machine's.
    """

    campaign_id: str | Sequence[str] | None
    status: str | None
    compute_unit: str | None
    worker_id: str | None
    since: datetime | str | None
    kind: AnyKind | None


class Results(Connection):
    """Requests about results."""

    async def results(self, campaign_id: str) -> str:
        """The campaign's rows so far, as CSV."""
        return (await self._results(campaign_id, "csv")).decode()

    async def records(self, campaign_id: str) -> list[Record]:
        """The campaign's rows so far."""
        return self._decode(await self._results(campaign_id, "json"), _Page).results

    async def iter_records(self, campaign_id: str) -> AsyncIterator[Record]:
        """The campaign's rows so far, as they come. OrchestratorUnavailable if they break off before the last."""
        path = f"campaigns/{segment(campaign_id)}/results"
        async with self.stream("GET", path, query={"format": "jsonl"}) as answer:
            rest = b""
            async for chunk in chunks_of(answer):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield self._decode(line, Record)
            if rest:
                raise OrchestratorUnavailable("the orchestrator's answer broke off inside a row")

    async def results_all(self, **wanted: Unpack[ResultFilters]) -> str:
        """The rows of all campaigns as CSV: of the newest campaign first, in the order of the jobs within each."""
        query = {**_query(wanted), "format": "csv"}
        return (await self._send("GET", "results/all", query=query, extra_s=UPLOAD_TIMEOUT_S)).decode()

    async def records_all(self, **wanted: Unpack[ResultFilters]) -> list[Record]:
        """The rows of all campaigns in that order."""
        return [record async for record in self.iter_records_all(**wanted)]

    def iter_records_all(self, **wanted: Unpack[ResultFilters]) -> AsyncIterator[Record]:
        """The rows of all campaigns in that order, fetched in pages, each of them with the client's patience."""

        async def page(cursor: str | None) -> tuple[list[Record], str | UnsetType]:
            query = {**_query(wanted), "format": "json", "limit": PAGE, "cursor": cursor}
            found = self._decode(await self._send("GET", "results/all", query=query), _Page)
            return found.results, found.next_cursor

        return all_of(page)

    async def results_files(self) -> Document:
        """The CSV files that have been written."""
        return await self._get("results/files")

    async def download(self, filename: str) -> bytes:
        """One CSV file."""
        return await self._send("GET", f"results/download/{segment(filename)}", extra_s=UPLOAD_TIMEOUT_S)

    async def _results(self, campaign_id: str, form: str) -> bytes:
        path = f"campaigns/{segment(campaign_id)}/results"
        return await self._send("GET", path, query={"format": form}, extra_s=UPLOAD_TIMEOUT_S)


def _query(wanted: ResultFilters) -> Query:
    since = wanted.get("since")
    return {**wanted, "since": since.astimezone().isoformat() if isinstance(since, datetime) else since}
