"""Events in words."""

from __future__ import annotations

import pytest

from daemons.cli.telling import told
from daemons.core.events import Event, EventType

WORKER = {
    "worker_id": "worker-1",
    "device_name": "mac",
    "status": "busy",
    "drained": False,
    "current_job": "c-job-0",
    "faulty_reason": None,
}
JOB = {"job_id": "c-job-0", "status": "running", "compute_unit": "CPU (ONNX)", "worker_id": "worker-1"}
CAMPAIGN = {"campaign_id": "c", "status": "running", "job_breakdown": {"pending": 0, "running": 2, "failed": 1}}


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("worker", WORKER, "worker-1 (mac) busy, has c-job-0"),
        (
            "worker",
            {**WORKER, "status": "faulty", "drained": True, "current_job": None, "faulty_reason": "silent"},
            "worker-1 (mac) faulty, drained, silent",
        ),
        ("worker_removed", {"worker_id": "worker-1"}, "worker-1 was removed"),
        ("job", JOB, "c-job-0 running: CPU (ONNX) on worker-1"),
        ("job", {**JOB, "status": "pending", "worker_id": None}, "c-job-0 pending: CPU (ONNX)"),
        (
            "progress",
            {"job_id": "c-job-0", "worker_id": "worker-1", "progress": {"phase": "measuring", "total": 9}},
            "c-job-0 measuring 0/9 on worker-1",
        ),
        (
            "progress",
            {"job_id": "c-job-0", "worker_id": "worker-1", "progress": {"phase": "loading"}},
            "c-job-0 loading on worker-1",
        ),
        ("campaign", CAMPAIGN, "c running: 2 running, 1 failed"),
        ("campaign_removed", {"campaign_id": "c"}, "c was deleted"),
        ("reset", {}, "everything was cleared"),
        ("a kind of a later version", {}, ""),
    ],
)
def test_each_kind_of_event_is_said_in_a_line(kind, state, words):
    assert told(Event(type=kind, seq=1, epoch="0" * 12, at=None, state=state)) == words


def test_every_kind_that_happens_has_words():
    silent = {EventType.READY, EventType.RESYNC}
    said = {"worker", "worker_removed", "job", "progress", "campaign", "campaign_removed", "reset"}
    assert {kind.value for kind in EventType} - silent == said
