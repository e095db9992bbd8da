"""The board: all that is known of the fleet now. Whatever order it is told in, what it shows is the newest of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from daemons.core.events import Event, EventType
from daemons.core.models import Progress
from tui.board.journal import Journal
from tui.board.kept import Kept
from tui.board.moments import seconds_of
from tui.board.tempo import Tempo
from tui.board.things import BENCHMARK, Campaign, Job, Worker, campaign_of, job_of, progress_of, worker_of
from tui.board.told import Document, Kind, Page, Whole

JOB_STATUSES: Final = ("pending", "running", "complete", "failed", "cancelled")


@dataclass
class Changes:
    """What one reader has not looked at yet."""

    workers: set[str] = field(default_factory=set)
    campaigns: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.workers or self.campaigns or self.jobs)


class Reader:
    """Gathers what changes until its owner looks."""

    def __init__(self) -> None:
        self._changes = Changes()

    @property
    def pending(self) -> Changes:
        """What has changed since `take`."""
        return self._changes

    def take(self) -> Changes:
        """What has changed since the last time."""
        taken, self._changes = self._changes, Changes()
        return taken


class Board:
    """Devices, campaigns and jobs in their newest versions; the last events; jobs per minute."""

    def __init__(self) -> None:
        self.workers: Kept[Worker] = Kept(self._worker_changed)
        self.campaigns: Kept[Campaign] = Kept(self._campaign_changed)
        self.jobs: Kept[Job] = Kept(self._job_changed)
        self.journal = Journal()
        self.tempo = Tempo()
        self.devices_by_status: Counter[str] = Counter()
        self.jobs_by_status: Counter[str] = Counter()
        self.epoch: str | None = None
        self.seq = 0
        """The highest event number that was heard of."""
        self.watched: set[str] = set()
        """Campaigns that somebody looks at: the jobs of others are forgotten when they have ended."""
        self._progress: dict[str, tuple[int, str, Progress | None]] = {}
        self._jobs_of: dict[str, set[str]] = {}
        self._readers: list[Reader] = []
        self._takers = self._takers_by_type()

    def reader(self) -> Reader:
        """A new reader, from whom no change is kept from now on."""
        reader = Reader()
        self._readers.append(reader)
        return reader

    def release(self, reader: Reader) -> None:
        """Gather nothing more for this reader."""
        self._readers.remove(reader)

    def jobs_of(self, campaign_id: str) -> Iterable[str]:
        """The jobs of a campaign that are known here."""
        return self._jobs_of.get(campaign_id, ())

    def progress_of(self, worker: Worker) -> Progress | None:
        """How far the device's current job is, as far as it is known."""
        _, job_id, progress = self._progress.get(worker.worker_id, (0, "", None))
        return progress if job_id and job_id == worker.current_job else worker.progress

    def happened(self, event: Event) -> None:
        """Take an event. One of another epoch counts for nothing; `reset` begins one."""
        if event.type == EventType.RESET:
            self.begin(event.epoch)
        if self.epoch is None:
            self.epoch = event.epoch
        if event.epoch != self.epoch:
            return  # of another life: the link takes a snapshot of the one that counts
        self.seq = max(self.seq, event.seq)
        if event.state.get("kind", BENCHMARK) != BENCHMARK:
            return  # a checkup's campaign and jobs: its device tells of them
        self.journal.add(event)
        take = self._takers.get(event.type)
        if take is not None:
            take(event)

    def page(self, page: Page) -> None:
        """Take a part of a snapshot. If it is of another life of the fleet, all that was known is void."""
        self.begin(page.epoch)
        put = {"worker": self._put_worker, "campaign": self._put_campaign, "job": self._put_job}[page.kind]
        for item in page.items:
            put(item)

    def whole(self, whole: Whole) -> None:
        """The pages told before were all there was."""
        self.begin(whole.epoch)
        self.seq = max(self.seq, whole.seq)
        self.workers.settle(whole.seq, frozenset(whole.workers))
        self.campaigns.settle(whole.seq, frozenset(whole.campaigns))

    def begin(self, epoch: str) -> None:
        """The board is about this life of the fleet from now on."""
        if epoch != self.epoch:
            if self.epoch is not None:
                self._clear()
            self.epoch = epoch

    def unwatch(self, campaign_id: str) -> None:
        """Nobody looks at this campaign any more."""
        self.watched.discard(campaign_id)
        campaign = self.campaigns.get(campaign_id)
        if campaign is None or campaign.status != "running":
            self._forget_jobs(campaign_id)

    def _forget_jobs(self, campaign_id: str) -> None:
        for job_id in list(self.jobs_of(campaign_id)):
            self.jobs.discard(job_id)

    def _clear(self) -> None:
        for kept in (self.workers, self.campaigns, self.jobs):
            kept.clear()
        self.journal.clear()
        self._progress.clear()
        self.seq = 0

    def _takers_by_type(self) -> dict[str, Callable[[Event], Any]]:
        return {
            "worker": lambda event: self._put_worker(event.state),
            "campaign": lambda event: self._put_campaign(event.state),
            "job": self._job_happened,
            "progress": self._progressed,
            "worker_removed": lambda event: self.workers.remove(event.state["worker_id"], event.seq),
            "campaign_removed": lambda event: self.campaigns.remove(event.state["campaign_id"], event.seq),
        }

    def _put_worker(self, document: Document) -> bool:
        worker = worker_of(document)
        return self.workers.put(worker.worker_id, worker.version, worker)

    def _put_campaign(self, document: Document) -> bool:
        campaign = campaign_of(document)
        return self.campaigns.put(campaign.campaign_id, campaign.version, campaign)

    def _put_job(self, document: Document) -> bool:
        job = job_of(document)
        return self.jobs.put(job.job_id, job.version, job)

    def _job_happened(self, event: Event) -> None:
        if self._put_job(event.state) and event.state.get("ended_at"):
            self.tempo.count(seconds_of(event.state["ended_at"]) or 0.0)

    def _progressed(self, event: Event) -> None:
        told = progress_of(event.state)
        if event.seq > self._progress.get(told.worker_id, (0, "", None))[0]:
            self._progress[told.worker_id] = (event.seq, told.job_id, told.progress)
            self._tell("worker", told.worker_id)

    def _worker_changed(self, worker_id: str, old: Worker | None, new: Worker | None) -> None:
        self.devices_by_status[old.status if old else ""] -= 1
        self.devices_by_status[new.status if new else ""] += 1
        if new is None:
            self._progress.pop(worker_id, None)
        self._tell("worker", worker_id)

    def _campaign_changed(self, campaign_id: str, old: Campaign | None, new: Campaign | None) -> None:
        for campaign, sign in ((old, -1), (new, 1)):
            for status in JOB_STATUSES if campaign else ():
                self.jobs_by_status[status] += sign * getattr(campaign.job_breakdown, status)  # type: ignore[union-attr]
        if new is None or (new.status != "running" and campaign_id not in self.watched):
            self._forget_jobs(campaign_id)
        self._tell("campaign", campaign_id)

    def _job_changed(self, job_id: str, old: Job | None, new: Job | None) -> None:
        known = new or old
        assert known is not None  # noqa: S101 (a change is from something or to something)
        jobs = self._jobs_of.setdefault(known.campaign_id, set())
        if new is None:
            jobs.discard(job_id)
        else:
            jobs.add(job_id)
        self._tell("job", job_id)

    def _tell(self, kind: Kind, key: str) -> None:
        for reader in self._readers:
            pending = reader.pending
            {"worker": pending.workers, "campaign": pending.campaigns, "job": pending.jobs}[kind].add(key)
