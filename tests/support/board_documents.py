"""Documents as the API tells them, for tests of the dashboard: devices, campaigns, jobs, events, records."""

from __future__ import annotations

from typing import Any

from daemons.core.events import Event

EPOCH = "0123456789ab"
NOON = "2026-11-25T12:00:00.000Z"
NOON_S = 1_795_608_000.0
CPU = "CPU (ONNX)"
GPU = "GPU (CoreML)"


def worker(number: int, version: int = 1, **more: Any) -> dict[str, Any]:
    """A device that is ready for work."""
    return {
        "worker_id": f"worker-{number:04x}",
        "device_name": f"device-{number}",
        "ip_address": "10.0.0.1",
        "capabilities": [CPU],
        "tags": [],
        "device_info": {"Soc": "Apple M2 Pro", "Ram": "16", "DeviceOs": "Darwin"},
        "status": "active",
        "faulty_reason": None,
        "drained": False,
        "drained_reason": None,
        "current_job": None,
        "progress": None,
        "undelivered_results": 0,
        "health": {"checked_at": None, "passed": None, "reason": None, "units": {}, "open_checkup": None},
        "jobs_complete": 0,
        "jobs_failed": 0,
        "registered_at": NOON,
        "last_heartbeat": NOON,
        "version": version,
    } | more


def campaign(number: int, version: int = 1, jobs: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    """A campaign; `jobs` counts its jobs by status."""
    breakdown = {"pending": 0, "running": 0, "complete": 0, "failed": 0, "cancelled": 0} | (jobs or {"pending": 2})
    return {
        "campaign_id": f"campaign-{number}",
        "kind": "benchmark",
        "name": None,
        "labels": {},
        "model_url": f"https://example.org/models/net{number}.onnx",
        "model_sha256": None,
        "status": "running",
        "total_jobs": sum(breakdown.values()),
        "completed_jobs": breakdown["complete"],
        "failed_jobs": breakdown["failed"],
        "job_breakdown": breakdown,
        "created_at": "2026-11-25T11:50:00.000Z",
        "ended_at": None,
        "version": version,
    } | more


def job(number: int, campaign_number: int = 1, version: int = 1, **more: Any) -> dict[str, Any]:
    """A job that waits."""
    return {
        "job_id": f"campaign-{campaign_number}-job-{number}",
        "campaign_id": f"campaign-{campaign_number}",
        "kind": "benchmark",
        "compute_unit": CPU,
        "status": "pending",
        "attempt": 0,
        "lost_attempts": 0,
        "device_failures": 0,
        "worker_id": None,
        "cancel_requested": False,
        "started_at": None,
        "ended_at": None,
        "options": {},
        "health": None,
        "version": version,
    } | more


def record(number: int, campaign_number: int = 1, median_ms: float | None = 12.5, **more: Any) -> dict[str, Any]:
    """A result of a job, under the CSV's column names."""
    low, high = (None, None) if median_ms is None else (median_ms * 0.98, median_ms * 1.03)
    return {
        "Status": "Complete",
        "JobId": f"campaign-{campaign_number}-job-{number}",
        "FileName": f"net{campaign_number}.onnx",
        "ComputeUnits": CPU,
        "DeviceName": "device-1",
        "InferenceMsMedian": median_ms,
        "InferenceMsMedianLow": low,
        "InferenceMsMedianHigh": high,
        "LoadMsMedian": 41.0,
        "PeakInferenceRamUsage": 256.5,
        "EndedAt": NOON,
        "Verdict": "stable",
        "Remark": None,
    } | more


def event(kind: str, state: dict[str, Any], seq: int | None = None, epoch: str = EPOCH) -> Event:
    """An event about `state`, whose version is its number."""
    number = state["version"] if seq is None else seq
    return Event(type=kind, seq=number, epoch=epoch, at=NOON, state=state)
