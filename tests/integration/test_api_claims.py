"""Claims that wait: woken when work arrives, one at a time, and never left asleep beside a job."""

from __future__ import annotations

import asyncio

import pytest

from daemons.core.settings import FleetSettings
from daemons.orchestrator import dispatch
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, GPU, comes_true

LONG_S = 30.0


async def asleep(api, count):
    """Return once so many claims listen; each tries once more after that, and waits then."""

    async def look():
        waiting = api.parts.dispatcher.doorbell._waiting
        return len({ticket for tickets in waiting.values() for ticket in tickets}) == count

    await comes_true(look, f"{count} claims to wait")


def counted(api, monkeypatch):
    """A list that grows with each try at claiming."""
    tries, claim = [], api.parts.store.queue.claim

    async def counting(worker_id, request):
        tries.append(worker_id)
        return await claim(worker_id, request)

    monkeypatch.setattr(api.parts.store.queue, "claim", counting)
    return tries


@pytest.fixture(autouse=True)
def _no_retries(monkeypatch):
    monkeypatch.setattr(dispatch, "RETRY_S", 60.0)


@pytest.fixture
async def api(store, tmp_path):
    fleet = FleetSettings(heartbeat_interval_s=60, heartbeat_timeout_s=120, duty_interval_s=0.05)
    async with orchestrating(store, tmp_path / "outputs", fleet=fleet) as api:
        yield api


async def test_nothing_to_do_is_204_after_the_wait(api):
    worker = await api.worker()
    assert await api.claim(worker) is None
    assert await api.claim(worker, wait=0.05) is None


async def test_a_waiting_claim_is_woken_by_a_job(api):
    worker = await api.worker()
    claim = asyncio.create_task(api.claim(worker, wait=LONG_S))
    await asleep(api, 1)
    accepted = await api.submit()
    job = await asyncio.wait_for(claim, 5)
    assert job["job_id"] == accepted["jobs"][0]["job_id"]


async def test_it_is_woken_by_a_job_of_its_own_a_released_one_and_one_due_again(api, store):
    one, two = await api.worker("one"), await api.worker("two")
    claim = asyncio.create_task(api.claim(two, wait=LONG_S))
    await asleep(api, 1)
    await api.submit({"compute_unit": CPU, "worker_id": two})
    job = await asyncio.wait_for(claim, 5)
    claim = asyncio.create_task(api.claim(one, wait=LONG_S))
    await asleep(api, 1)
    await api("POST", f"/jobs/{job['job_id']}/release", {"worker_id": two, "attempt": 1})
    again = asyncio.create_task(api.claim(two, wait=LONG_S))
    assert (await asyncio.wait_for(again, 5))["attempt"] == 2
    await api.submit()
    assert (await asyncio.wait_for(claim, 5))["attempt"] == 1


async def test_one_claim_is_woken_per_job_the_longest_waiting_first(api, monkeypatch):
    workers = [await api.worker(f"w{number}") for number in range(4)]
    tries = counted(api, monkeypatch)
    claims = []
    for number, worker in enumerate(workers):
        claims.append(asyncio.create_task(api.claim(worker, wait=LONG_S)))
        await asleep(api, number + 1)
    await comes_true(lambda: asyncio.sleep(0, len(tries) == 8), "every claim to have tried twice")
    tries.clear()
    await api.submit({"compute_unit": CPU}, {"compute_unit": CPU})
    await asyncio.wait_for(asyncio.gather(*claims[:2]), 5)
    await asleep(api, 2)
    assert sorted(tries) == sorted(workers[:2])
    await api.submit({"compute_unit": CPU}, {"compute_unit": CPU})
    assert all(await asyncio.wait_for(asyncio.gather(*claims[2:]), 5))
    assert len(tries) == 4


