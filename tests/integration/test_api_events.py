"""The stream of events over real HTTP: resumed, filtered, cut off; by one orchestrator and by two."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from daemons.core.events import Position
from daemons.orchestrator import feed
from daemons.orchestrator.api.app import ROUTES
from daemons.store import broadcast, open_store
from daemons.store.embedded import EmbeddedServer
from tests.support.contract import disagreements
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, comes_true


class Heard:
    """One connection to the stream; every event on it is held to its declared type."""

    def __init__(self, answer):
        self.answer = answer
        self.position = None
        """What a program that knows server-sent events would send as its Last-Event-ID."""

    async def block(self):
        """The next lines up to an empty one; EOFError at the end of the stream."""
        lines = []
        while line := (await self.answer.content.readline()).decode():
            if line == "\n":
                return lines
            lines.append(line.rstrip("\n"))
        raise EOFError

    async def event(self):
        """The next event, whatever signs of life come before it."""
        while True:
            fields = dict(line.split(": ", 1) for line in await asyncio.wait_for(self.block(), 10) if line[0] != ":")
            self.position = fields.get("id", self.position)
            if "data" in fields:
                event = json.loads(fields["data"])
                assert fields["event"] == event["type"]
                assert fields["id"] == f"{event['epoch']}-{event['seq']}"
                wrong = disagreements(
                    "GET", "/api/events", 200, "text/event-stream", b"data: " + fields["data"].encode()
                )
                assert not wrong
                return event

    async def until(self, position):
        """The events up to a place."""
        events = []
        while self.position != str(position):
            events.append(await self.event())
        return events

    async def rest(self):
        """What comes before the stream ends."""
        blocks = []
        try:
            while True:
                blocks.append(await asyncio.wait_for(self.block(), 10))
        except EOFError:
            return blocks


@asynccontextmanager
async def listening(api, query="", **headers) -> AsyncIterator[Heard]:
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    async with api.session.get(f"{api.url}/api/events{query}", headers=named) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield Heard(answer)


async def job_done(api, worker):
    """A job's whole life."""
    campaign = await api.submit()
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)
    return campaign["campaign_id"]


def numbers(events):
    return [event["seq"] for event in events]


async def test_it_begins_with_its_place_and_tells_what_happens_as_the_api_shows_it(api, store):
    async with listening(api) as heard:
        ready = await heard.event()
        assert (ready["type"], heard.position) == ("ready", str(await store.events.position()))
        worker = await api.worker()
        campaign_id = await job_done(api, worker)
        events = await heard.until(await store.events.position())
    assert numbers(events) == list(range(ready["seq"] + 1, ready["seq"] + 1 + len(events)))
    last = {event["type"]: event["state"] for event in events}
    assert [last["campaign"]] == (await api("GET", "/campaigns")).document["campaigns"]
    (job,) = (await api("GET", f"/jobs?campaign_id={campaign_id}")).document["jobs"]
    assert last["job"] == job
    assert last["worker"]["jobs_complete"] == 1


async def test_lists_say_which_events_they_hold(api, store):
    for path in ("/workers", "/campaigns", "/jobs"):
        await job_done(api, await api.worker())
        document = (await api("GET", path)).document
        assert Position(document["epoch"], document["seq"]) == await store.events.position(), path


@pytest.mark.parametrize("name", ["workers", "campaigns", "jobs"])
async def test_what_a_list_says_was_read_before_its_content(api, store, monkeypatch, name):
    """Otherwise what happens in between would be missed for ever by who applies what is newer."""
    real, before = getattr(store.lists, name), await store.events.position()

    async def late(*wanted, **more):
        await api.worker("that comes in between")
        return await real(*wanted, **more)

    monkeypatch.setattr(store.lists, name, late)
    document = (await api("GET", f"/{name}")).document
    assert Position(document["epoch"], document["seq"]) == before


