"""What requests and answers look like, for the API's document. The tests hold each to its type."""

from __future__ import annotations

from typing import Any, Final

_CAMPAIGN: Final = "campaign-1736432000123456"
_JOB: Final = f"{_CAMPAIGN}-job-0"
_WORKER: Final = "worker-0123456789ab"

CAMPAIGN_REQUEST: Final[dict[str, Any]] = {
    "model_url": "https://models.example.org/vision/tinyyolov2-7.onnx",
    "jobs": [
        {"compute_unit": "CPU (ONNX)", "num_inference_runs": 10},
        {"compute_unit": "GPU (CoreML)", "num_inference_runs": 100, "check_outputs": True},
    ],
    "name": "tinyyolo, nightly",
    "labels": {"branch": "main"},
}

SUBMITTED_CAMPAIGN: Final[dict[str, Any]] = {
    "campaign_id": _CAMPAIGN,
    "name": "tinyyolo, nightly",
    "total_jobs": 2,
    "jobs_total": 2,
    "status": "running",
    "jobs": [
        {"job_id": _JOB, "compute_unit": "CPU (ONNX)", "status": "pending"},
        {"job_id": f"{_CAMPAIGN}-job-1", "compute_unit": "GPU (CoreML)", "status": "pending"},
    ],
    "runnable_now": 1,
    "waiting": [
        {
            "compute_unit": "GPU (CoreML)",
            "jobs": 1,
            "why": "no live device offers GPU (CoreML); jobs for it wait until one does",
        },
    ],
    "estimate_s": 41.5,
    "estimate_notes": ["jobs that wait for a device are not counted: 1"],
    "warnings": ["no live device offers GPU (CoreML); jobs for it wait until one does"],
}

CAMPAIGN: Final[dict[str, Any]] = {
    "campaign_id": _CAMPAIGN,
    "kind": "benchmark",
    "model_url": "https://models.example.org/vision/tinyyolov2-7.onnx",
    "model_sha256": "583fed02f6e2a93d4e5b6a7f7a1a6f3e2c0f7a4d9c3b2a1f0e9d8c7b6a594837",
    "models_total": 1,
    "name": "tinyyolo, nightly",
    "labels": {"branch": "main"},
    "status": "completed",
    "total_jobs": 2,
    "completed_jobs": 2,
    "failed_jobs": 0,
    "job_breakdown": {"pending": 0, "running": 0, "complete": 2, "failed": 0, "cancelled": 0},
    "estimate_left_s": 0.0,
    "cancel_requested": False,
    "webhook": None,
    "created_at": "2025-01-09T14:13:20.123Z",
    "ended_at": "2025-01-09T14:15:02.480Z",
    "version": 17,
    "models": [
        {
            "model_url": "https://models.example.org/vision/tinyyolov2-7.onnx",
            "model_sha256": "583fed02f6e2a93d4e5b6a7f7a1a6f3e2c0f7a4d9c3b2a1f0e9d8c7b6a594837",
            "jobs": 2,
        },
    ],
}

JOB_ANSWER: Final[dict[str, Any]] = {
    "job": {
        "job_id": _JOB,
        "campaign_id": _CAMPAIGN,
        "kind": "benchmark",
        "compute_unit": "CPU (ONNX)",
        "status": "complete",
        "attempt": 1,
        "lost_attempts": 0,
        "device_failures": 0,
        "worker_id": _WORKER,
        "cancel_requested": False,
        "started_at": "2025-01-09T14:13:21.004Z",
        "ended_at": "2025-01-09T14:14:10.730Z",
        "options": {"compute_unit": "CPU (ONNX)"},
        "health": None,
        "version": 12,
        "history": [
            {"at": "2025-01-09T14:13:21.004Z", "event": "claimed", "attempt": 1, "worker_id": _WORKER},
            {"at": "2025-01-09T14:14:10.730Z", "event": "complete", "attempt": 1, "worker_id": _WORKER},
        ],
    },
    "result": {
        "status": "Complete",
        "Status": "Complete",
        "JobId": _JOB,
        "CampaignId": _CAMPAIGN,
        "WorkerId": _WORKER,
        "LoadMsMedian": 45.23,
        "InferenceMsMedian": 12.5,
        "PeakInferenceRamUsage": 256.5,
    },
}

REGISTER_REQUEST: Final[dict[str, Any]] = {
    "device_name": "MacBook Pro",
    "ip_address": "192.168.1.100",
    "capabilities": ["CPU (ONNX)", "GPU (CoreML)"],
    "device_info": {"Soc": "Apple M2 Pro", "Ram": "16", "DeviceOs": "Darwin", "UDID": "unique-device-id"},
}

JOB_REPORT: Final[dict[str, Any]] = {
    "worker_id": _WORKER,
    "attempt": 1,
    "status": "Complete",
    "LoadMsMedian": 45.23,
    "InferenceMsMedian": 12.5,
    "PeakInferenceRamUsage": 256.5,
}
