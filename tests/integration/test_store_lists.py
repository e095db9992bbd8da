"""Pages: whole when they are followed to their end, in order, and never dearer than a page may be."""

from __future__ import annotations

import pytest

from daemons.core.errors import NotFound
from daemons.core.models import JobSpec
from daemons.store import lists
from daemons.store.keys import campaign_of
from daemons.store.lists import CampaignFilter, JobFilter, ended_jobs_of, number_of, place_of
from tests.support.store import CPU, GPU, Drive


@pytest.fixture
def drive(store):
    return Drive(store)


@pytest.fixture
def small(monkeypatch):
    """Portions and pages of a few, so that few jobs need many of them."""
    monkeypatch.setattr(lists, "PORTION", 4)
    monkeypatch.setattr(lists, "LOOKS", 9)


async def campaigns(drive, limit=100, **wanted):
    """Every campaign that is wanted, page by page, and how many pages it took."""
    found, before, pages = [], None, 0
    while True:
        page = await drive.store.lists.campaigns(CampaignFilter(**wanted), limit, before)
        assert len(page.items) <= limit
        found += [item["campaign_id"] for item in page.items]
        pages += 1
        if page.cursor is None:
            return found, pages
        before = int(page.cursor)


async def jobs(drive, limit=100, what="jobs", **wanted):
    """Every job that is wanted, page by page, and how many pages it took."""
    found, start, pages = [], None, 0
    while True:
        page = await getattr(drive.store.lists, what)(JobFilter(**wanted), limit, start)
        assert len(page.items) <= limit
        found += [item["job_id" if what == "jobs" else "JobId"] for item in page.items]
        pages += 1
        if page.cursor is None:
            return found, pages
        start = place_of(page.cursor)


async def rows(drive, wanted):
    return [row["JobId"] async for portion in drive.store.lists.rows(wanted) for row in portion]


async def cancelled(drive, count=1):
    (first, *_) = await drive.submit(*[JobSpec(compute_unit=CPU)] * count)
    await drive.store.campaigns.cancel(campaign_of(first))
    return campaign_of(first)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9])
