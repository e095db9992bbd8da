"""Queues: what waits for whom, and who could take it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tui.board.cells import BAD, Cell, bar, plain
from tui.board.columns import Column, Scene, by_number, by_text
from tui.board.moments import short_duration
from tui.board.things import Worker

UNIT: Final = "unit"
DEVICE: Final = "device"
RETRY: Final = "retry"
RESULTS: Final = "results"
TAKES_JOBS: Final = ("active", "busy", "cleanup")


class Queue(NamedTuple):
    """A place where jobs wait."""

    key: str
    kind: str
    name: str
    """The unit, or the device's name."""
    waiting: int
    devices: int
    """How many could take from it: alive, and not drained."""
    oldest_s: float | None = None
    """How long the oldest of its jobs has waited."""
    most: int = 0
    """What the longest of all queues has."""
    worker_id: str = ""
    unit: str = ""
    tags: tuple[str, ...] = ()
    """What a device must have to take from it, besides the unit."""

    @property
    def is_stuck(self) -> bool:
        """Whether jobs wait here that no device can take."""
        return self.waiting > 0 and self.devices == 0 and self.kind in (UNIT, DEVICE)


def takes_jobs(worker: Worker) -> bool:
    """Whether a device takes jobs, now or when it is done with its own."""
    return worker.status in TAKES_JOBS and not worker.drained


def queues_of(status: dict[str, Any], workers: Iterable[Worker]) -> list[Queue]:
    """The queues in the API's answer."""
    ready = [worker for worker in workers if takes_jobs(worker)]
    tagged = [_tagged(one, ready) for one in status.get("tagged_queues", ()) if one["queue_size"]]
    waits: dict[str, float] = status.get("oldest_waits_s", {})
    found = []
    for unit, whole in status["capability_queues"].items():
        waiting = whole - sum(queue.waiting for queue in tagged if queue.unit == unit)
        devices = sum(unit in worker.capabilities for worker in ready)
        found.append(Queue(f"unit:{unit}", UNIT, unit, waiting, devices, waits.get(unit), unit=unit))
    found += tagged
    for worker_id, queue in status["worker_queues"].items():
        if queue["queue_size"]:
            devices = sum(worker.worker_id == worker_id for worker in ready)
            key = f"worker:{worker_id}"
            oldest_s, name = waits.get(worker_id), queue["device_name"]
            found.append(Queue(key, DEVICE, name, queue["queue_size"], devices, oldest_s, worker_id=worker_id))
    if status.get("waiting_for_retry"):
        found.append(Queue(RETRY, RETRY, "waiting for a retry", status["waiting_for_retry"], 0))
    found.append(Queue(RESULTS, RESULTS, "results not yet written", status["results_queue_size"], 0))
    return found


def _tagged(told: dict[str, Any], ready: list[Worker]) -> Queue:
    unit, tags = told["compute_unit"], tuple(told["tags"])
    devices = sum(unit in worker.capabilities and set(tags) <= set(worker.tags) for worker in ready)
    key, name = f"unit:{unit}+{','.join(tags)}", f"{unit} with {', '.join(tags)}"
    return Queue(key, UNIT, name, told["queue_size"], devices, told.get("oldest_wait_s"), unit=unit, tags=tags)


def who(queue: Queue, _scene: Scene) -> Cell:
    """Who could take from it."""
    if queue.kind in (RETRY, RESULTS):
        return Cell("")
    if queue.is_stuck:
        return Cell("✗ no device can take it" if queue.kind == UNIT else "✗ takes no jobs now", BAD)
    return Cell(f"{queue.devices:,} device{'' if queue.devices == 1 else 's'}")


def label(queue: Queue, _scene: Scene) -> Cell:
    """What it is the queue of."""
    prefix = {DEVICE: "only "}.get(queue.kind, "")
    return Cell(f"{prefix}{plain(queue.name)}", BAD if queue.is_stuck else "")


def length(queue: Queue, width: int) -> Cell:
    """How long it is, against the longest."""
    return Cell(bar(queue.waiting, queue.most, width) if queue.waiting else "", BAD if queue.is_stuck else "busy")


COLUMNS: Final[tuple[Column[Queue], ...]] = (
    Column("queue", 22, label, lambda one, _: by_text(one.name), 0, 3),
    Column(
        "waiting", 8, lambda one, _: Cell(f"{one.waiting:,}"), lambda one, _: by_number(-one.waiting), 1, is_right=True
    ),
    Column(
        "oldest",
        10,
        lambda one, _: Cell(short_duration(one.oldest_s)),
        lambda one, _: by_number(-(one.oldest_s or 0)),
        3,
        is_right=True,
        heading="oldest",
    ),
    Column("who", 24, who, lambda one, _: by_number(one.devices), 2, 1, heading="who can take it"),
    Column("length", 12, lambda one, _: length(one, 12), None, 4),
)
