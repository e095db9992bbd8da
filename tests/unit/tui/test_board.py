"""Whatever order the board is told in, and however often, it shows the newest of each."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemons.core.events import Event
from tests.support.board_documents import EPOCH, campaign, event, job, worker
from tui.board.board import Board
from tui.board.told import Page, Whole

STATUSES = ("active", "busy", "faulty", "offline")


class History:
    """A fleet's life: numbered events, and what exists after each of them."""

    def __init__(self, steps: list[tuple[str, int, bool]]) -> None:
        self.events: list[Event] = []
        self.worlds: list[dict[str, dict[str, dict[str, Any]]]] = [{"worker": {}, "campaign": {}}]
        self.gone: set[tuple[str, int]] = set()
        for kind, number, leaves in steps:
            self._step(kind, number, leaves=leaves)

    def _step(self, kind: str, number: int, *, leaves: bool) -> None:
        if (kind, number) in self.gone:
            return  # identifiers are never used again
        seq = len(self.events) + 1
        world = {name: dict(things) for name, things in self.worlds[-1].items()}
        state = self._state(kind, number, seq)
        key = state[f"{kind}_id"]
        if leaves:
            self.gone.add((kind, number))
            world[kind].pop(key, None)
            self.events.append(event(f"{kind}_removed", {f"{kind}_id": key}, seq))
        else:
            world[kind][key] = state
            self.events.append(event(kind, state))
        self.worlds.append(world)

    def _state(self, kind: str, number: int, seq: int) -> dict[str, Any]:
        if kind == "worker":
            return worker(number, seq, status=STATUSES[seq % 4])
        return campaign(number, seq, {"pending": seq % 5, "complete": seq % 3})

    def snapshot(self, began: int, ended: int) -> list[Page | Whole]:
        """What a snapshot tells whose number was read at `began`, and whose pages were read at `ended`."""
        world = self.worlds[ended]
        pages: list[Page | Whole] = [
            Page(kind=kind, epoch=EPOCH, items=list(world[kind].values()))  # type: ignore[arg-type]
            for kind in ("worker", "campaign")
        ]
        return [
            *pages,
            Whole(epoch=EPOCH, seq=began, workers=list(world["worker"]), campaigns=list(world["campaign"])),
        ]


def tell(board: Board, told: Any) -> None:
    match told:
        case Event():
            board.happened(told)
        case Page():
            board.page(told)
        case Whole():
            board.whole(told)


def shown(board: Board) -> Any:
    return (
        {key: (one.version, one.status) for key, one in board.workers.items()},
        {key: (one.version, one.total_jobs) for key, one in board.campaigns.items()},
        +board.devices_by_status,
        +board.jobs_by_status,
    )


def truth(history: History) -> Any:
    world = history.worlds[-1]
    jobs: Counter[str] = Counter()
    for one in world["campaign"].values():
        jobs.update(one["job_breakdown"])
    return (
        {key: (one["version"], one["status"]) for key, one in world["worker"].items()},
        {key: (one["version"], one["total_jobs"]) for key, one in world["campaign"].items()},
        Counter(one["status"] for one in world["worker"].values()),
        +jobs,
    )


histories = st.lists(
    st.tuples(st.sampled_from(("worker", "campaign")), st.integers(1, 4), st.booleans()), min_size=1, max_size=25
).map(History)


