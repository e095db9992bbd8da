"""From what the store keeps (hashes of text) to what the API and the events show.

Pure, so that a REST answer and an event about the same thing can't differ: both are made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from daemons.core.lifecycle import JobStatus, ReportStatus, WorkerStatus
from daemons.core.models import JobSpec, Row
from daemons.core.urls import model_file_name
from daemons.core.webhooks import shown_webhook

State = Mapping[str, str]

BENCHMARK: Final = "benchmark"
"""The kind of campaign that people submit."""


def iso_time(milliseconds: str | None) -> str | None:
    """A recorded time as ISO 8601 in UTC, to the millisecond."""
    if not milliseconds:
        return None
    moment = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def public_url(url: str) -> str:
    """A URL as it may be shown: without the name and password that it may carry."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _number(state: State, key: str) -> int:
    return int(state.get(key) or 0)


def campaign_view(state: State) -> dict[str, Any]:
    """A campaign as `GET /api/campaigns/{id}` shows it."""
    breakdown = {status.value: _number(state, status) for status in JobStatus}
    return {
        "campaign_id": state["campaign_id"],
        "kind": state.get("kind", BENCHMARK),
        "model_url": public_url(state["model_url"]),
        "model_sha256": state.get("model_sha256"),
        "models_total": _number(state, "models") or 1,
        "name": state.get("name"),
        "labels": msgspec.json.decode(state.get("labels") or "{}"),
        "status": state["status"],
        "total_jobs": _number(state, "total"),
        "completed_jobs": breakdown["complete"],
        "failed_jobs": breakdown["failed"],
        "job_breakdown": breakdown,
        "cancel_requested": "cancel_requested" in state,
        "webhook": _webhook_view(state),
        "estimate_left_s": _estimate_left_s(state, breakdown),
        "created_at": iso_time(state.get("created_at")),
        "ended_at": iso_time(state.get("ended_at")),
        "version": _number(state, "version"),
    }


def _webhook_view(state: State) -> dict[str, Any] | None:
    if "webhook" not in state:
        return None
    kept = msgspec.json.decode(state["webhook"])
    return {
        "url": shown_webhook(kept["url"]),
        "status": kept["status"],
        "attempts": kept["attempts"],
        "last_error": kept.get("last_error"),
        "delivered_at": iso_time(kept.get("delivered_at")),
    }


def _estimate_left_s(state: State, breakdown: Mapping[str, int]) -> float | None:
    """What was expected of all jobs when they were submitted, of those that have not ended."""
    if "estimate_s" not in state:
        return None
    left = breakdown[JobStatus.PENDING] + breakdown[JobStatus.RUNNING]
    return round(float(state["estimate_s"]) * left / max(1, _number(state, "total")), 1)


def model_view(url: str, sha256: str | None, jobs: int) -> dict[str, Any]:
    """A model of a campaign as `GET /api/campaigns/{id}` shows it."""
    return {"model_url": public_url(url), "model_sha256": sha256, "jobs": jobs}


def _options(spec: JobSpec) -> dict[str, Any]:
    """What was asked for, without the names and passwords that addresses may carry."""
    options: dict[str, Any] = msgspec.to_builtins(spec)
    addresses = {name: public_url(options[name]) for name in ("model_url", "inputs_url") if name in options}
    return options | addresses


def job_view(job_id: str, campaign_id: str, state: State, spec: JobSpec) -> dict[str, Any]:
    """A job as `GET /api/jobs/{id}` shows it, its options included. A health job's `state` says its kind."""
    health = state.get("health")
    return {
        "job_id": job_id,
        "campaign_id": campaign_id,
        "kind": state.get("kind", BENCHMARK),
        "compute_unit": spec.compute_unit,
        "status": state["status"],
        "attempt": _number(state, "attempt"),
        "lost_attempts": _number(state, "losses"),
        "device_failures": _number(state, "device_failures"),
        "worker_id": state.get("worker_id"),
        "cancel_requested": "cancel" in state,
        "started_at": iso_time(state.get("started_at")),
        "ended_at": iso_time(state.get("ended_at")),
        "options": _options(spec),
        "health": msgspec.json.decode(health) if health else None,
        "version": _number(state, "version"),
    }


