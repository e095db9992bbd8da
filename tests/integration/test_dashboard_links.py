"""The dashboard's links against a real orchestrator and Redis: by either way the board becomes what the API shows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from daemons.client import Client
from tests.support.board_documents import NOON_S
from tests.support.store import CPU, comes_true
from tui.board.told import Page
from tui.desk import Desk
from tui.links import choosing
from tui.links.asking import ClientAsker
from tui.links.choosing import Chooser
from tui.links.follower import Follower
from tui.links.redis import RedisSource


class Clocks:
    monotonic = staticmethod(lambda: asyncio.get_running_loop().time())
    time = staticmethod(lambda: NOON_S)


@asynccontextmanager
async def following(url, wanted, prefix="benchfleet:"):
    """A desk that follows the fleet there, and the task that does it."""
    async with Client(url, patience_s=0.0) as client:
        desk = Desk(url, Clocks(), ClientAsker(client))
        follower = Follower(Chooser(client, wanted, prefix).open, client, desk.tell)
        tasks = [asyncio.create_task(follower.follow()), asyncio.create_task(follower.watch_health())]
        try:
            yield desk
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def agrees(api, desk):
    """Whether the board shows what the API shows."""
    workers = (await api("GET", "/workers")).document["workers"]
    campaigns = (await api("GET", "/campaigns")).document["campaigns"]
    return (
        desk.link.is_live
        and {one["worker_id"]: (one["version"], one["status"]) for one in workers}
        == {key: (one.version, one.status) for key, one in desk.board.workers.items()}
        and {one["campaign_id"]: (one["version"], one["completed_jobs"]) for one in campaigns}
        == {key: (one.version, one.job_breakdown.complete) for key, one in desk.board.campaigns.items()}
    )


async def live_a_little(api):
    """A campaign with an end, one that waits, a device that leaves."""
    one, other = await api.worker("one"), await api.worker("other")
    await api.submit({"compute_unit": CPU})
    await api.report(one, await api.claim(one), InferenceMsMedian=2.5)
    await api.submit({"compute_unit": CPU}, {"compute_unit": CPU})
    await api.claim(one)
    await api("DELETE", f"/workers/{other}?force=true")


@pytest.mark.parametrize(("wanted", "by"), [("none", "event stream"), ("auto", "Redis")])
async def test_by_either_way_the_board_becomes_what_the_api_shows(api, wanted, by):
    await live_a_little(api)
    async with following(api.url, wanted) as desk:
        await comes_true(lambda: agrees(api, desk), "the snapshot")
        assert desk.link.by == by
        await live_a_little(api)
        await comes_true(lambda: agrees(api, desk), "the events")
        assert desk.health is not None
        await api("POST", "/reset", {})
        await live_a_little(api)
        await comes_true(lambda: agrees(api, desk), "another life of the fleet")


async def test_jobs_that_have_only_waited_are_there_too(api):
    """Nothing has changed about them yet: their version is the first of all."""
    await api.submit({"compute_unit": CPU}, {"compute_unit": CPU})
    async with following(api.url, "none") as desk:
        await comes_true(lambda: agrees(api, desk), "the snapshot")
        (campaign_id,) = desk.board.campaigns
        desk.board.watched.add(campaign_id)
        answer = await desk.ask("jobs", campaign_id=campaign_id)
        desk.tell(Page(kind="job", epoch=desk.board.epoch or "", items=answer["jobs"]))
        assert [job.status for job in desk.board.jobs.values()] == ["pending", "pending"]


async def test_an_address_that_leads_to_another_redis_is_not_believed(api, monkeypatch):
    """Behind a tunnel, the server's address of its Redis leads to whatever listens there on this machine."""

    async def elsewhere(self):
        return (await RedisSource.real_position(self))._replace(epoch="0" * 12)

    monkeypatch.setattr(RedisSource, "real_position", RedisSource.position, raising=False)
    monkeypatch.setattr(RedisSource, "position", elsewhere)
    async with following(api.url, "auto") as desk:
        await comes_true(lambda: agrees(api, desk), "the link")
        assert desk.link.by == "event stream"


async def test_redis_is_not_asked_for_where_the_orchestrator_is_elsewhere(api, monkeypatch):
    monkeypatch.setattr(choosing, "_is_here", lambda _url: False)
    async with following(api.url, "auto") as desk:
        await comes_true(lambda: agrees(api, desk), "the link")
        assert desk.link.by == "event stream"


async def test_records_of_a_device_are_the_newest_ones(api):
    await live_a_little(api)
    async with Client(api.url) as client:
        ask = ClientAsker(client)
        (worker,) = (await ask("workers", {}))["workers"]
        records = await ask("records_of_device", {"worker_id": worker["worker_id"], "limit": 5})
        assert [record["InferenceMsMedian"] for record in records] == [2.5]


def test_a_dashboard_loads_no_database_before_it_listens_to_one():
    script = "import sys, tui.main; print('redis' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