@given(histories, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_events_in_any_order_and_however_often_make_the_same_board(history, random):
    told = history.events * 2
    random.shuffle(told)
    board = Board()
    for one in told:
        tell(board, one)
    assert shown(board) == truth(history)


@given(histories, st.data())
@settings(max_examples=250)
def test_a_snapshot_and_the_events_that_overlap_it_make_the_same_board(history, data):
    """Events after the snapshot's number are told once at least: before its pages, after them, or both."""
    last = len(history.events)
    began = data.draw(st.integers(0, last), "its number")
    ended = data.draw(st.integers(began, last), "when its pages were read")
    heard = data.draw(st.integers(began, last), "events told before the pages")
    board = Board()
    for one in history.events[: data.draw(st.integers(0, began), "events heard before the link broke")]:
        tell(board, one)
    twice = history.events[data.draw(st.integers(began, heard), "the first one told twice") : heard]
    for one in [*history.events[began:heard], *history.snapshot(began, ended), *twice, *history.events[heard:]]:
        tell(board, one)
    assert shown(board) == truth(history)


@given(histories, st.data())
@settings(max_examples=150)
def test_a_second_snapshot_after_a_gap_forgets_what_has_gone_meanwhile(history, data):
    last = len(history.events)
    first = data.draw(st.integers(0, last))
    board = Board()
    for one in [*history.snapshot(first, first), *history.snapshot(last, last)]:
        tell(board, one)
    assert shown(board) == truth(history)
    for late in history.events[: data.draw(st.integers(0, last), "events that come late")]:
        tell(board, late)
    assert shown(board) == truth(history), "what comes late is not believed again"


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_the_journal_has_each_event_once_in_its_order(numbers, random):
    board = Board()
    for number in numbers:
        tell(board, event("worker", worker(number % 3, number)))
    random.shuffle(numbers)
    for number in numbers:
        tell(board, event("worker", worker(number % 3, number)))
    assert board.journal.numbers_after(0) == sorted(set(numbers))


def test_another_life_of_the_fleet_begins_with_nothing():
    board = Board()
    tell(board, event("worker", worker(1, 5)))
    tell(board, event("reset", {}, 0, "b" * 12))
    tell(board, event("worker", worker(1, 6)))  # late, of the life before
    assert not board.workers
    assert not +board.devices_by_status
    tell(board, event("worker", worker(2, 1), epoch="b" * 12))
    assert list(board.workers) == ["worker-0002"]


def test_progress_is_of_the_job_that_the_device_has_now():
    board = Board()
    busy = worker(1, 2, status="busy", current_job="campaign-1-job-0")
    state = {"worker_id": "worker-0001", "job_id": "campaign-1-job-0", "progress": {"phase": "measuring", "done": 3}}
    tell(board, event("progress", state, 3))
    tell(board, event("progress", state | {"progress": {"phase": "loading"}}, 1))
    tell(board, event("worker", busy))
    progress = board.progress_of(board.workers["worker-0001"])
    assert progress is not None
    assert (progress.phase, progress.done) == ("measuring", 3)
    tell(board, event("worker", busy | {"version": 4, "current_job": "campaign-1-job-1"}))
    assert board.progress_of(board.workers["worker-0001"]) is None


def test_a_checkup_is_no_campaign_of_people():
    board = Board()
    tell(board, event("campaign", campaign(1, 3, kind="health")))
    tell(board, event("job", job(0, 1, 4, kind="health")))
    assert not board.campaigns
    assert not board.jobs


def test_jobs_of_an_ended_campaign_are_forgotten_unless_somebody_looks():
    board = Board()
    for number in (1, 2):
        tell(board, event("campaign", campaign(number, number)))
        tell(board, event("job", job(0, number, number + 10)))
    board.watched.add("campaign-2")
    for number in (1, 2):
        tell(board, event("campaign", campaign(number, number + 20, {"complete": 2}, status="completed")))
    assert list(board.jobs) == ["campaign-2-job-0"]
    board.unwatch("campaign-2")
    assert not board.jobs


def test_a_job_that_ends_counts_once_for_the_pace():
    board = Board()
    ended = job(0, 1, 9, status="complete", attempt=1, ended_at="2026-11-25T11:59:55.000Z")
    for _ in range(3):
        tell(board, event("job", ended))
    assert board.tempo.per_minute(1_795_608_000.0) == 1


def test_every_reader_is_told_of_every_change_once():
    board = Board()
    first, second = board.reader(), board.reader()
    tell(board, event("worker", worker(1, 1)))
    assert first.take().workers == {"worker-0001"}
    tell(board, event("job", job(0, 1, 2)))
    assert not first.take().workers
    assert second.take().workers == {"worker-0001"}
    board.release(second)
    tell(board, event("worker", worker(1, 3)))
    assert not second.take()
