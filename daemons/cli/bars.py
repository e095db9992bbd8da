"""How far a campaign is, from its events to lines of text. Pure: the time and the width are passed in.

A line for each thing that happens, for a pipe; a few lines that are painted anew, for a terminal.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from daemons.cli.moments import seconds_between, span
from daemons.core.events import Event, EventType
from daemons.core.lifecycle import CampaignStatus, JobStatus
from daemons.core.urls import model_file_name

Document = dict[str, Any]

BAR_WIDTH: Final = 24
JOB_BAR_WIDTH: Final = 12
STEPS: Final = 100
MOST_JOBS: Final = 8
"""So many running jobs have a line of their own."""


class Glyphs(NamedTuple):
    """What a bar is made of, and what parts a line."""

    full: str
    empty: str
    dot: str


UNICODE: Final = Glyphs("█", "░", " · ")
ASCII: Final = Glyphs("#", "-", ", ")


def bar(done: float, total: float, width: int, glyphs: Glyphs) -> str:
    """A bar that is as full as `done` of `total`; full only when all is done."""
    share = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
    full = int(share * width)
    return glyphs.full * full + glyphs.empty * (width - full)


def ended_jobs(campaign: Document) -> int:
    """How many of the campaign's jobs have ended."""
    return sum(campaign["job_breakdown"][status.value] for status in JobStatus if status.is_final)


def counts(campaign: Document) -> list[str]:
    """What has become of the jobs, in words, without what there is none of."""
    words = {"complete": "complete", "failed": "failed", "cancelled": "cancelled", "running": "running"}
    found = [(campaign["job_breakdown"][key], word) for key, word in words.items()]
    return [f"{number:,} {word}" for number, word in found if number]


def summary(campaign: Document) -> str:
    """One line on a campaign: what it is, its status, its counts."""
    total, breakdown = campaign["total_jobs"], campaign["job_breakdown"]
    parts = [*counts(campaign), *([f"{breakdown['pending']:,} waiting"] if breakdown["pending"] else [])]
    what = model_file_name(campaign["model_url"])
    jobs = "1 job" if total == 1 else f"{total:,} jobs"
    return f"{campaign['campaign_id']} ({what}): {campaign['status']}; {jobs}: {', '.join(parts)}"


class Following:
    """One campaign as its events tell of it."""

    def __init__(
        self, campaign: Document, estimate_s: float | None = None, now_s: float = 0.0, *, has_jobs: bool = True
    ) -> None:
        """Without jobs, of which there may be very many, a line is worth each hundredth of them."""
        self.campaign = campaign
        self._has_jobs = has_jobs
        self.names: dict[str, str] = {}
        """Identifier of a device → what people call it."""
        self._running: dict[str, Document] = {}
        self._progress: dict[str, Document] = {}
        self._ends_at_s = None if estimate_s is None else now_s + estimate_s

    @property
    def has_ended(self) -> bool:
        """Whether all of its jobs have ended."""
        return CampaignStatus(self.campaign["status"]).is_final

    def apply(self, event: Event, now_s: float) -> str | None:
        """Take the event; a line that tells of it, if it is worth one."""
        state = event.state
        match event.type:
            case EventType.CAMPAIGN:
                return self._take_campaign(state, event.at, now_s)
            case EventType.JOB:
                return self._take_job(state)
            case EventType.PROGRESS if state["job_id"] in self._running:
                self._progress[state["job_id"]] = state["progress"]
        return None

    def _take_campaign(self, state: Document, at: str | None, now_s: float) -> str | None:
        if state["version"] < self.campaign["version"]:
            return None
        before, self.campaign = ended_jobs(self.campaign), state
        ended, created_at = ended_jobs(state), state["created_at"]
        if ended > before and at is not None and created_at is not None:
            each_s = max(0.0, seconds_between(created_at, at)) / ended
            self._ends_at_s = now_s + each_s * (state["total_jobs"] - ended)
        steps = [number * STEPS // state["total_jobs"] for number in (before, ended)]
        if self._has_jobs or steps[0] == steps[1]:
            return None
        return f"{state['campaign_id']}: {ended:,}/{state['total_jobs']:,} jobs, {', '.join(counts(state))}"

    def _take_job(self, job: Document) -> str | None:
        job_id, status = job["job_id"], JobStatus(job["status"])
        known = self._running.pop(job_id, None)
        if status is JobStatus.RUNNING:
            self._running[job_id] = job
        else:
            self._progress.pop(job_id, None)
        is_known = known is not None and known["status"] == status and known["attempt"] == job["attempt"]
        if is_known or (status is JobStatus.PENDING and not job["attempt"]):
            return None
        return f"{job_id}: {job['compute_unit']} {self._told(job, status)}"

    def _told(self, job: Document, status: JobStatus) -> str:
        device = self._name(job)
        match status:
            case JobStatus.PENDING:
                return "waits again"
            case JobStatus.RUNNING:
                again = f", attempt {job['attempt']}" if job["attempt"] > 1 else ""
                return f"running on {device}{again}"
            case _:
                return f"{status.value}{f' on {device}' if job['worker_id'] else ''}"

    def _name(self, job: Document) -> str:
        return self.names.get(str(job["worker_id"]), str(job["worker_id"]))

    def frame(self, now_s: float, glyphs: Glyphs) -> list[str]:
        """What a terminal shows now; the first line is the campaign's."""
        total, ended = self.campaign["total_jobs"], ended_jobs(self.campaign)
        parts = [f"{ended:,}/{total:,} jobs", *counts(self.campaign), *self._time_left(now_s)]
        lines = [f"{bar(ended, total, BAR_WIDTH, glyphs)} {glyphs.dot.join(parts)}"]
        shown = list(self._running.values())[:MOST_JOBS]
        lines += [self._job_line(job, glyphs) for job in shown]
        hidden = len(self._running) - len(shown)
        return lines + ([f"  and {hidden:,} more running"] if hidden else [])

    def _time_left(self, now_s: float) -> list[str]:
        if self._ends_at_s is None or self.has_ended:
            return []
        left_s = self._ends_at_s - now_s
        return [f"about {span(left_s)} left"] if left_s >= 1 else []

    def _job_line(self, job: Document, glyphs: Glyphs) -> str:
        progress = self._progress.get(job["job_id"], {})
        done, total = progress.get("done"), progress.get("total")
        line = f"  {self._name(job)}{glyphs.dot}{job['compute_unit']}{glyphs.dot}{progress.get('phase', 'starting')}"
        return f"{line} {bar(done, total, JOB_BAR_WIDTH, glyphs)} {done:,}/{total:,}" if done and total else line
