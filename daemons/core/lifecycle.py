"""The states of jobs, campaigns and workers, by the words that the REST API uses.

Which transition is allowed when is decided in one place only: the scripts of `daemons.store`, where it is atomic.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class JobStatus(StrEnum):
    """`pending` → `running` → an end state; `running` → `pending` again when the attempt is lost."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing but a retry by hand can change it."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


class ReportStatus(StrEnum):
    """How a worker says that a job has ended, and what the CSV's `Status` column holds."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def job_status(self) -> JobStatus:
        """The end state that a job gets with this report."""
        return JobStatus(self.value.lower())


class CampaignStatus(StrEnum):
    """`completed`: all jobs have ended, at least one complete. `failed`: all have ended, none complete."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether all of its jobs have ended."""
        return self is not CampaignStatus.RUNNING


class WorkerStatus(StrEnum):
    """`active` is ready for work; `faulty` was silent, failed or set aside; `offline` said goodbye."""

    ACTIVE = "active"
    BUSY = "busy"
    CLEANUP = "cleanup"
    FAULTY = "faulty"
    OFFLINE = "offline"


SettableStatus = Literal["active", "busy", "cleanup", "faulty"]
"""What `PUT /api/workers/{id}/status` takes; `offline` is reached by a goodbye alone."""