async def test_cut_off_in_the_middle_it_goes_on_at_another_orchestrator_with_nothing_lost_or_twice(
    api, store, tmp_path, valkey_url
):
    """One listener is never cut off and says what there was to hear; the other is, after every third event."""
    worker = await api.worker()
    async with (
        open_store(valkey_url, store.server._prefix) as same,
        orchestrating(same, tmp_path / "outputs", duties=True) as second,
        listening(api) as steady,
    ):
        begin = await steady.event()
        place, pieces, end = f"{begin['epoch']}-{begin['seq']}", [], asyncio.Event()

        async def listen_in_pieces():
            nonlocal place
            turn = 0
            while not (end.is_set() and place == str(last)):
                turn += 1
                how = {"Last_Event_ID": place} if turn % 3 else {"query": f"?after={place}"}
                async with listening((api, second)[turn % 2], **how) as heard:
                    assert (await heard.event())["type"] == "ready"
                    for _ in range(3):
                        if end.is_set() and place == str(last):
                            break
                        pieces.append(await heard.event())
                        place = heard.position
                    heard.answer.close()  # no goodbye: as when a cable is pulled

        last = None
        listener = asyncio.create_task(listen_in_pieces())
        for _ in range(5):
            await job_done(api, worker)
        last = await store.events.position()
        end.set()
        await asyncio.wait_for(listener, 30)
        whole = await steady.until(last)
    assert len(whole) >= 30
    assert pieces == whole


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("?campaign_id={campaign}", {"campaign", "job"}),
        ("?worker_id={worker}", {"worker", "job"}),
        ("?type=job&type=campaign", {"campaign", "job"}),
        ("?campaign_id={campaign}&type=job", {"job"}),
    ],
)
async def test_filters(api, store, query, types):
    worker, other = await api.worker(), await api.worker("other", "GPU (ONNX)")
    begin = await store.events.position()
    campaign = await job_done(api, worker)
    await api.submit({"compute_unit": "GPU (ONNX)"})
    await api.claim(other)
    wanted = query.format(campaign=campaign, worker=worker)
    async with listening(api, f"{wanted}&after={begin}&seconds=0") as heard:
        blocks = [dict(line.split(": ", 1) for line in block) for block in await heard.rest()]
    events = [json.loads(block["data"]) for block in blocks]
    assert {event["type"] for event in events[1:]} == types
    for event in events[1:]:
        if "campaign_id" in query:
            assert event["state"]["campaign_id"] == campaign
        if "worker_id" in query:
            assert event["state"]["worker_id"] == worker


async def test_who_hears_nothing_for_long_knows_all_the_same_how_far_it_has_come(api, store, monkeypatch):
    monkeypatch.setattr(feed, "KEEP_ALIVE_S", 0.02)
    async with listening(api, "?type=reset") as heard:
        await heard.event()
        await api.worker()
        now = str(await store.events.position())

        async def told():
            block = await heard.block()
            assert block[0].startswith(":")
            return f"id: {now}" in block

        await comes_true(told, "a sign of life with the new place")


async def test_a_reset_is_told_and_the_stream_goes_on(api):
    async with listening(api) as heard:
        begin = await heard.event()
        await api("POST", "/reset")
        await api.worker()
        reset, worker = await heard.event(), await heard.event()
    assert (reset["type"], reset["seq"], reset["epoch"] == begin["epoch"]) == ("reset", 0, False)
    assert (worker["type"], worker["seq"], worker["epoch"] == begin["epoch"]) == ("worker", 1, False)


async def test_what_is_not_known_any_more_must_be_fetched_again(api, store):
    begin = await store.events.position()
    await job_done(api, await api.worker())
    await store.server._redis.delete(f"{store.server._prefix}event_log")
    for place in (begin, "0123456789ab-7"):
        async with listening(api, Last_Event_ID=place) as heard:
            ready, gap = await heard.event(), await heard.event()
            assert f"{ready['epoch']}-{ready['seq']}" == str(place)
            assert (gap["type"], heard.position) == ("resync", str(await store.events.position()))
            await api.worker()
            assert (await heard.event())["seq"] == gap["seq"] + 1


async def test_lost_messages_are_made_good_for_everybody(api, store, monkeypatch):
    monkeypatch.setattr(broadcast, "LOOK_EVERY_S", 0.05)
    real = broadcast.Broadcast._messages

    async def deaf(self, channel):
        async for message in real(self, channel):
            if channel == "wake" or not message:
                yield message

    monkeypatch.setattr(broadcast.Broadcast, "_messages", deaf)
    async with listening(api) as one, listening(api) as other:
        begin = await one.event()
        await other.event()
        await job_done(api, await api.worker())
        now = await store.events.position()
        heard = await one.until(now)
        assert numbers(heard) == list(range(begin["seq"] + 1, now.seq + 1))
        assert await other.until(now) == heard


async def test_what_was_read_from_the_log_is_not_told_again_when_the_orchestrator_hears_of_it(api, store, monkeypatch):
    monkeypatch.setattr(broadcast, "LOOK_EVERY_S", 0.3)
    real = broadcast.Broadcast._messages

    async def deaf(self, channel):
        async for message in real(self, channel):
            if channel == "wake" or not message:
                yield message

    monkeypatch.setattr(broadcast.Broadcast, "_messages", deaf)
    begin, worker = await store.events.position(), await api.worker()
    async with listening(api) as one:
        await one.event()
        await job_done(api, worker)
        async with listening(api, f"?after={begin}") as other:
            await other.event()
            heard = await other.until(await store.events.position())
            await api.worker("later")
            now = await store.events.position()
            heard += await other.until(now)
    assert numbers(heard) == list(range(begin.seq + 1, now.seq + 1))


