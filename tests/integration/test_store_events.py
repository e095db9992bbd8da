"""Events as they are heard and kept: each once and in order, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest

from daemons.core.errors import StoreUnavailable
from daemons.core.events import Position
from daemons.core.models import Progress
from daemons.store import broadcast, open_store
from tests.support.store import CPU, Drive, dump


@pytest.fixture
def drive(store):
    return Drive(store)


async def told(stream, count):
    """The next events."""
    return [await asyncio.wait_for(anext(stream), 10) for _ in range(count)]


async def until(stream, position):
    """The events up to a place."""
    found = []
    while not found or found[-1].position != position:
        found += await told(stream, 1)
    return found


async def much_happens(drive):
    """A job's whole life, and a device that goes; where the events are then."""
    worker = await drive.worker()
    (job_id,) = await drive.submit()
    await drive.take(worker)
    await drive.beat(worker, job_id, 1, progress=Progress(phase="measuring"))
    await drive.finish(job_id, worker)
    await drive.store.fleet.remove(worker, force=True)
    return await drive.store.events.position()


def numbers(events):
    return [event.seq for event in events]


def types(events):
    return {event.type for event in events}


async def test_they_are_as_the_api_shows_the_same_thing(drive):
    async with aclosing(drive.store.broadcast.events()) as stream:
        await told(stream, 1)
        worker = await drive.worker()
        (job_id,) = await drive.submit()
        await drive.take(worker)
        heard = await until(stream, await drive.store.events.position())
    last = {event.type: event.state for event in heard}
    shown = await drive.store.fleet.get(worker)
    assert last["worker"] | {"last_heartbeat": shown["last_heartbeat"]} == shown
    assert last["campaign"] == await drive.campaign(job_id)
    job = await drive.job(job_id)
    assert last["job"] == {name: value for name, value in job.items() if name != "history"}


async def test_the_first_item_says_where_the_stream_begins_and_nothing_is_missing_after_it(drive):
    await drive.worker()
    async with aclosing(drive.store.broadcast.events()) as stream:
        (begin,) = await told(stream, 1)
        assert begin.type == "ready"
        assert begin.position == await drive.store.events.position()
        heard = await until(stream, await much_happens(drive))
    assert numbers(heard) == list(range(begin.seq + 1, begin.seq + 1 + len(heard)))
    assert types(heard) == {"worker", "campaign", "job", "progress", "worker_removed"}


async def test_who_comes_back_hears_all_that_was_missed_as_it_was(drive):
    async with aclosing(drive.store.broadcast.events()) as stream:
        (begin,) = await told(stream, 1)
        now = await much_happens(drive)
        heard = await until(stream, now)
    async with aclosing(drive.store.broadcast.events(begin.position)) as stream:
        (again, *missed) = await told(stream, 1 + len(heard))
    assert (again.type, again.position) == ("ready", begin.position)
    assert missed == heard


async def test_a_log_longer_than_a_portion_is_read_whole(drive, monkeypatch):
    monkeypatch.setattr("daemons.store.events.PORTION", 3)
    begin = await drive.store.events.position()
    now = await much_happens(drive)
    async with aclosing(drive.store.broadcast.events(begin)) as stream:
        await told(stream, 1)
        assert numbers(await until(stream, now)) == list(range(begin.seq + 1, now.seq + 1))


async def test_what_was_published_unheard_is_read_from_the_log(drive, monkeypatch):
    """Messages in the middle and at the end are lost: the first shows by its gap, the last when nothing comes."""
    monkeypatch.setattr(broadcast, "LOOK_EVERY_S", 0.05)
    real, lost = broadcast.Broadcast._messages, set()

    async def leaky(self, channel):
        async for message in real(self, channel):
            if not message or json.loads(message)["seq"] not in lost:
                yield message

    monkeypatch.setattr(broadcast.Broadcast, "_messages", leaky)
    async with aclosing(drive.store.broadcast.events()) as stream:
        (begin,) = await told(stream, 1)
        lost.update({begin.seq + 2, begin.seq + 3})
        heard = await until(stream, await much_happens(drive))
        assert numbers(heard) == list(range(begin.seq + 1, heard[-1].seq + 1))
        lost.add(heard[-1].seq + 1)
        await drive.worker("two")
        assert numbers(await told(stream, 1)) == [heard[-1].seq + 1]


async def test_a_subscription_that_begins_again_is_a_reason_to_look(drive, monkeypatch):
    monkeypatch.setattr(broadcast, "LOOK_EVERY_S", 3600.0)
    again = asyncio.Event()

    async def silent(self, channel):
        yield ""
        await again.wait()
        yield ""

    monkeypatch.setattr(broadcast.Broadcast, "_messages", silent)
    async with aclosing(drive.store.broadcast.events()) as stream:
        (begin,) = await told(stream, 1)
        await drive.worker()
        again.set()
        ready, missed = await told(stream, 2)
    assert (ready.type, ready.position) == ("ready", begin.position)
    assert missed.position == await drive.store.events.position()


async def test_a_server_that_takes_subscriptions_and_nothing_else_is_away(drive, monkeypatch):
    """As one does while it reads its file."""
    begin = await drive.store.events.position()

    async def loading(*_, **__):
        raise StoreUnavailable("LOADING")

    monkeypatch.setattr(drive.store.events, "_read", loading)
    async with aclosing(drive.store.broadcast.events(begin)) as stream:
        with pytest.raises(StoreUnavailable):
            await told(stream, 1)


