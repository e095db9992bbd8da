"""A dashboard whose fleet, clock and orchestrator a test makes up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daemons.core.errors import NotFound
from daemons.core.events import Event
from tests.support.board_documents import CPU, EPOCH, GPU, NOON_S, campaign, event, job, record, worker
from tui.app import Dashboard
from tui.board.told import Document, Happened, Link, Page, Whole
from tui.desk import Desk
from tui.settings import Preferences

JOB = "campaign-1-job-1"
STATUS = {
    "worker_queues": {"worker-0002": {"device_name": "device-2", "queue_size": 3}},
    "capability_queues": {CPU: 41, GPU: 0, "GPU (ONNX)": 7},
    "oldest_waits_s": {CPU: 610.0, "GPU (ONNX)": 75_000.0, "worker-0002": 90.0},
    "tagged_queues": [{"compute_unit": CPU, "tags": ["lab-2", "quiet"], "queue_size": 5}],
    "results_queue_size": 1,
    "waiting_for_retry": 2,
    "running": 2,
}


class Clocks:
    """Noon, until a test says otherwise."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed_s

    def time(self) -> float:
        return NOON_S + self.elapsed_s


class Orchestrator:
    """Answers by the client's method's name, or raises; remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"queue_status": STATUS, "workers_health": {"workers": []}} | answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def __call__(self, method: str, arguments: dict[str, Any]) -> Any:
        self.asked.append((method, arguments))
        answer = self.answers.get(method, NotFound(f"nothing is known of {method}"))
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(**arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def orders(self, method: str) -> list[dict[str, Any]]:
        """The arguments of each call of a method."""
        return [arguments for asked, arguments in self.asked if asked == method]


def make_desk(orchestrator: Orchestrator | None = None, **more: Any) -> Desk:
    """A desk with nothing on it."""
    return Desk("lab-server:5000", Clocks(), orchestrator or Orchestrator(), **more)


def tell_snapshot(desk: Desk, workers: list[Document], campaigns: list[Document], seq: int = 100) -> None:
    """A whole snapshot, and that the link is live."""
    desk.tell(Page(kind="worker", epoch=EPOCH, items=workers))
    desk.tell(Page(kind="campaign", epoch=EPOCH, items=campaigns))
    ids = [one["worker_id"] for one in workers], [one["campaign_id"] for one in campaigns]
    desk.tell(Whole(epoch=EPOCH, seq=seq, workers=ids[0], campaigns=ids[1]))
    desk.tell(Link(is_live=True, by="event stream"))


def tell_events(desk: Desk, *events: Event) -> None:
    """These have happened."""
    for one in events:
        desk.tell(Happened(event=one))


def populated(orchestrator: Orchestrator | None = None, **more: Any) -> Desk:
    """A small fleet at work, live."""
    desk = make_desk(orchestrator or lively_orchestrator(), **more)
    tell_snapshot(desk, small_fleet(), some_campaigns())
    for kind, state, seq in (
        (
            "job",
            job(2, 1, 101, status="failed", attempt=1, worker_id="worker-0002", ended_at="2026-11-25T11:59:30Z"),
            101,
        ),
        (
            "job",
            job(0, 1, 102, status="complete", attempt=1, worker_id="worker-0001", ended_at="2026-11-25T11:59:50Z"),
            102,
        ),
        ("worker", small_fleet()[3] | {"version": 103}, 103),
        ("campaign", some_campaigns()[1] | {"version": 104}, 104),
    ):
        tell_events(desk, event(kind, state, seq))
    return desk


def small_fleet() -> list[Document]:
    """One of each kind of device."""
    progress = {"phase": "measuring", "done": 120, "total": 300}
    return [
        worker(
            1, 11, device_name="mac-mini", capabilities=[GPU, CPU], status="busy", current_job=JOB, progress=progress
        )
        | {"jobs_complete": 128},
        worker(2, 12, device_name="nuc-7", jobs_complete=90, jobs_failed=2),
        worker(3, 13, device_name="rack-gpu", drained=True, drained_reason="new fans", tags=["lab-2"]),
        worker(4, 14, device_name="old-laptop", status="faulty", faulty_reason="was silent for 30 s"),
        worker(5, 15, device_name="phone-rig", status="offline", last_heartbeat="2026-11-25T10:00:00.000Z"),
    ]


def some_campaigns() -> list[Document]:
    """One that runs, one that is done, one that was cancelled."""
    jobs = {"pending": 3, "running": 1, "complete": 5, "failed": 1}
    return [
        campaign(1, 21, jobs, model_url="https://example.org/resnet50.onnx"),
        campaign(2, 22, {"complete": 12}, name="nightly", status="completed", ended_at="2026-11-25T11:55:00.000Z"),
        campaign(3, 23, {"complete": 1, "cancelled": 4}, status="cancelled", ended_at="2026-11-25T11:52:00.000Z"),
    ]


def lively_orchestrator() -> Orchestrator:
    """Knows the jobs of the first campaign, and what they have measured."""
    jobs = [
        job(0, 1, 31, status="complete", attempt=1, worker_id="worker-0001", started_at="2026-11-25T11:51:00Z")
        | {"ended_at": "2026-11-25T11:51:20Z"},
        job(1, 1, 32, status="running", attempt=1, worker_id="worker-0001", started_at="2026-11-25T11:59:00Z"),
        job(2, 1, 33, status="failed", attempt=3, worker_id="worker-0002", lost_attempts=2)
        | {"started_at": "2026-11-25T11:52:00Z", "ended_at": "2026-11-25T11:53:00Z"},
        job(3, 1, 34),
        job(4, 1, 35, status="complete", attempt=1, worker_id="worker-0002", compute_unit=GPU)
        | {"started_at": "2026-11-25T11:54:00Z", "ended_at": "2026-11-25T11:54:30Z"},
    ]
    records = {
        0: record(0, 1, 12.5, DeviceName="mac-mini"),
        2: record(2, 1, None, Status="Failed", Verdict=None, Remark="the model needs opset 23", DeviceName="nuc-7"),
        4: record(4, 1, 7.25, DeviceName="mac-mini", ComputeUnits=GPU, Verdict="noisy"),
    }
    return Orchestrator(
        jobs={"count": len(jobs), "jobs": jobs},
        job=lambda job_id: _job_answer(jobs[int(job_id.rpartition("-")[2])], records),
        records_of_device=lambda **_: list(records.values()),
        records_of_campaign=lambda **_: list(records.values()),
    )


def _job_answer(one: Document, records: dict[int, Document]) -> Document:
    number = int(one["job_id"].rpartition("-")[2])
    samples = [12.0 + (place * 7 % 40) / 40 for place in range(300)] + [14.5] * 6
    history = [{"at": "2026-11-25T11:51:00.000Z", "event": "claimed", "attempt": 1, "worker_id": "worker-0001"}]
    known = records.get(number)
    result = None if known is None else known | {"Samples": {"LoadMs": [41.0], "InferenceMs": samples}}
    return {"job": one | {"history": history}, "result": result}


def dashboard(desk: Desk, preferences: Preferences | None = None) -> Dashboard:
    """The program, with nothing that follows a fleet."""
    return Dashboard(desk, (), preferences)
