"""The last events in their order, each once, with what a person reads of it."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from daemons.core.events import Event

KEEP: Final = 5000

SEVERITIES: Final = ("fine", "info", "warning", "error")
"""From the least to the most severe. `fine`: what happens all the time when all is well."""


class Journal:
    """Events by their number. What was told twice stands here once; the oldest go first."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._events: dict[int, Event] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def last(self) -> int:
        """The highest number; 0 if there is none."""
        return self._numbers[-1] if self._numbers else 0

    def add(self, event: Event) -> bool:
        """Whether it was new."""
        number = event.seq
        if event.type == "progress" or number in self._events:
            return False
        if not self._numbers or number > self._numbers[-1]:
            self._numbers.append(number)
        else:
            self._numbers.insert(bisect_left(self._numbers, number), number)
        self._events[number] = event
        if len(self._numbers) > KEEP * 1.2:
            for old in self._numbers[:-KEEP]:
                del self._events[old]
            del self._numbers[:-KEEP]
        return number in self._events

    def clear(self) -> None:
        """Forget all: numbers begin again in another epoch."""
        self._numbers.clear()
        self._events.clear()

    def numbers_after(self, number: int) -> list[int]:
        """The numbers of what is newer."""
        return self._numbers[bisect_left(self._numbers, number + 1) :]

    def get(self, number: int) -> Event | None:
        """The event of that number, while it is kept."""
        return self._events.get(number)


def severity_of(event: Event) -> str:
    """How much it matters."""
    state = event.state
    match event.type:
        case "worker":
            by_status = {"faulty": "error", "offline": "warning"}
            return by_status.get(state.get("status", ""), "warning" if state.get("drained") else "fine")
        case "job":
            return _job_severity(state)
        case "campaign":
            return _campaign_severity(state)
        case "worker_removed" | "reset":
            return "warning"
        case _:
            return "info"


def _job_severity(state: dict[str, Any]) -> str:
    by_status = {"failed": "error", "complete": "info", "cancelled": "info", "running": "fine"}
    return by_status.get(state.get("status", ""), "warning" if state.get("attempt") else "fine")


def _campaign_severity(state: dict[str, Any]) -> str:
    if state.get("status") == "failed":
        return "error"
    is_new = state.get("job_breakdown", {}).get("pending") == state.get("total_jobs")
    return "info" if is_new or state.get("status") != "running" else "fine"


def sentence_of(event: Event) -> str:
    """What happened, for a person."""
    state = event.state
    match event.type:
        case "worker":
            return _worker_sentence(state)
        case "job":
            return _job_sentence(state)
        case "campaign":
            return _campaign_sentence(state)
        case "worker_removed":
            return f"{state.get('worker_id', 'a device')} was removed"
        case "campaign_removed":
            return f"{state.get('campaign_id', 'a campaign')} was removed"
        case "reset":
            return "everything was cleared"
        case other:
            return other.replace("_", " ")


def _worker_sentence(state: dict[str, Any]) -> str:
    job, reason = state.get("current_job"), state.get("faulty_reason")
    said = f"{state.get('device_name')} is {state.get('status')}"
    said += f" with {job}" if job else ""
    said += f": {reason}" if reason else ""
    return said + (", drained" if state.get("drained") else "")


def _job_sentence(state: dict[str, Any]) -> str:
    where = f" on {state['worker_id']}" if state.get("worker_id") else ""
    said = f"{state.get('job_id')} is {state.get('status')}{where} ({state.get('compute_unit')})"
    lost = state.get("lost_attempts") or 0
    return said + (f", {lost} attempt{'s' if lost > 1 else ''} lost" if lost else "")


def _campaign_sentence(state: dict[str, Any]) -> str:
    jobs = state.get("job_breakdown", {})
    ended = sum(jobs.get(name, 0) for name in ("complete", "failed", "cancelled"))
    said = f"{state.get('campaign_id')} is {state.get('status')}: {ended} of {state.get('total_jobs')} jobs ended"
    return said + (f", {jobs['failed']} failed" if jobs.get("failed") else "")


def device_of(event: Event) -> str:
    """The device that it is about, if any."""
    return str(event.state.get("worker_id") or "")


def campaign_of(event: Event) -> str:
    """The campaign that it is about, if any."""
    return str(event.state.get("campaign_id") or "")
