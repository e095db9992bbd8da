"""Calls that are given up at any moment: no connection leaks, nobody gets another's reply, nothing is half done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import psutil

from daemons.core.models import CampaignRequest, JobSpec
from tests.support.scale import tell
from tests.support.store import CPU, URL, Drive, comes_true, dump, inconsistencies

CALLS = 300
JOBS = 40
LONGEST_S = 0.003
"""About as long as a call takes, so that it is given up before, within and after."""


def request():
    return CampaignRequest(model_url=URL, jobs=[JobSpec(compute_unit=CPU) for _ in range(JOBS)])


async def campaigns_by_total(store):
    """How many jobs each campaign says that it has, and how many there are."""
    keys = await dump(store)
    told = {state["campaign_id"]: int(state["total"]) for name, state in keys.items() if is_campaign(name)}
    return told, {campaign: sum(is_job_of(campaign, name) for name in keys) for campaign in told}


def is_campaign(name):
    return name.startswith("campaign:") and not name.endswith(":specs")


def is_job_of(campaign, name):
    return name.startswith(f"job:{campaign}-job-") and name.count(":") == 1


async def test_cancelled_calls_to_redis_leave_no_connection_and_no_wrong_reply(store):
    drive, generator = Drive(store), random.Random(3)
    known = [(await drive.submit())[0].rpartition("-job-")[0] for _ in range(4)]
    workers = [await drive.worker(name) for name in "abcd"]
    given_up, number = 0, 0
    while given_up < CALLS:
        number += 1
        calls = [
            asyncio.create_task(store.campaigns.submit(request(), f"key-{number}")),
            asyncio.create_task(store.fleet.get(workers[number % 4])),
            asyncio.create_task(drive.claim(workers[number % 4], claim=f"claim-{number}")),
        ]
        await asyncio.sleep(generator.uniform(0, LONGEST_S))
        for call in calls:
            given_up += call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        seen = await asyncio.gather(
            *(store.campaigns.get(campaign) for campaign in known), *(store.fleet.get(worker) for worker in workers)
        )
        assert [view.get("campaign_id") or view["worker_id"] for view in seen] == known + workers

    keys = [await store.campaigns.submit(request(), f"key-{place}") for place in range(1, number + 1)]
    told, there = await campaigns_by_total(store)
    assert told == there
    assert len(told) == len(known) + len({submitted.campaign_id for submitted in keys}) == len(known) + number
    assert await inconsistencies(store) == []
    pools = [client.connection_pool for client in (store.server._redis, store.server._patient)]
    assert [len(pool._in_use_connections) for pool in pools] == [0, 0]
    tell("calls to Redis given up", calls=3 * number, given_up=given_up)


async def aborted_post(api, content, share, generator):
    """Send this share of a request, all of it at 1 or above, and cut the connection a moment later."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(content[: int(len(content) * share)])
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        await asyncio.sleep(generator.uniform(0, LONGEST_S))
    writer.transport.abort()


def post(api, key):
    body = json.dumps({"model_url": URL, "jobs": [{"compute_unit": CPU}] * JOBS})
    host = api.url.removeprefix("http://")
    head = (
        f"POST /api/campaigns HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
    )
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def connections(api):
    """Those of this process to or from the server's port, as the kernel has them."""
    port = int(api.url.rpartition(":")[2])
    return sorted(
        (one.laddr, one.raddr)
        for one in psutil.Process().net_connections("tcp")
        if one.raddr and port in (one.laddr.port, one.raddr.port)
    )


async def test_aborted_posts_make_a_whole_campaign_or_none_and_leave_no_connection(api, store):
    generator = random.Random(4)
    await api.submit()
    before = connections(api)
    for number in range(CALLS):
        await aborted_post(api, post(api, f"key-{number}"), generator.uniform(0.0, 2.0), generator)

    async def are_closed():
        return connections(api) == before

    await comes_true(are_closed, "every connection to be closed")
    told, there = await campaigns_by_total(store)
    assert told == there
    assert set(told.values()) == {1, JOBS}
    body = {"model_url": URL, "jobs": [{"compute_unit": CPU}] * JOBS}
    again = {
        (await api("POST", "/campaigns", body, Idempotency_Key=f"key-{number}")).document["campaign_id"]
        for number in range(CALLS)
    }
    assert len(again) == CALLS
    assert told.keys() - again == {max(told.keys() - again)}
    assert await inconsistencies(store) == []
    tell("posts given up", posts=CALLS, made_a_campaign=len(told) - 1, made_none=CALLS - len(told) + 1)
