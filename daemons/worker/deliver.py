"""How a result gets home: first on this device's disk, then to the orchestrator, for as long as that takes.

Measuring is dear and sending is cheap: a report is on disk, synced, before it is sent for the first time, and leaves
the disk when the orchestrator has taken it or has settled the job otherwise.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec
import structlog

from daemons.client import Client
from daemons.core.errors import Conflict, InvalidInput, NotFound
from daemons.core.results import JobReport
from daemons.runtime.files import write_atomically
from daemons.worker.patience import Contact

log = structlog.get_logger(__name__)

MOST_DELAY_S: Final = 3.0
"""Below the usual back-off: a result arrives within 5 s of the orchestrator's return."""


class Parcel(msgspec.Struct, frozen=True):
    """A report on its way, as it lies on disk. The report stays as it was written, over upgrades of the worker."""

    job_id: str
    report: msgspec.Raw


class Outbox:
    """The reports that this device owes, one file each, and beside it those that were refused as invalid."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "outbox"
        self._rejected = state_dir / "rejected"
        for folder in (self._folder, self._rejected):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, job_id: str, report: JobReport) -> Path:
        """Keep a report. It is on disk when this returns; the same attempt's again takes the place of the first."""
        path = self._folder / _parcel_name(job_id, report.attempt)
        parcel = Parcel(job_id, msgspec.Raw(msgspec.json.encode(report)))
        write_atomically(path, msgspec.json.encode(parcel), mode=0o600)
        return path

    @property
    def refused(self) -> int:
        """How many were put aside because the orchestrator will never take them."""
        return sum(1 for _ in self._rejected.glob("*.json"))

    def waiting(self) -> list[Path]:
        """What has not been delivered, the oldest first."""
        return sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)

    def open(self, path: Path) -> Parcel | None:
        """What a file holds; None if it is no parcel, and then it has been put aside."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=Parcel)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.reject(path, f"the file is damaged: {error}")
            return None

    def settle(self, path: Path) -> None:
        """The report is taken, or nobody wants it any more."""
        path.unlink(missing_ok=True)

    def reject(self, path: Path, reason: str) -> None:
        """Put aside a report that the orchestrator will never take, where a person can find it."""
        aside = path.replace(self._rejected / path.name)
        log.error("result was rejected and is kept aside", path=str(aside), reason=reason)


class Delivery:
    """Carries what is in the outbox to the orchestrator."""

    def __init__(self, client: Client, contact: Contact, outbox: Outbox) -> None:
        self._client = client
        self._contact = contact
        self._outbox = outbox

    async def deliver_all(self) -> None:
        """Send everything that waits. Returns when nothing waits any more, however long that takes."""
        for path in self._outbox.waiting():
            parcel = self._outbox.open(path)
            if parcel is not None:
                await self._deliver(path, parcel)

    async def deliver_from_memory(self, job_id: str, report: JobReport) -> None:
        """Send a report that this device's disk doesn't take. Returns when it is taken or settled otherwise."""
        try:
            await self._send(Parcel(job_id, msgspec.Raw(msgspec.json.encode(report))))
        except InvalidInput as error:
            log.error("result was rejected and can't be kept", job_id=job_id, reason=str(error))  # noqa: TRY400

    async def _deliver(self, path: Path, parcel: Parcel) -> None:
        try:
            await self._send(parcel)
        except InvalidInput as error:
            self._outbox.reject(path, str(error))
        self._outbox.settle(path)

    async def _send(self, parcel: Parcel) -> None:
        """Insist until the orchestrator has taken it or settled the job otherwise. InvalidInput if it never will."""
        try:
            answer = await self._contact.insist(
                lambda: self._client.result(parcel.job_id, parcel.report), most_s=MOST_DELAY_S
            )
        except (NotFound, Conflict) as settled:
            log.warning("result was not wanted any more", job_id=parcel.job_id, reason=str(settled))
        else:
            log.debug("result delivered", job_id=parcel.job_id, duplicate=answer.get("duplicate"))


def _parcel_name(job_id: str, attempt: int) -> str:
    """A file's name made of a job's id, which comes from outside and is no name of a file."""
    return f"{hashlib.sha256(job_id.encode()).hexdigest()[:32]}-{attempt}.json"
