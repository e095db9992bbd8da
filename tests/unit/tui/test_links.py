"""Following the fleet: snapshots where they are due and nowhere else, coming back, recordings."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from daemons.core.errors import ConfigInvalid, NotFound, OrchestratorUnavailable
from daemons.core.events import Event, Position, ready, resync
from tests.support.board_documents import EPOCH, campaign, event, worker
from tui.board.board import Board
from tui.board.told import Asked, Happened, Link, Page, Pulse, Told, Whole, question
from tui.links.follower import Follower
from tui.links.recording import Line, Recorder, Replay, open_recording, read_recording

OTHER = "b" * 12


class Fleet:
    """Connections, each a list of events and errors; and lists that are asked for."""

    name = "a script"

    def __init__(self, *connections: list[Any]) -> None:
        self.connections = list(connections)
        self.asked_after: list[Position | None] = []
        self.workers_now = [worker(1, 5), worker(2, 6)]
        self.snapshots = 0
        self.refusals: list[Exception] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Fleet]:
        yield self

    async def events(self, after: Position | None) -> AsyncIterator[Event]:
        self.asked_after.append(after)
        if not self.connections:
            await asyncio.Event().wait()
        for step in self.connections.pop(0):
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            if step is None:  # let a snapshot be taken
                for _ in range(20):
                    await asyncio.sleep(0)
            else:
                yield step

    async def workers(self, *, limit: int, cursor: str | None) -> dict[str, Any]:
        assert limit
        if self.refusals:
            raise self.refusals.pop()
        await asyncio.sleep(0)
        start = int(cursor or 0)
        more = {"next_cursor": str(start + 1)} if start + 1 < len(self.workers_now) else {}
        return {"workers": self.workers_now[start : start + 1], **more}

    async def campaigns(self, *, limit: int, cursor: str | None) -> dict[str, Any]:
        assert (limit > 0, cursor) == (True, None)
        self.snapshots += 1
        return {"campaigns": [campaign(1, 4)]}

    async def health(self) -> dict[str, Any]:
        return {"status": "healthy"}


async def followed(fleet: Fleet) -> tuple[Board, list[Told], list[float]]:
    """What was told until there was nothing more to tell; and how long it waited to come back."""
    board, told, waits = Board(), [], []

    def tell(one: Told) -> None:
        told.append(one)
        match one:
            case Page():
                board.page(one)
            case Whole():
                board.whole(one)
            case Happened(event=happened):
                board.happened(happened)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    task = asyncio.create_task(Follower(fleet.open, fleet, tell, sleep).follow())
    for _ in range(400):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    return board, told, waits


async def test_a_snapshot_is_taken_once_the_stream_stands_and_what_happens_meanwhile_counts():
    changed = worker(1, 8, status="busy")
    fleet = Fleet([ready(Position(EPOCH, 6)), event("worker", worker(3, 7)), event("worker", changed), None])
    board, told, _ = await followed(fleet)
    assert {key: one.version for key, one in board.workers.items()} == {
        "worker-0001": 8,
        "worker-0002": 6,
        "worker-0003": 7,
    }
    assert fleet.snapshots == 1
    assert Link(is_live=True, by="a script") in told


async def test_it_comes_back_where_it_was_without_a_snapshot_where_nothing_is_missing():
    lost = OrchestratorUnavailable("no answer")
    fleet = Fleet(
        [ready(Position(EPOCH, 6)), None, event("worker", worker(3, 7)), lost],
        [ready(Position(EPOCH, 7)), event("worker", worker(4, 8)), None],
    )
    board, told, waits = await followed(fleet)
    assert fleet.asked_after[:2] == [None, Position(EPOCH, 7)]
    assert fleet.snapshots == 1
    assert "worker-0004" in board.workers
    (gone,) = [one for one in told if isinstance(one, Link) and one.retry_in_s is not None][:1]
    assert (gone.is_live, gone.why) == (False, "no answer")
    assert 0.3 < waits[0] < 0.6


@pytest.mark.parametrize(
    "void",
    [
        resync(Position(EPOCH, 90), "too long ago"),
        event("reset", {}, 0, OTHER),
        event("worker", worker(2, 90)),
    ],
    ids=["resync", "reset", "gap"],
)
async def test_where_something_is_missing_the_snapshot_is_taken_again(void):
    fleet = Fleet([ready(Position(EPOCH, 6)), None, void, None])
    board, _, _ = await followed(fleet)
    assert fleet.snapshots == 2
    assert board.epoch == void.epoch
    assert board.workers


async def test_a_snapshot_that_fails_breaks_the_link_and_is_taken_after_it():
    fleet = Fleet([ready(Position(EPOCH, 6)), None, None], [ready(Position(EPOCH, 6)), None])
    fleet.refusals = [OrchestratorUnavailable("busy")]
    board, told, _ = await followed(fleet)
    assert any(isinstance(one, Link) and one.why == "busy" for one in told)
    assert len(board.workers) == 2


async def test_it_waits_longer_each_time_up_to_a_limit():
    fleet = Fleet(*[[OrchestratorUnavailable("away")]] * 12)
    _, _, waits = await followed(fleet)
    assert waits[:12] == sorted(waits[:4]) + waits[4:12]
    assert max(waits) <= 15.0
    assert waits[8] >= 12.0


async def test_a_stream_that_just_ends_is_said_so():
    _, told, _ = await followed(Fleet([ready(Position(EPOCH, 6))]))
    assert any(isinstance(one, Link) and one.why == "the stream of events has ended" for one in told)


TOLD: list[Told] = [
    Page(kind="worker", epoch=EPOCH, items=[worker(1, 5)]),
    Whole(epoch=EPOCH, seq=5, workers=["worker-0001"], campaigns=[]),
    Link(is_live=True, by="event stream"),
    Happened(event=event("worker", worker(1, 6, status="busy"))),
    Pulse(health={"status": "healthy"}),
    Asked(question=question("job", {"job_id": "campaign-1-job-0"}), answer={"job": 1}),
]


async def test_a_recording_is_told_again_at_its_pace(tmp_path):
    now = [100.0]
    with open_recording(tmp_path / "evening.jsonl") as file:
        recorder = Recorder(file, lambda: now[0])
        for one in TOLD:
            recorder.tell(one)
            now[0] += 0.5
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    told: list[Told] = []
    replay = Replay(read_recording(tmp_path / "evening.jsonl"))
    with pytest.raises(NotFound, match="replay"):
        await replay.ask("job", {"job_id": "campaign-1-job-0"})
    await replay.follow(told.append, sleep)
    assert told == TOLD
    assert waits == [0.5] * 5
    assert await replay.ask("job", {"job_id": "campaign-1-job-0"}) == {"job": 1}


def test_a_recording_writes_over_nothing_and_is_its_owners(tmp_path):
    path = tmp_path / "evening.jsonl"
    open_recording(path).close()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigInvalid, match="exists; name a new file"):
        open_recording(path)


def test_what_is_no_recording_is_named_with_its_line(tmp_path):
    path = tmp_path / "evening.jsonl"
    good = msgspec.json.encode(Line(t=0.0, told=TOLD[0]))
    path.write_bytes(good + b"\n{}\n" + good + b"\n")
    with pytest.raises(ConfigInvalid, match=r"evening\.jsonl:2: is no line of a recording"):
        read_recording(path)
    path.write_bytes(good + b"\n" + good[:40])
    assert len(read_recording(path)) == 1, "the program that wrote it was killed in the middle of a line"
    path.write_bytes(b"")
    with pytest.raises(ConfigInvalid, match="holds no recording"):
        read_recording(path)


async def test_what_was_recorded_is_flushed_while_it_goes_on(monkeypatch):
    monkeypatch.setattr("tui.links.recording.FLUSH_EVERY_S", 0.0)
    flushed = asyncio.Event()

    class File(io.BytesIO):
        def flush(self) -> None:
            flushed.set()

    task = asyncio.create_task(Recorder(File(), lambda: 0.0).keep())
    async with asyncio.timeout(5):
        await flushed.wait()
    task.cancel()