async def test_one_that_reads_nothing_is_bounded_and_told_what_it_missed(api, store, monkeypatch):
    """It reads nothing while more happens than the ring and all buffers on the way hold."""
    monkeypatch.setattr(feed, "MOST_HELD", 10)
    monkeypatch.setattr(feed, "GATHER_S", 0.0)
    worker = await api.worker()
    await store.server._redis.hset(f"{store.server._prefix}worker:{worker}", "faulty_reason", "x" * 400_000)
    async with listening(api) as slow, listening(api) as quick:
        await slow.event()
        await quick.event()
        for number in range(60):
            await store.fleet.drain(worker, "why" if number % 2 == 0 else None)
            await quick.event()
        ring = api.parts.feed._ring
        assert ring.end - ring.begin <= 10
        slow_ones = []
        while not slow_ones or slow_ones[-1]["type"] != "resync":
            slow_ones.append(await slow.event())
        assert len(slow_ones) < 60
        assert "slower" in slow_ones[-1]["state"]["reason"]
        await store.fleet.drain(worker, "the end")
        assert (await slow.until(await store.events.position()))[-1]["state"]["drained_reason"] == "the end"


async def test_one_that_takes_nothing_for_too_long_is_cut_off(api, store, monkeypatch):
    monkeypatch.setattr("daemons.orchestrator.api.streaming.PIECE_TIMEOUT_S", 0.3)
    worker = await api.worker()
    await store.server._redis.hset(f"{store.server._prefix}worker:{worker}", "faulty_reason", "x" * 1_000_000)
    async with listening(api) as stuck:
        await stuck.event()
        for number in range(20):
            await store.fleet.drain(worker, "why" if number % 2 == 0 else None)
        await comes_true(lambda: asyncio.sleep(0, len(api.parts.feed) == 0), "the listener to be cut off")


async def test_a_subscription_that_is_cut_is_made_again_and_nobody_notices(api, store):
    worker = await api.worker()
    async with listening(api) as heard:
        begin = await heard.event()
        for _ in range(3):
            await store.server._redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await job_done(api, worker)
        now = await store.events.position()
        assert numbers(await heard.until(now)) == list(range(begin["seq"] + 1, now.seq + 1))


async def test_one_subscription_serves_all_and_ends_with_the_last_of_them(api, store, monkeypatch):
    monkeypatch.setattr(feed, "KEEP_ALIVE_S", 0.05)  # that one is gone shows when it is sent something

    async def subscriptions():
        channel = f"{store.server._prefix}events"
        return dict(await store.server._redis.pubsub_numsub(channel))[channel]

    assert await subscriptions() == 0
    async with listening(api) as one, listening(api) as other:
        await one.event()
        await other.event()
        assert await subscriptions() == 1
    await comes_true(lambda: asyncio.sleep(0, len(api.parts.feed) == 0), "both to be gone")

    async def is_quiet():
        await api.worker()
        return await subscriptions() == 0

    await comes_true(is_quiet, "the subscription to end")


async def test_more_listeners_than_there_may_be_are_told_to_come_later(api, monkeypatch):
    monkeypatch.setattr(feed, "MOST_LISTENERS", 1)
    async with listening(api) as one:
        await one.event()
        answer = await api("GET", "/events?seconds=0")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?after=17", {}, "after"),
        ("?type=nonsense", {}, "type"),
        ("?campaign_id=x", {}, "campaign_id"),
        ("", {"Last-Event-ID": "17"}, "Last-Event-ID"),
    ],
)
async def test_a_wish_that_means_nothing_is_refused(api, query, headers, field):
    answer = await api("GET", f"/events{query}", **headers)
    assert (answer.status, answer.document["field"]) == (400, field)


async def test_the_server_ends_at_once_although_somebody_listens(store, tmp_path):
    async with orchestrating(store, tmp_path / "outputs") as api:
        answer = await api.session.get(f"{api.url}/api/events")
        await Heard(answer).event()
        clock = asyncio.get_running_loop().time
        began = clock()
        rest = asyncio.create_task(Heard(answer).rest())
        await asyncio.sleep(0)
    assert clock() - began < 2.5  # aiohttp's own wait for connections would take 3 s
    assert await rest == [[feed.ENDING.decode().strip()]]


async def test_redis_away_ends_the_stream_and_back_it_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "RECONNECT_S", 0.05)
    server = EmbeddedServer(tmp_path / "valkey", wrap=list)
    await server.start()
    try:
        async with open_store(server.url, "t:") as store, orchestrating(store, tmp_path / "outputs") as api:
            async with listening(api) as heard:
                await heard.event()
                await api.worker()
                await heard.event()
                await server.stop()
                assert (await heard.rest())[-1] == [feed.AWAY.decode().strip()]
            answer = await api("GET", "/events?seconds=0")
            assert (answer.status, int(answer.headers["Retry-After"]) >= 1) == (503, True)
            await server.start()
            await api.becomes("/health", {"status": "healthy"})
            await api.worker("two", CPU)
            async with listening(api, Last_Event_ID=heard.position) as again:
                assert (await again.event())["type"] == "ready"
                assert (await again.event())["state"]["device_name"] == "two"
    finally:
        await server.stop()


def test_every_type_of_event_that_a_listener_may_name_is_declared():
    (route,) = (route for route in ROUTES if route.path == "/api/events")
    declared = {kind.__struct_config__.tag for kind in route.answers[200].line.__args__}
    assert declared == set(feed.EventType)