async def test_where_the_log_does_not_reach_back_everything_must_be_fetched_again(drive):
    begin = await drive.store.events.position()
    now = await much_happens(drive)
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    await redis.xtrim(f"{prefix}event_log", minid=f"{begin.seq + 3}-0", approximate=False)
    assert (await drive.store.events.after(begin)).events is None
    assert numbers((await drive.store.events.after(Position(now.epoch, begin.seq + 2))).events)[0] == begin.seq + 3
    await redis.delete(f"{prefix}event_log")
    async with aclosing(drive.store.broadcast.events(begin)) as stream:
        _, gap = await told(stream, 2)
        assert (gap.type, gap.position) == ("resync", now)
        await drive.worker("two")
        assert numbers(await told(stream, 1)) == [now.seq + 1]


@pytest.mark.parametrize("place", [Position("0" * 12, 1), None])
async def test_another_epoch_and_a_future_number_are_unknown(drive, place):
    await drive.worker()
    now = await drive.store.events.position()
    async with aclosing(drive.store.broadcast.events(place or Position(now.epoch, now.seq + 5))) as stream:
        _, gap = await told(stream, 2)
    assert (gap.type, gap.position) == ("resync", now)


async def test_after_a_reset_there_is_nothing_and_the_stream_goes_on(drive):
    async with aclosing(drive.store.broadcast.events()) as stream:
        (begin,) = await told(stream, 1)
        await drive.store.server.reset()
        await drive.worker()
        reset, first = await told(stream, 2)
    assert (reset.type, reset.seq, reset.epoch == begin.epoch) == ("reset", 0, False)
    assert (first.type, first.seq, first.epoch == begin.epoch) == ("worker", 1, False)
    assert (await drive.store.events.after(begin.position)).events is None


async def test_a_reset_that_was_not_heard_is_a_resync(drive):
    await drive.worker()
    begin = await drive.store.events.position()
    await drive.store.server.reset()
    async with aclosing(drive.store.broadcast.events(begin)) as stream:
        _, gap = await told(stream, 2)
    assert (gap.type, gap.seq, gap.epoch == begin.epoch) == ("resync", 0, False)


async def test_the_log_is_bounded_by_number_and_by_bytes(drive, monkeypatch):
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    worker = await drive.worker()
    fat = "x" * 2**20
    await redis.hset(f"{prefix}worker:{worker}", "faulty_reason", fat)
    for number in range(40):
        await drive.store.fleet.drain(worker, "why" if number % 2 else None)
    log = await redis.xrange(f"{prefix}event_log")
    size = sum(len(fields["event"]) for _, fields in log)
    assert 8 * 2**20 <= size <= 17 * 2**20
    assert log[-1][0] == f"{(await drive.store.events.position()).seq}-0"
    await redis.hset(f"{prefix}worker:{worker}", "faulty_reason", "thin")
    for start in range(0, 10_500, 500):
        async with redis.pipeline(transaction=False) as pipeline:
            for number in range(start, start + 500):
                pipeline.evalsha(*_drain(drive, worker, number))
            await pipeline.execute()
    assert await redis.xlen(f"{prefix}event_log") <= 10_300


def _drain(drive, worker, number):
    arguments = f'{{"worker_id":"{worker}","drained":{str(number % 2 == 0).lower()},"reason":"why"}}'
    return drive.store.fleet._scripts._scripts["drain"].sha, 1, drive.store.server._prefix, arguments


async def test_what_devices_keep_undelivered_is_told_when_it_changes(drive):
    worker = await drive.worker()
    async with aclosing(drive.store.broadcast.events()) as stream:
        await told(stream, 1)
        for kept in (0, 2, 2, 0):
            await drive.beat(worker, undelivered=kept)
        await drive.store.fleet.drain(worker, "the end")
        heard = await told(stream, 3)
    assert [event.state["undelivered_results"] for event in heard] == [2, 0, 0]
    assert heard[-1].state["drained"]


async def test_that_a_campaign_is_being_cancelled_is_told(drive):
    worker = await drive.worker()
    (job_id,) = await drive.submit()
    await drive.take(worker)
    async with aclosing(drive.store.broadcast.events()) as stream:
        await told(stream, 1)
        await drive.store.campaigns.cancel(job_id.partition("-job-")[0])
        job, campaign = await told(stream, 2)
    assert (job.state["cancel_requested"], campaign.state["cancel_requested"]) == (True, True)
    assert campaign.state["status"] == "running"


async def test_a_reset_empties_the_log(drive):
    await much_happens(drive)
    await drive.store.server.reset()
    assert await dump(drive.store, without=()) == {}


async def test_two_fleets_on_one_server_hear_nothing_of_each_other(drive, valkey_url):
    async with open_store(valkey_url, f"{drive.store.server._prefix}other:") as other:
        async with aclosing(drive.store.broadcast.events()) as stream:
            (begin,) = await told(stream, 1)
            await Drive(other).submit()
            await drive.worker("one", CPU)
            assert numbers(await told(stream, 1)) == [begin.seq + 1]
        await other.server.reset()
        await other.server._redis.delete(f"{drive.store.server._prefix}other:epoch")
