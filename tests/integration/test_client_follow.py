"""A campaign followed over connections that are cut, and over orchestrators that are stopped and started."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from daemons.client import Client, patience
from daemons.core.errors import NotFound, OrchestratorUnavailable
from tests.support.orchestrator import orchestrating
from tests.support.proxy import Proxy
from tests.support.store import CPU


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.02)


def backend(api):
    parts = urlsplit(api.url)
    return str(parts.hostname), int(parts.port or 0)


class World:
    """Orchestrators over one store that come and go behind one address, and one device."""

    def __init__(self, store, folder, proxy):
        self._store, self._folder = store, folder
        self._running = AsyncExitStack()
        self.proxy = proxy
        self.api = None
        self.worker = ""

    async def start(self):
        self.api = await self._running.enter_async_context(orchestrating(self._store, self._folder))
        self.proxy.backends = [backend(self.api)]

    async def stop(self):
        self.proxy.backends = []
        self.proxy.cut_all()
        running, self._running = self._running, AsyncExitStack()
        await running.aclose()

    async def do_one(self, **figures):
        job = await self.api.claim(self.worker)
        assert (await self.api.report(self.worker, job, **figures)).status == 200


@pytest.fixture
async def world(store, tmp_path):
    async with Proxy().serving() as proxy:
        world = World(store, tmp_path / "outputs", proxy)
        await world.start()
        world.worker = await world.api.worker()
        yield world
        await world.stop()


@pytest.fixture
async def client(world):
    async with Client(world.proxy.url) as connected:
        yield connected


class Follower:
    """What a following has told so far, and a way to wait for more of it."""

    def __init__(self, campaign, **options):
        self.told = []
        self._more = asyncio.Event()
        self.task = asyncio.create_task(self._follow(campaign, options))

    async def _follow(self, campaign, options):
        async for event in campaign.follow(**options):
            self.told.append(event)
            self._more.set()

    async def until(self, fact):
        async with asyncio.timeout(20):
            while not fact(self):
                self._more.clear()
                await self._more.wait()

    def states(self, kind="job"):
        """The newest status of each thing of that type."""
        key = f"{kind}_id"
        return {event.state[key]: event.state["status"] for event in self.told if event.type == kind}

    def check(self):
        """Each change was told once, and none after a newer one; the end is the campaign's."""
        versions = {}
        for event in self.told:
            if event.type in ("job", "campaign"):
                identifier = event.state.get("job_id") or event.state["campaign_id"]
                versions.setdefault(identifier, []).append((event.state["version"], event.state["status"]))
        for told in versions.values():
            assert len(set(told)) == len(told)
            assert [version for version, _ in told] == sorted(version for version, _ in told)
        assert self.told[-1].type == "campaign"
        assert self.told[-1].state["status"] != "running"


def complete(count):
    return lambda follower: list(follower.states().values()).count("complete") >= count


async def test_all_is_told_once_although_connections_break_and_orchestrators_change(world, client):
    submitted = await world.api.submit(*[{"compute_unit": CPU}] * 4)
    follower = Follower(client.campaign_of(submitted["campaign_id"]))
    await follower.until(lambda it: len(it.states()) == 4)
    await world.do_one()
    await follower.until(complete(1))
    world.proxy.cut_all()  # while it listens
    await world.do_one()
    await follower.until(complete(2))
    await world.stop()
    await world.start()
    await world.do_one()
    await follower.until(complete(3))
    world.proxy.backends = []  # what happens now is not heard
    world.proxy.cut_all()
    await world.do_one()
    world.proxy.backends = [backend(world.api)]
    async with asyncio.timeout(20):
        await follower.task
    follower.check()
    assert set(follower.states().values()) == {"complete"}
    assert follower.told[-1].state["status"] == "completed"
    statuses = [event.state["status"] for event in follower.told if event.type == "job"]
    assert statuses.count("running") == 4


async def test_where_the_log_does_not_reach_back_a_snapshot_fills_the_gap(world, client, store):
    submitted = await world.api.submit(*[{"compute_unit": CPU}] * 2)
    follower = Follower(client.campaign_of(submitted["campaign_id"]))
    await follower.until(lambda it: len(it.states()) == 2)
    await world.stop()
    await world.start()
    world.proxy.backends = []
    await world.do_one()
    await forget_events(store)
    world.proxy.backends = [backend(world.api)]
    await follower.until(complete(1))
    await world.do_one()
    async with asyncio.timeout(20):
        await follower.task
    follower.check()
    assert complete(2)(follower)


async def forget_events(store):
    """As if more had happened than is kept."""
    assert await store.server._redis.delete(f"{store.server._prefix}event_log") == 1


async def test_cancelling_tells_of_the_jobs_that_never_ran(world, client):
    submitted = await world.api.submit(*[{"compute_unit": CPU}] * 3)
    campaign = client.campaign_of(submitted["campaign_id"])
    follower = Follower(campaign)
    await follower.until(lambda it: len(it.states()) == 3)
    assert (await campaign.cancel())["cancelled"] == 3
    async with asyncio.timeout(20):
        await follower.task
    follower.check()
    assert set(follower.states().values()) == {"cancelled"}


async def test_waiting_survives_a_restart_and_answers_the_campaign(world, client):
    submitted = await world.api.submit({"compute_unit": CPU})
    campaign = client.campaign_of(submitted["campaign_id"])
    with pytest.raises(TimeoutError):
        await campaign.wait(timeout_s=0)
    waiting = asyncio.create_task(campaign.wait(timeout_s=60))
    await world.stop()
    await world.start()
    await world.do_one(InferenceMsMedian=1.5)
    assert await waiting == await campaign.document()
    [record] = await campaign.results()
    assert (record["Status"], record["InferenceMsMedian"], record["LoadMsMedian"]) == ("Complete", 1.5, None)


async def test_an_orchestrator_that_stays_away_is_given_up(world, client):
    submitted = await world.api.submit({"compute_unit": CPU})
    follower = Follower(client.campaign_of(submitted["campaign_id"]), patience_s=0.2)
    await follower.until(lambda it: it.states())
    await world.stop()
    with pytest.raises(OrchestratorUnavailable, match="is it running there"):
        await asyncio.wait_for(follower.task, 20)


async def test_a_reset_takes_the_campaign_away(world, client):
    submitted = await world.api.submit({"compute_unit": CPU})
    follower = Follower(client.campaign_of(submitted["campaign_id"]))
    await follower.until(lambda it: it.states())
    await client.reset()
    with pytest.raises(NotFound, match=submitted["campaign_id"]):
        await asyncio.wait_for(follower.task, 20)
    with pytest.raises(NotFound):
        await client.campaign_of("campaign-1").wait()


async def test_what_has_happened_is_told_from_a_place_on(world, client):
    first = await world.api.submit({"compute_unit": CPU})
    begin = [event async for event in client.events(seconds=0)]
    assert [event.type for event in begin] == ["ready"]
    second = await world.api.submit({"compute_unit": CPU})
    events = [event async for event in client.events(after=begin[0].position, types=["campaign"], seconds=0)]
    assert [event.type for event in events] == ["ready", "campaign"]
    assert events[1].campaign_id == second["campaign_id"] != first["campaign_id"]
