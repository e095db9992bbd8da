"""A fleet as one would tell it to a colleague: the same steps as the store's, in plain Python, to hold against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

MAX_LOSSES = 3
MAX_DEVICE_FAILURES = 5
MAX_IN_A_ROW = 3
DEVICE_FAILURE = "device failure"
SET_ASIDE = ("failures", "health")
"""Why a device gets health jobs alone."""
ENDS = {"Complete": "complete", "Failed": "failed", "Cancelled": "cancelled", DEVICE_FAILURE: "failed"}


class Refused(Exception):
    """The step changes nothing."""


class Try(NamedTuple):
    """An attempt of a job on a worker."""

    job_id: str
    worker: str
    number: int


@dataclass
class Job:
    """What a job is."""

    order: tuple[int, int]
    """What goes first: the higher priority, then what has come first; both as numbers of which the lower goes first."""
    tags: frozenset[str] = frozenset()
    status: str = "pending"
    tries: list[str] = field(default_factory=list)
    losses: int = 0
    device_failures: int = 0
    is_cancelled: bool = False
    is_adoptable: bool = False
    is_reported: bool = False
    avoids: str | None = None
    device: str | None = None
    """Whose health job it is."""

    @property
    def has_passed(self) -> bool | None:
        """What a health job that has ended says of its device."""
        return {"complete": True, "failed": False}.get(self.status)

    @property
    def is_final(self) -> bool:
        return self.status not in ("pending", "running")

    def is_newest(self, attempt: Try) -> bool:
        return attempt.number == len(self.tries) and self.tries[-1] == attempt.worker

    def wait_again(self) -> None:
        self.status, self.avoids = "pending", self.tries[-1]

    def lose(self, *, is_adoptable: bool) -> None:
        self.losses += 1
        self.is_adoptable = is_adoptable
        if self.is_cancelled:
            self.status = "cancelled"
        elif self.losses >= MAX_LOSSES:
            self.status = "failed"
        else:
            self.wait_again()

    def give_back(self) -> None:
        self.status = "cancelled" if self.is_cancelled else "pending"


@dataclass
class Worker:
    """What a device is. `cause` says why it is away: silent, offline, by_hand, failures, health."""

    name: str
    cause: str | None = None
    is_drained: bool = False
    failures: int = 0
    tags: frozenset[str] = frozenset()
    checkup: str | None = None
    """The health job of the checkup that is open."""

    @property
    def can_be_checked(self) -> bool:
        return self.checkup is None and not self.is_drained and self.cause != "by_hand"

    @property
    def can_take(self) -> bool:
        return self.cause is None and not self.is_drained

    def heard_from(self) -> None:
        if self.cause in ("silent", "offline"):
            self.cause = None


class Fleet:
    """All of it. Workers and jobs go by the identifiers that the store gave them."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.jobs: dict[str, Job] = {}
        self.campaigns: dict[str, bool] = {}
        self._arrivals = 0

    # Questions

    def current(self, worker: str) -> str | None:
        running = (job_id for job_id, job in self.jobs.items() if job.status == "running" and job.tries[-1] == worker)
        return next(running, None)

    def waiting(self, device: str | None = None) -> list[str]:
        waiting = (job_id for job_id, job in self.jobs.items() if job.status == "pending" and job.device == device)
        return sorted(waiting, key=self._order)

    def waiting_with(self, tags: frozenset[str]) -> list[str]:
        """Those for devices with exactly these tags."""
        return [job_id for job_id in self.waiting() if self.jobs[job_id].tags == tags]

    def next_for(self, worker: str) -> str | None:
        """A health job that somebody asked for goes first; a device that is set aside gets no other."""
        one = self.workers[worker]
        if one.is_drained or one.cause not in (None, *SET_ASIDE):
            return None
        return next(iter(self.waiting(worker)), None) or (self.first_for(worker) if one.can_take else None)

    def first_for(self, worker: str) -> str | None:
        return next((job_id for job_id in self.waiting() if self._is_for(worker, self.jobs[job_id])), None)

    def _is_for(self, worker: str, job: Job) -> bool:
        others = [other for name, other in self.workers.items() if name != worker and other.can_take]
        is_left = job.avoids == worker and any(job.tags <= other.tags for other in others)
        return job.tags <= self.workers[worker].tags and not is_left

    def tries(self) -> list[Try]:
        return [
            Try(job_id, worker, number)
            for job_id, job in self.jobs.items()
            for number, worker in enumerate(job.tries, start=1)
        ]

    def jobs_of(self, campaign: str) -> list[Job]:
        return [job for job_id, job in self.jobs.items() if job_id.rpartition("-job-")[0] == campaign]

    def campaign_status(self, campaign: str) -> str:
        statuses = {job.status for job in self.jobs_of(campaign)}
        if statuses & {"pending", "running"}:
            return "running"
        if self.campaigns[campaign] and "cancelled" in statuses:
            return "cancelled"
        return "completed" if "complete" in statuses else "failed" if "failed" in statuses else "cancelled"

    def _order(self, job_id: str) -> tuple[int, int]:
        return self.jobs[job_id].order

    def _next(self) -> int:
        self._arrivals += 1
        return self._arrivals

    # Steps

    def submit(self, jobs: list[str], tags: frozenset[str] = frozenset(), priority: int = 0) -> None:
        self.campaigns[jobs[0].rpartition("-job-")[0]] = False
        self.jobs |= {job_id: Job((-priority, self._next()), tags) for job_id in jobs}

    def check(self, worker: str, job_id: str) -> None:
        self.submit([job_id])
        self.jobs[job_id].device, self.workers[worker].checkup = worker, job_id

    def conclude_checkups(self) -> None:
        """Part of the very step that ends a health job, whichever that is."""
        for one in self.workers.values():
            if one.checkup is None or not self.jobs[one.checkup].is_final:
                continue
            has_passed, one.checkup = self.jobs[one.checkup].has_passed, None
            if has_passed is False and one.cause != "by_hand":
                one.cause = "health"
            elif has_passed and one.cause in SET_ASIDE:
                one.cause, one.failures = None, 0

    def register(self, worker: str, name: str, tags: frozenset[str] = frozenset()) -> None:
        known = self.workers.setdefault(worker, Worker(name))
        known.tags = tags
        current = self.current(worker)
        if current:
            self.jobs[current].lose(is_adoptable=False)
        known.heard_from()

    def claim(self, worker: str) -> str | None:
        self.workers[worker].heard_from()
        if current := self.current(worker):
            return current
        if job_id := self.next_for(worker):
            job = self.jobs[job_id]
            job.status, job.is_adoptable, job.is_reported, job.avoids = "running", False, False, None
            job.tries.append(worker)
        return job_id

    def finish(self, attempt: Try, end: str) -> bool:
        """Whether it was a duplicate."""
        job, worker = self.jobs[attempt.job_id], self.workers.get(attempt.worker)
        if not job.is_newest(attempt) or (job.is_final and not job.is_reported):
            raise Refused
        if job.is_reported:
            return True
        job.is_reported = True
        if worker:
            worker.heard_from()
        if job.device:
            job.status = ENDS[end]
        elif end == DEVICE_FAILURE:
            self._device_failed(job, worker)
        else:
            job.status = ENDS[end]
            if worker:
                worker.failures = 0
        return False

    def _device_failed(self, job: Job, worker: Worker | None) -> None:
        if worker:
            worker.failures += 1
            if worker.failures >= MAX_IN_A_ROW and worker.cause != "by_hand":
                worker.cause = "failures"
        job.is_adoptable = False
        if job.status == "pending":
            return
        job.device_failures += 1
        if job.is_cancelled or job.device_failures >= MAX_DEVICE_FAILURES:
            job.status = "failed"
        else:
            job.wait_again()

    def beat(self, attempt: Try) -> None:
        job, worker = self.jobs[attempt.job_id], self.workers[attempt.worker]
        worker.heard_from()
        if self.current(attempt.worker) not in (None, attempt.job_id):
            self._give_back_current(attempt.worker)
        is_newest = job.is_newest(attempt)
        if is_newest and job.status == "pending" and job.is_adoptable and worker.cause is None:
            job.status, job.is_adoptable, job.avoids = "running", False, None
            job.losses -= 1
        if not (is_newest and job.status == "running"):
            raise Refused

    def beat_without_a_job(self, worker: str) -> None:
        self.workers[worker].heard_from()
        self._give_back_current(worker)

    def fall_silent(self, worker: str) -> bool:
        one, current = self.workers[worker], self.current(worker)
        is_here = one.cause is None
        if is_here:
            one.cause = "silent"
        if current:
            self.jobs[current].lose(is_adoptable=is_here)
        return is_here or current is not None

    def overdue(self, attempt: Try) -> bool:
        job = self.jobs[attempt.job_id]
        if job.status != "running" or not job.is_newest(attempt):
            return False
        job.lose(is_adoptable=False)
        return True

    def release(self, attempt: Try) -> None:
        job = self.jobs[attempt.job_id]
        if job.status != "running" or not job.is_newest(attempt):
            raise Refused
        job.give_back()

    def say_goodbye(self, worker: str) -> None:
        self._give_back_current(worker)
        if self.workers[worker].cause not in ("by_hand", *SET_ASIDE):
            self.workers[worker].cause = "offline"

    def set_aside(self, worker: str) -> None:
        self.workers[worker].cause = "by_hand"
        self._give_back_current(worker)

    def recover(self, worker: str) -> None:
        one = self.workers[worker]
        if one.cause not in (None, "offline"):
            one.cause, one.failures = None, 0

    def remove(self, worker: str, *, force: bool) -> None:
        if self.workers[worker].cause is None and not force:
            raise Refused
        self._give_back_current(worker)
        for job_id in self.waiting(worker):
            self.jobs[job_id].status = "cancelled"
        del self.workers[worker]

    def cancel_job(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.is_cancelled |= job.status == "running"
        if job.status == "pending":
            job.status = "cancelled"

    def cancel(self, campaign: str) -> None:
        if self.campaign_status(campaign) != "running":
            return
        self.campaigns[campaign] = True
        for job_id in list(self.jobs):
            if job_id.startswith(f"{campaign}-job-"):
                self.cancel_job(job_id)

    def retry(self, campaign: str, only: str | None = None) -> int:
        if any(job.device for job in self.jobs_of(campaign)):
            raise Refused
        failed = [
            job_id
            for job_id, job in self.jobs.items()
            if job.status == "failed" and job_id.startswith(f"{campaign}-job-") and only in (None, job_id)
        ]
        for job_id in sorted(failed, key=lambda one: int(one.rpartition("-")[2])):
            job = self.jobs[job_id]
            order = (job.order[0], self._next())
            self.jobs[job_id] = Job(order, job.tags, tries=job.tries, is_reported=job.is_reported)
        if failed:
            self.campaigns[campaign] = False
        return len(failed)

    def reset(self) -> None:
        self.workers.clear()
        self.jobs.clear()
        self.campaigns.clear()

    def _give_back_current(self, worker: str) -> None:
        if current := self.current(worker):
            self.jobs[current].give_back()