def history_view(entry: dict[str, Any]) -> dict[str, Any]:
    """One transition of a job, as its history shows it."""
    return entry | {"at": iso_time(entry["at"])}


def is_away(status: str) -> bool:
    """Whether a worker of this status takes no jobs."""
    return status in (WorkerStatus.FAULTY, WorkerStatus.OFFLINE)


def checkup_view(state: State) -> dict[str, Any]:
    """What a device's last checkup has shown, and the campaign of the one that is open."""
    known = msgspec.json.decode(state.get("health") or "{}")
    return {
        "checked_at": iso_time(state.get("checked_at")),
        "passed": known.get("passed"),
        "reason": known.get("reason"),
        "units": known.get("units", {}),
        "open_checkup": state.get("checkup"),
    }


def worker_view(state: State) -> dict[str, Any]:
    """A worker as `GET /api/workers/{id}` shows it."""
    progress = state.get("progress")
    return {
        "worker_id": state["worker_id"],
        "device_name": state["device_name"],
        "ip_address": state["ip_address"],
        "capabilities": msgspec.json.decode(state["capabilities"]),
        "tags": msgspec.json.decode(state.get("tags") or "[]"),
        "device_info": msgspec.json.decode(state["device_info"]),
        "status": state["status"],
        "faulty_reason": state.get("faulty_reason"),
        "drained": "drained" in state,
        "drained_reason": state.get("drained"),
        "current_job": state.get("job_id"),
        "progress": msgspec.json.decode(progress) if progress else None,
        "undelivered_results": _number(state, "undelivered"),
        "health": checkup_view(state),
        "jobs_complete": _number(state, "jobs_complete"),
        "jobs_failed": _number(state, "jobs_failed"),
        "registered_at": iso_time(state.get("registered_at")),
        "last_heartbeat": iso_time(state.get("last_heartbeat")),
        "version": _number(state, "version"),
    }


def worker_health(state: State, now_ms: int) -> dict[str, Any]:
    """A worker's health as `GET /api/workers/{id}/health` shows it; `now_ms` by the clock that wrote its beats."""
    last = _number(state, "last_heartbeat")
    return {
        "worker_id": state["worker_id"],
        "device_name": state["device_name"],
        "status": state["status"],
        "is_healthy": not is_away(state["status"]),
        "faulty_reason": state.get("faulty_reason"),
        "last_heartbeat": iso_time(state.get("last_heartbeat")),
        "seconds_since_heartbeat": round(max(0, now_ms - last) / 1000, 1) if last else None,
        "health": checkup_view(state),
    }


def result_row(job_id: str, state: State, spec: JobSpec, campaign: State) -> Row | None:
    """The row of a job that has ended, by column name; None while it has not."""
    status = JobStatus(state["status"])
    if not status.is_final:
        return None
    row: Row = {
        "Status": ReportStatus(status.value.capitalize()).value,
        "JobId": job_id,
        "FileName": model_file_name(spec.model_url or campaign["model_url"]),
        "ComputeUnits": spec.compute_unit,
        "CampaignId": campaign["campaign_id"],
        "WorkerId": state.get("worker_id"),
        "Attempt": _number(state, "attempt") or None,
        "StartedAt": iso_time(state.get("started_at")),
        "EndedAt": iso_time(state.get("ended_at")),
    }
    if device := state.get("device"):
        row |= msgspec.json.decode(device)
    figures: Row = msgspec.json.decode(state.get("result") or "{}")
    return row | figures


def result_view(row: Row) -> dict[str, Any]:
    """A row as `GET /api/jobs/{id}` shows it: what is not known is left out."""
    return {"status": row["Status"]} | {name: value for name, value in row.items() if value is not None}
