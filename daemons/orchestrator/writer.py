"""Writes each ended campaign's CSV: a projection of what the store holds, made again at will with the same outcome."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import msgspec
import structlog

from daemons.core.errors import NotFound
from daemons.core.lifecycle import CampaignStatus
from daemons.core.results import csv_filename, to_csv
from daemons.orchestrator.outputs import remove_older_files
from daemons.runtime.files import write_atomically
from daemons.store import Store
from daemons.store.keys import campaign_of
from daemons.store.lists import ended_jobs_of

log = structlog.get_logger(__name__)


class WriterCounts(msgspec.Struct):
    """What the writer of this process has done since it started, and what keeps it from its work now."""

    files_written: int = 0
    last_error: str | None = None


class Writer:
    """Takes what waits in the outbox, writes the files of the campaigns that ended with it, then acknowledges."""

    def __init__(self, store: Store, outputs: Path) -> None:
        self._store = store
        self.outputs = outputs
        self.counts = WriterCounts()
        self._one_at_a_time = asyncio.Lock()

    async def flush(self) -> None:
        """Write all that waits. What can't be written stays waiting, and is said in `counts.last_error`."""
        async with self._one_at_a_time:
            written: dict[str, int] = {}
            while waiting := await self._store.outbox.waiting():
                if not await self._settle(waiting, written):
                    return
            self.counts.last_error = None

    async def csv(self, campaign_id: str) -> str:
        """The campaign's CSV as far as its jobs have ended; or NotFound."""
        rows = [row async for rows in self._store.lists.rows(ended_jobs_of(campaign_id)) for row in rows]
        # In a thread: a hundred thousand rows take more than a second, and beats must be answered meanwhile.
        return await asyncio.to_thread(to_csv, rows)

    async def _settle(self, waiting: dict[str, str], written: dict[str, int]) -> bool:
        """Whether all that waited is on disk, or belongs to a campaign that goes on or is gone.

        `written` holds the version of each campaign whose file was written in this flush: a large campaign that was
        cancelled waits in many parts, and is written once.
        """
        entries = defaultdict(list)
        for entry, job_id in waiting.items():
            entries[campaign_of(job_id)].append(entry)
        is_done = True
        for campaign_id, settled in entries.items():
            if await self._write_if_ended(campaign_id, written):
                await self._store.outbox.acknowledge(campaign_id, settled, written.get(campaign_id))
            else:
                is_done = False
        return is_done

    async def _write_if_ended(self, campaign_id: str, written: dict[str, int]) -> bool:
        try:
            campaign = await self._store.campaigns.get(campaign_id)
            version = campaign["version"]
            if CampaignStatus(campaign["status"]).is_final and written.get(campaign_id) != version:
                await self._write(campaign_id, campaign["ended_at"])
                written[campaign_id] = version
        except NotFound:
            log.info("campaign gone before its results were written", campaign=campaign_id)
        except OSError as error:
            if self.counts.last_error is None:
                log.error("results could not be written", campaign=campaign_id, error=str(error))  # noqa: TRY400
            self.counts.last_error = str(error)
            return False
        return True

    async def _write(self, campaign_id: str, ended_at: str) -> None:
        path = self.outputs / csv_filename(campaign_id, ended_at)
        content = (await self.csv(campaign_id)).encode()
        await asyncio.to_thread(write_atomically, path, content)
        await asyncio.to_thread(remove_older_files, path, campaign_id)
        self.counts.files_written += 1
        log.info("results written", campaign=campaign_id, file=str(path))