async def test_campaigns_come_newest_first_and_each_once(drive, limit):
    made = [campaign_of((await drive.submit())[0]) for _ in range(6)]
    found, pages = await campaigns(drive, limit)
    assert found == made[::-1]
    assert pages == -(-6 // limit)


async def test_a_last_page_that_is_full_has_no_cursor(drive):
    for _ in range(3):
        await drive.submit()
    assert (await drive.store.lists.campaigns(CampaignFilter(), 3)).cursor is None
    assert (await drive.store.lists.jobs(JobFilter(), 3)).cursor is None


async def test_a_page_of_campaigns_that_hardly_any_filter_finds_is_given_up_early_and_goes_on(drive, small):
    wanted = await cancelled(drive)
    for _ in range(20):
        await drive.submit()
    page = await drive.store.lists.campaigns(CampaignFilter(status="cancelled"), 5)
    assert (page.items, page.cursor is None) == ([], False)
    assert await campaigns(drive, 5, status="cancelled") == ([wanted], 3)


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
async def test_jobs_come_by_campaign_and_in_their_order(drive, small, limit):
    made = [await drive.submit(*[JobSpec(compute_unit=CPU)] * count) for count in (1, 5, 4)]
    found, _ = await jobs(drive, limit)
    assert found == [*made[2], *made[1], *made[0]]
    found, _ = await jobs(drive, limit, campaign_ids=(campaign_of(made[1][0]),))
    assert found == made[1]


async def test_jobs_by_status_unit_and_device(drive):
    one, two = await drive.worker("one"), await drive.worker("two", GPU)
    mine = await drive.submit(
        JobSpec(compute_unit=CPU), JobSpec(compute_unit=GPU), JobSpec(compute_unit=CPU, worker_id=two)
    )
    await drive.take(one)
    assert await jobs(drive, status="running") == ([mine[0]], 1)
    assert await jobs(drive, status="pending") == (mine[1:], 1)
    assert await jobs(drive, compute_unit=CPU) == ([mine[0], mine[2]], 1)
    assert await jobs(drive, worker_id=one) == ([mine[0]], 1)
    assert await jobs(drive, worker_id=two) == ([mine[2]], 1)
    assert await jobs(drive, status="failed") == ([], 1)


async def test_a_page_of_jobs_reads_no_more_than_it_may(drive, small, monkeypatch):
    """Not even of a campaign whose jobs none is wanted: a hundred thousand would hold up everybody else."""
    made = await drive.submit(*[JobSpec(compute_unit=CPU)] * 40)
    reads = []
    plain = drive.store.lists._hashes

    async def counted(keys):
        reads.append(len(keys))
        return await plain(keys)

    monkeypatch.setattr(drive.store.lists, "_hashes", counted)
    page = await drive.store.lists.jobs(JobFilter(compute_unit=GPU), 3)
    assert page.items == []
    assert sum(reads) <= lists.LOOKS + lists.PORTION + 1
    assert place_of(page.cursor).position < 40
    assert await jobs(drive, 3, compute_unit=GPU) == ([], 6)
    reads.clear()
    page = await drive.store.lists.jobs(JobFilter(), 2)
    assert [item["job_id"] for item in page.items] == made[:2]
    assert sum(reads) <= 4


async def test_a_campaign_that_can_have_no_such_job_is_not_read(drive, monkeypatch):
    await cancelled(drive, 50)
    monkeypatch.setattr(drive.store.lists, "_jobs", None)
    assert (await drive.store.lists.jobs(JobFilter(status="failed"), 9)).items == []


async def test_jobs_of_a_campaign_that_is_not_there(drive):
    for campaign in ("campaign-1", "nonsense"):
        with pytest.raises(NotFound, match=campaign):
            await drive.store.lists.jobs(JobFilter(campaign_ids=(campaign,)), 9)


async def test_a_cursor_of_a_campaign_that_is_gone_goes_on_with_the_next(drive):
    made = [await drive.submit(*[JobSpec(compute_unit=CPU)] * 3) for _ in range(2)]
    page = await drive.store.lists.jobs(JobFilter(), 2)
    await drive.store.campaigns.cancel(campaign_of(made[1][0]))
    await drive.store.outbox.acknowledge(campaign_of(made[1][0]), [], version=None)
    await forget(drive, campaign_of(made[1][0]))
    page = await drive.store.lists.jobs(JobFilter(), 9, place_of(page.cursor))
    assert [item["job_id"] for item in page.items] == made[0]


async def forget(drive, campaign_id):
    """What retention does to a campaign whose file is written."""
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    await redis.hset(f"{prefix}campaign:{campaign_id}", "filed", 1)
    assert (await drive.store.campaigns.forget_old(0.0))[0] == 1


async def test_rows_come_in_the_order_of_the_jobs_and_of_ended_ones_only(drive):
    worker = await drive.worker()
    made = await drive.submit(*(JobSpec(compute_unit=CPU, priority=priority) for priority in (0, 1, 2)))
    for _ in range(2):
        job = await drive.take(worker)
        await drive.finish(job.job_id, worker)
    assert await rows(drive, ended_jobs_of(campaign_of(made[0]))) == [made[1], made[2]]
    assert await jobs(drive, 1, what="results", is_ended=True) == ([made[1], made[2]], 2)


async def test_rows_since_a_time(drive):
    early = await cancelled(drive, 2)
    late = await cancelled(drive, 2)
    ended = int((await drive.store.campaigns._state(late))["ended_at"])
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    await redis.hset(f"{prefix}campaign:{early}", "ended_at", ended - 1000)
    for place in range(2):
        await redis.hset(f"{prefix}job:{early}-job-{place}", "ended_at", ended - 1000)
    wanted = JobFilter(is_ended=True, ended_since=ended)
    assert await rows(drive, wanted) == [f"{late}-job-{place}" for place in range(2)]
    assert len(await rows(drive, JobFilter(is_ended=True))) == 4


async def test_rows_of_a_campaign_that_goes_while_it_is_read_are_not_taken_for_all_of_them(drive, small):
    campaign_id = await cancelled(drive, 10)
    for wanted in (ended_jobs_of(campaign_id), JobFilter(is_ended=True)):
        reading = drive.store.lists.rows(wanted)
        assert len(await anext(reading)) == 4
        redis, prefix = drive.store.server._redis, drive.store.server._prefix
        await redis.delete(*(f"{prefix}job:{campaign_id}-job-{place}" for place in range(4, 10)))
        with pytest.raises(NotFound, match="removed while it was read"):
            await anext(reading)
        await reading.aclose()
    await forget(drive, campaign_id)


async def test_rows_of_all_pass_over_a_campaign_that_went_before_it_was_begun(drive, small):
    kept = await cancelled(drive, 2)
    gone = await cancelled(drive, 10)
    reading = drive.store.lists._portions

    async def late(*arguments):
        async for portion in reading(*arguments):
            is_gone = portion.end.campaign == number_of(gone)
            yield portion._replace(jobs=[], is_torn=True) if is_gone and portion.jobs else portion

    drive.store.lists._portions = late
    assert await rows(drive, JobFilter(is_ended=True)) == [f"{kept}-job-0", f"{kept}-job-1"]


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_devices_come_oldest_first_and_each_once(drive, limit):
    made = [await drive.worker(f"device {number}") for number in range(7)]
    redis, prefix = drive.store.server._redis, drive.store.server._prefix
    for age, worker in enumerate(made):
        await redis.hset(f"{prefix}worker:{worker}", "registered_at", 1000 + age // 2)
    found, after = [], None
    while True:
        page = await drive.store.lists.workers(limit, after=after)
        found += [(item["registered_at"], item["worker_id"]) for item in page.items]
        if page.cursor is None:
            break
        after = page.cursor
    assert found == sorted(found)
    assert {worker for _, worker in found} == set(made)
    assert len(found) == 7


async def test_devices_by_status_and_unit(drive):
    one, two = await drive.worker("one"), await drive.worker("two", CPU, GPU)
    await drive.submit()
    await drive.take(one)

    async def found(**wanted):
        return {item["worker_id"] for item in (await drive.store.lists.workers(9, **wanted)).items}

    assert await found() == {one, two}
    assert await found(status="busy") == {one}
    assert await found(compute_unit=GPU) == {two}
    assert await found(compute_unit=GPU, status="busy") == set()
