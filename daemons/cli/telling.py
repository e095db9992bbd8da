"""What an event says, in one line of words. Pure."""

from __future__ import annotations

from typing import Any

from daemons.core.events import Event, EventType

State = dict[str, Any]


def told(event: Event) -> str:
    """The event in words, without its type and time."""
    state = event.state
    match event.type:
        case EventType.WORKER:
            return f"{state['worker_id']} ({state['device_name']}) {_worker(state)}"
        case EventType.WORKER_REMOVED:
            return f"{state['worker_id']} was removed"
        case EventType.JOB:
            on = f" on {state['worker_id']}" if state["worker_id"] else ""
            return f"{state['job_id']} {state['status']}: {state['compute_unit']}{on}"
        case EventType.PROGRESS:
            return f"{state['job_id']} {_progress(state['progress'])} on {state['worker_id']}"
        case EventType.CAMPAIGN:
            counts = ", ".join(f"{number} {status}" for status, number in state["job_breakdown"].items() if number)
            return f"{state['campaign_id']} {state['status']}: {counts}"
        case EventType.CAMPAIGN_REMOVED:
            return f"{state['campaign_id']} was deleted"
        case EventType.RESET:
            return "everything was cleared"
        case _:
            return ""


def _worker(state: State) -> str:
    parts = [state["status"]]
    if state["drained"]:
        parts.append("drained")
    if state["current_job"]:
        parts.append(f"has {state['current_job']}")
    if state["faulty_reason"]:
        parts.append(state["faulty_reason"])
    return ", ".join(parts)


def _progress(progress: State) -> str:
    if progress.get("total"):
        return f"{progress['phase']} {progress.get('done') or 0}/{progress['total']}"
    return str(progress["phase"])
