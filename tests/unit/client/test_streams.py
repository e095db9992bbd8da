"""Answers that come bit by bit and break off, as a server that dies leaves them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from daemons.client import Client, patience
from daemons.core.errors import NotFound, OrchestratorUnavailable, Unavailable
from tests.support.fake_orchestrator import FakeOrchestrator, refusal, serving


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(patience, "LONGEST_DELAY_S", 0.01)


@asynccontextmanager
async def answering(*bodies, is_whole=True):
    """A server that gives each connection the next body, and what was asked of it; a refused one comes after them."""
    asked, left = [], list(bodies)

    async def answer(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if left:
            body = left.pop(0)
            length = len(body) + (0 if is_whole else 100)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % length + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def event(seq, kind="job"):
    text = f'{{"type": "{kind}", "seq": {seq}, "epoch": "e", "at": null, "state": {{}}}}'
    return f"event: {kind}\nid: e-{seq}\ndata: {text}\n\n".encode()


async def until_it_breaks(items, error, text=None):
    """What comes before the error."""
    found = []

    async def read():
        async with aclosing(items):
            async for item in items:
                found.append(item)  # noqa: PERF401 (it is to be seen after the error)

    with pytest.raises(error, match=text):
        await read()
    return found


async def heard(client, **options):
    return [event.seq for event in await until_it_breaks(client.events(**options), Unavailable)]


@pytest.mark.parametrize("is_whole", [True, False])
async def test_events_go_on_where_they_ended_also_where_nothing_had_happened(is_whole):
    bodies = (event(1, "ready") + event(2), b": nothing new\nid: e-5\n\n", event(6) + b"event: job\nid: e-7\nda")
    async with answering(*bodies, is_whole=is_whole) as (url, asked), Client(url, patience_s=0.1) as client:
        assert await heard(client) == [1, 2, 6]
    assert "Last-Event-ID" not in asked[0]
    places = [line for one in asked for line in one.split("\r\n") if line.startswith("Last-Event-ID")]
    assert places[:3] == ["Last-Event-ID: e-2", "Last-Event-ID: e-5", "Last-Event-ID: e-6"]


async def test_without_patience_a_stream_is_listened_to_once():
    async with answering(event(1), event(2)) as (url, asked), Client(url) as client:
        assert await heard(client, patience_s=0) == [1]
    assert len(asked) == 1


async def test_a_stream_that_is_there_renews_the_patience():
    """Long after it began, a break is as bearable as at first."""
    bodies = [event(seq) for seq in range(30)]
    async with answering(*bodies) as (url, _), Client(url, patience_s=0.005) as client:
        assert len(await heard(client)) == 30


async def test_an_orchestrator_without_a_stream_says_so():
    async with serving(FakeOrchestrator()) as fake, Client(fake.url) as client:
        fake.faults["events"].append(refusal(404, "not_found"))
        with pytest.raises(NotFound):
            await anext(client.events())
        fake.faults["events"] += [refusal(503, "store_unavailable"), refusal(404, "not_found")]
        with pytest.raises(NotFound):
            await anext(client.events())


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [(b'{"JobId": "a"}\n{"JobId": "b"}\n', False), (b'{"JobId": "a"}\n{"JobId": "b"}\n{"Job', True)],
)
async def test_records_that_break_off_are_never_taken_for_all(body, is_whole):
    async with answering(body, is_whole=is_whole) as (url, _), Client(url) as client:
        found = await until_it_breaks(client.iter_records("campaign-1"), OrchestratorUnavailable, "broke off")
    assert found == [{"JobId": "a"}, {"JobId": "b"}]
