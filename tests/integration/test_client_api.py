"""What each method of the client brings, from a real orchestrator."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from daemons.client import Client
from daemons.core import health
from daemons.core.errors import Conflict, InvalidInput, NotFound
from tests.support.store import CPU, GPU


class SmallPages(Client):
    """Asks for lists two at a time."""

    async def _send(self, method, path, body=None, *, query=None, **more):
        if query is not None and "cursor" in query:
            query = {**query, "limit": 2}
        return await super()._send(method, path, body, query=query, **more)


@pytest.fixture
async def client(api):
    async with SmallPages(api.url) as connected:
        yield connected


async def test_lists_are_iterated_over_all_their_pages(api, client):
    workers = [await api.worker(name) for name in ("one", "two", "three")]
    submitted = [(await client.submit(campaign(CPU, GPU, CPU)))["campaign_id"] for _ in range(3)]
    assert [worker.worker_id async for worker in client.iter_workers()] == workers
    assert [one.campaign_id async for one in client.iter_campaigns()] == submitted[::-1]
    jobs = [job async for job in client.iter_jobs(campaign_id=submitted[0])]
    assert [job.job_id for job in jobs] == [f"{submitted[0]}-job-{place}" for place in range(3)]
    assert [job.compute_unit async for job in client.iter_jobs(compute_unit=CPU)] == [CPU] * 6
    page = await client.jobs(limit=2, campaign_id=submitted[0])
    rest = await client.jobs(limit=2, campaign_id=submitted[0], cursor=page["next_cursor"])
    assert (page["count"], rest["count"], "next_cursor" in rest) == (2, 1, False)
    with pytest.raises(InvalidInput, match="did you mean compute_unit"):
        await client.jobs(compute_units=CPU)


def campaign(*units, **more):
    return {"model_url": "http://127.0.0.1:9/m.onnx", "jobs": [{"compute_unit": unit} for unit in units], **more}


async def test_campaigns_are_found_by_name_and_by_all_of_their_labels(client):
    wanted = (await client.submit(campaign(CPU, name="nightly", labels={"branch": "main", "by": "ci"})))["campaign_id"]
    await client.submit(campaign(CPU, labels={"branch": "main"}))
    for filters in ({"name": "nightly"}, {"label": "by=ci"}, {"label": ["branch=main", "by=ci"]}):
        assert [one.campaign_id async for one in client.iter_campaigns(**filters)] == [wanted]


async def measured(api, client, count=3):
    """An ended campaign with a row for each job, the last one failed."""
    worker = await api.worker()
    campaign_id = (await client.submit(campaign(*[CPU] * count)))["campaign_id"]
    for place in range(count):
        job = await api.claim(worker)
        status = "Failed" if place == count - 1 else "Complete"
        figures = {"InferenceMsMedian": 1.5 + place, "FileSize": 42, "Remark": "no such file"} if place else {}
        assert (await api.report(worker, job, status, **figures)).status == 200
    return campaign_id, worker


async def test_records_hold_numbers_as_numbers_and_nothing_for_what_is_not_known(api, client):
    campaign_id, worker = await measured(api, client)
    records = await client.records(campaign_id)
    assert [record["InferenceMsMedian"] for record in records] == [None, 2.5, 3.5]
    assert [record["FileSize"] for record in records] == [None, 42, 42]
    assert [record["Status"] for record in records] == ["Complete", "Complete", "Failed"]
    assert len({tuple(record) for record in records}) == 1  # all have the same columns, in the same order
    assert [record async for record in client.iter_records(campaign_id)] == records
    assert await client.campaign_of(campaign_id).results() == records
    assert (await client.results(campaign_id)).splitlines()[0].split(",") == list(records[0])
    assert await client.records_all() == records
    assert await client.records_all(worker_id=worker, status="Failed", campaign_id=[campaign_id]) == records[2:]
    assert await client.records_all(since="2100-01-01T00:00:00Z") == []
    for since in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1)):  # noqa: DTZ001 (this machine's time, then)
        assert await client.records_all(since=since) == records
    assert len((await client.results_all(status="Complete")).splitlines()) == 3


async def test_files_of_results_are_listed_and_downloaded(api, client):
    campaign_id, _ = await measured(api, client)
    [file] = (await client.results_files())["files"]
    assert file["filename"].startswith(campaign_id)
    assert (await client.download(file["filename"])).decode() == await client.results(campaign_id)


async def test_jobs_and_campaigns_are_cancelled_tried_again_and_deleted(api, client):
    campaign_id, _ = await measured(api, client)
    failed = f"{campaign_id}-job-2"
    assert (await client.retry_job(failed))["status"] == "pending"
    assert (await client.queue_status())["capability_queues"][CPU] == 1
    with pytest.raises(Conflict, match="end it first"):
        await client.delete_campaign(campaign_id)
    assert (await client.cancel_job(failed))["status"] == "cancelled"
    assert (await client.job(failed))["job"]["status"] == "cancelled"
    assert (await client.delete_campaign(campaign_id))["jobs"] == 3
    assert len(await client.records(campaign_id)) == 3  # from its file
    with pytest.raises(NotFound, match=campaign_id):
        await client.campaign(campaign_id)
    other, _ = await measured(api, client)
    handle = client.campaign_of(other)
    assert (await handle.retry())["retried"] == 1
    assert (await handle.cancel())["cancelled"] == 1
    assert (await client.campaigns())["campaigns"][0] == {
        key: value for key, value in (await handle.document()).items() if key != "models"
    }


async def test_devices_are_drained_checked_set_aside_and_removed(api, client):
    worker = await api.worker(builtin_models=[health.MODEL])
    assert (await client.drain_worker(worker, "moving house"))["drained"] is True
    assert (await client.worker(worker))["drained_reason"] == "moving house"
    assert (await client.undrain_worker(worker))["drained"] is False
    assert (await client.set_status(worker, "faulty"))["status"] == "faulty"
    assert (await client.worker_health(worker))["is_healthy"] is False
    assert (await client.workers_health())["unhealthy"] == 1
    assert (await client.workers(status="faulty"))["count"] == 1
    assert (await client.reset_worker(worker))["status"] == "active"
    checkup = await client.check_worker(worker)
    assert (await client.campaign(checkup["campaign_id"]))["kind"] == "health"
    with pytest.raises(Conflict, match="force"):
        await client.remove_worker(worker)
    assert (await client.remove_worker(worker, force=True))["removed"] is True


async def test_models_are_iterated_and_fetched_by_their_hash(client, tmp_path):
    for name in ("a.onnx", "b.onnx", "c.onnx"):
        (tmp_path / name).write_bytes(b"model " + name.encode())
        await client.upload_model(tmp_path / name)
    found = [model async for model in client.iter_models()]
    assert [model.name for model in found] == ["a.onnx", "b.onnx", "c.onnx"]
    target = tmp_path / "again.onnx"
    await client.download_model_by_sha256(hashlib.sha256(b"model b.onnx").hexdigest().upper(), target)
    assert target.read_bytes() == b"model b.onnx"
    with pytest.raises(InvalidInput, match="64 hexadecimal"):
        await client.download_model_by_sha256("b.onnx", target)


async def test_the_orchestrator_tells_of_itself(client):
    assert (await client.health())["status"] == "healthy"
    assert (await client.openapi())["openapi"].startswith("3.1")
    assert (await client.monitoring_stats())["fleet"]["retries"] == 0
    assert "# TYPE benchfleet" in await client.metrics()
    assert (await client.reset())["status"] == "reset"
