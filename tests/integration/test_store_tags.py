"""Jobs for devices with tags on their way through the store: delayed, left to another device, given back."""

from __future__ import annotations

import pytest

from daemons.core.models import JobSpec
from tests.support.store import CPU, GPU, LATER, Drive, dump

QUEUE = f"unit:{CPU}+lab+quiet"
JOB = JobSpec(compute_unit=CPU, tags=["lab", "quiet"])


@pytest.fixture
def drive(store):
    return Drive(store)


async def tag_sets(drive):
    return {name: tags for name, tags in (await dump(drive.store)).items() if name.startswith("tag_sets:")}


async def test_a_retry_waits_apart_and_comes_back_to_its_queue(drive):
    worker = await drive.worker("one", tags=["lab", "quiet"])
    (job_id,) = await drive.submit(JOB)
    await drive.take(worker)
    assert await tag_sets(drive) == {}
    await drive.lose(worker, LATER)
    assert (await drive.delayed(), await tag_sets(drive)) == ([job_id], {})
    await drive.make_due()
    assert await drive.store.queue.promote_due() == 1
    assert (await drive.waiting(QUEUE), await tag_sets(drive)) == ([job_id], {f"tag_sets:{CPU}": {"lab+quiet"}})
    assert (await drive.take(worker)).job_id == job_id


async def test_only_a_device_with_the_tags_goes_before_the_one_that_has_failed(drive):
    """While there is another that has the unit alone, nobody is waited for."""
    one = await drive.worker("one", tags=["lab", "quiet"])
    await drive.worker("two", tags=["lab"])
    (job_id,) = await drive.submit(JOB)
    await drive.take(one)
    await drive.lose(one)
    await drive.beat(one)
    assert (await drive.take(one)).job_id == job_id
    await drive.lose(one)
    three = await drive.worker("three", tags=["quiet", "lab"])
    await drive.beat(one)
    assert await drive.claim(one) is None
    assert (await drive.take(three)).job_id == job_id


async def test_a_device_that_is_removed_gives_its_job_back_to_the_others_with_its_tags(drive):
    one, two = [await drive.worker(name, tags=["lab", "quiet"]) for name in ("one", "two")]
    (job_id,) = await drive.submit(JOB)
    await drive.take(one)
    await drive.store.fleet.remove(one, force=True)
    assert await drive.waiting(QUEUE) == [job_id]
    assert (await drive.take(two)).job_id == job_id


async def test_a_queue_is_of_one_unit_also_where_tags_are_the_same(drive):
    worker = await drive.worker("one", GPU, tags=["lab", "quiet"])
    await drive.submit(JOB)
    assert await drive.claim(worker) is None
    (job_id,) = await drive.submit(JobSpec(compute_unit=GPU, tags=["quiet"]))
    assert (await drive.take(worker)).job_id == job_id


async def test_a_checkup_needs_no_tags_and_goes_first(drive):
    worker = await drive.worker("one", tags=["lab", "quiet"])
    await drive.submit(JOB)
    campaign = (await drive.store.health.start(worker))["campaign_id"]
    assert (await drive.take(worker)).campaign_id == campaign