async def test_every_job_of_a_burst_finds_a_claim(api):
    workers = [await api.worker(f"w{number}", CPU, GPU) for number in range(20)]
    claims = [asyncio.create_task(api.claim(worker, wait=LONG_S)) for worker in workers]
    await asleep(api, 20)
    for number in range(20):
        await api.submit({"compute_unit": (CPU, GPU)[number % 2]})
    jobs = await asyncio.wait_for(asyncio.gather(*claims), 10)
    assert len({job["job_id"] for job in jobs}) == 20


async def test_a_wake_up_that_was_lost_on_the_way_is_made_up_for(store, tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "RETRY_S", 0.05)
    async with orchestrating(
        store, tmp_path / "outputs", duties=False
    ) as api:  # nobody listens to what Redis announces
        worker = await api.worker()
        claim = asyncio.create_task(api.claim(worker, wait=LONG_S))
        await asleep(api, 1)
        await api.submit()
        assert await asyncio.wait_for(claim, 5)


async def test_a_waiting_claim_is_a_sign_of_life_as_often_as_the_fleet_wants_one(store, tmp_path):
    fleet = FleetSettings(heartbeat_interval_s=0.1, heartbeat_timeout_s=0.5, duty_interval_s=0.05)
    async with orchestrating(store, tmp_path / "outputs", fleet=fleet) as api:
        worker = await api.worker()
        await api.claim(worker, wait=1.2)
        assert api.parts.reaper.counts.workers_lost == 0


async def test_the_wake_up_of_a_caller_that_is_gone_is_passed_on(api):
    gone, there = await api.worker("gone"), await api.worker("there")
    leaving = asyncio.create_task(api.claim(gone, wait=LONG_S))
    await asleep(api, 1)
    staying = asyncio.create_task(api.claim(there, wait=LONG_S))
    await asleep(api, 2)
    leaving.cancel()  # its connection is closed; the server has yet to find out
    await asyncio.wait([leaving])
    await api.submit()
    assert await asyncio.wait_for(staying, 5)


async def test_a_worker_that_became_faulty_while_waiting_leaves_the_job_to_others(api):
    faulty, fine = await api.worker("faulty"), await api.worker("fine")
    first = asyncio.create_task(api.claim(faulty, wait=LONG_S))
    await asleep(api, 1)
    second = asyncio.create_task(api.claim(fine, wait=LONG_S))
    await asleep(api, 2)
    await api("PUT", f"/workers/{faulty}/status", {"status": "faulty"})
    await api.submit()
    assert await asyncio.wait_for(second, 5)
    first.cancel()
    await asyncio.wait([first])


async def test_claims_of_a_replaced_process_are_409(api):
    body = {"device_name": "x", "capabilities": [CPU], "device_info": {"UDID": "u"}, "instance_id": "i1"}
    worker = (await api("POST", "/register", body)).document["worker_id"]
    await api("POST", "/register", body | {"instance_id": "i2"})
    answer = await api("POST", f"/workers/{worker}/claim?wait=20", {"instance_id": "i1"})
    assert (answer.status, answer.document["code"]) == (409, "worker_replaced")


async def test_a_server_that_stops_answers_those_who_wait(store, tmp_path):
    async with orchestrating(store, tmp_path / "outputs") as api:
        worker = await api.worker()
        claim = asyncio.create_task(api.claim(worker, wait=LONG_S))
        await asleep(api, 1)
        api.parts.dispatcher.close()
        assert await asyncio.wait_for(claim, 5) is None


async def test_a_waiting_claim_is_woken_by_a_job_with_its_tags_alone(api):
    plain, fit = await api.worker("a"), await api.worker("b", tags=["lab", "quiet"])
    claims = {worker: asyncio.create_task(api.claim(worker, wait=LONG_S)) for worker in (plain, fit)}
    await asleep(api, 2)
    await api.submit({"compute_unit": CPU, "tags": ["quiet"]})
    assert await asyncio.wait_for(claims[fit], LONG_S / 2)
    assert not claims[plain].done()
    await api.submit()
    assert await asyncio.wait_for(claims[plain], LONG_S / 2)
