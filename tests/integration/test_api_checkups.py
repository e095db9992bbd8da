"""Checkups over HTTP: started by a person and by the duty, reported by a worker, shown to everybody."""

from __future__ import annotations

import asyncio

import pytest

from daemons.core import health
from daemons.core.settings import FleetSettings
from tests.support.orchestrator import QUICK, orchestrating
from tests.support.store import CPU, comes_true

RIGHT = {
    "OutputsAgree": True,
    "InferenceMsMedian": 5.0,
    "Engine": "E",
    "EngineVersion": "1",
    "ExecutionProvider": "P",
    "Verdict": "stable",
}
NEVER = FleetSettings(heartbeat_interval_s=5.0, duty_interval_s=0.05, health_interval_s=None)


async def device(api, name="one", **more):
    """One that brings the reference model along."""
    return await api.worker(name, builtin_models=[health.MODEL], **more)


async def check(api, worker):
    answer = await api("POST", f"/workers/{worker}/check")
    assert answer.status == 201, answer.document
    return answer


async def set_aside(api, worker):
    """The device could not do its part three times in a row."""
    await api.submit({"worker_id": worker})
    fleet = api.parts.settings.fleet
    for _ in range(fleet.failures_until_set_aside):

        async def job():
            return await api.claim(worker)

        failed = await comes_true(job, "the job to be due again")
        await api.report(worker, failed, "Failed", Remark="its disk is full", is_device_failure=True)
    assert (await api("GET", f"/workers/{worker}")).document["status"] == "faulty"


@pytest.fixture
async def still(store, tmp_path):
    """An orchestrator that starts no checkup by itself."""
    async with orchestrating(store, tmp_path / "outputs", fleet=NEVER) as api:
        yield api


async def test_a_person_starts_one_and_sees_what_came_of_it(still):
    worker = await device(still)
    answer = await check(still, worker)
    campaign_id = answer.document["campaign_id"]
    assert answer.headers["Location"] == f"/api/campaigns/{campaign_id}"
    assert answer.document["total_jobs"] == 1
    view = (await still("GET", f"/workers/{worker}")).document["health"]
    assert view == {"checked_at": None, "passed": None, "reason": None, "units": {}, "open_checkup": campaign_id}
    job = await still.claim(worker)
    assert (job["model_url"], job["check_outputs"]) == ("builtin:health-1", True)
    assert (await still.report(worker, job, **RIGHT)).document["status"] == "complete"
    view = (await still("GET", f"/workers/{worker}")).document["health"]
    assert view["checked_at"].endswith("Z")
    assert (view["passed"], view["open_checkup"]) == (True, None)
    assert view["units"] == {CPU: {"passed": True, "reason": None, "median_ms": 5.0, "usual_ms": None}}
    assert (await still("GET", f"/workers/{worker}/health")).document["health"] == view
    (one,) = (await still("GET", "/health/workers")).document["workers"]
    assert one["health"] == view


async def test_a_second_one_is_refused_and_the_open_one_named(still):
    worker = await device(still)
    campaign_id = (await check(still, worker)).document["campaign_id"]
    refused = await still("POST", f"/workers/{worker}/check")
    assert (refused.status, refused.is_problem) == (409, True)
    assert campaign_id in refused.document["error"]


@pytest.mark.parametrize(("path", "status"), [("worker-abc", 404), ("nobody", 404)])
async def test_one_of_nobody_is_refused(still, path, status):
    assert (await still("POST", f"/workers/{path}/check")).status == status


async def test_a_worker_that_tells_of_no_models_is_never_given_one_of_ours(api):
    """A script that plays a worker, or a worker of before there were checkups."""
    worker = await api.worker()
    await set_aside_now(api, worker)
    refused = await api("POST", f"/workers/{worker}/check")
    assert refused.status == 409
    assert "too old to have the reference model" in refused.document["error"]
    assert await api.claim(worker) is None


async def set_aside_now(api, worker):
    for _ in range(3):
        await api.submit({"worker_id": worker})
        job = await api.claim(worker)
        await api.report(worker, job, "Failed", is_device_failure=True)


async def test_a_failed_one_sets_the_device_aside_with_its_reason(still):
    worker = await device(still)
    await check(still, worker)
    job = await still.claim(worker)
    await still.report(worker, job, "Failed", Remark="the GPU fell off the bus")
    view = (await still("GET", f"/workers/{worker}")).document
    reason = "its reference model failed on CPU (ONNX): the GPU fell off the bus"
    assert (view["status"], view["faulty_reason"], view["health"]["reason"]) == ("faulty", reason, reason)
    answer = (await still("GET", f"/jobs/{job['job_id']}")).document
    assert (answer["job"]["kind"], answer["job"]["health"]["reason"]) == ("health", reason)
    assert answer["result"]["Remark"] == "the GPU fell off the bus"


async def test_what_has_drifted_is_judged_by_what_was_reported_before(still):
    worker = await device(still)
    for ms in (5.0, 5.0, 5.0, 5.0, 5.0, 8.1):
        await check(still, worker)
        await still.report(worker, await still.claim(worker), **(RIGHT | {"InferenceMsMedian": ms}))
    view = (await still("GET", f"/workers/{worker}")).document
    assert "took 8.1 ms on CPU (ONNX) where it usually takes 5 ± 0.5 ms" in view["faulty_reason"]
    recovered = await still("PUT", f"/workers/{worker}/reset")
    assert recovered.document["status"] == "active"


async def test_the_duty_checks_what_was_set_aside_and_brings_it_back(store, tmp_path):
    quick = FleetSettings(heartbeat_interval_s=5.0, duty_interval_s=0.05, retry_delay_s=0.0)
    async with orchestrating(store, tmp_path / "outputs", fleet=quick) as api:
        worker = await device(api)
        await set_aside(api, worker)
        claiming = asyncio.create_task(api.claim(worker, wait=30))
        async with asyncio.timeout(QUICK.heartbeat_interval_s / 2):
            job = await claiming
        assert job["model_url"] == "builtin:health-1", "a waiting claim hears of it at once"
        await api.report(worker, job, **RIGHT)
        assert (await api("GET", f"/workers/{worker}")).document["status"] == "active"
        users = await api.claim(worker, wait=30)
        assert users["model_url"] != job["model_url"]
        stats = (await api("GET", "/monitoring/stats")).document["fleet"]
        assert (stats["checkups_started"], stats["checkups_passed"], stats["checkups_failed"]) == (1, 1, 0)


async def test_without_an_interval_nothing_is_checked_by_itself(still):
    worker = await device(still)
    await set_aside_now(still, worker)
    rounds = still.parts.duties

    async def was_done():
        return (await still.parts.store.duties.facts()).duties.get("checkups") is not None and rounds.state.is_held

    await comes_true(was_done, "a round of all duties")
    assert (await still("GET", "/campaigns?kind=health")).document["count"] == 0
    await check(still, worker)
    assert await still.claim(worker) is not None, "a person may all the same"


async def test_campaigns_are_listed_by_kind(still, tmp_path):
    worker = await device(still)
    mine = (await still.submit())["campaign_id"]
    checkup = (await check(still, worker)).document["campaign_id"]

    async def listed(kind):
        answer = (await still("GET", f"/campaigns{kind}")).document
        return [(campaign["campaign_id"], campaign["kind"]) for campaign in answer["campaigns"]]

    assert await listed("") == [(mine, "benchmark")]
    assert await listed("?kind=health") == [(checkup, "health")]
    assert await listed("?kind=all") == [(checkup, "health"), (mine, "benchmark")]
    assert await listed("?kind=all&limit=1") == [(checkup, "health")]
    assert await listed(f"?kind=all&cursor={checkup.removeprefix('campaign-')}") == [(mine, "benchmark")]
    refused = await still("GET", "/campaigns?kind=healthy")
    assert (refused.status, refused.document["field"]) == (400, "kind")
    assert "all, benchmark, health" in refused.document["error"]
    await still.report(worker, await still.claim(worker), **RIGHT)
    await still("GET", "/results/files")
    assert not list((tmp_path / "outputs").glob("*.csv")), "a checkup has no file"
    rows = (await still("GET", f"/campaigns/{checkup}/results")).document
    assert "health-1.onnx" in rows


async def test_nobody_submits_a_built_in_model(still):
    body = {"model_url": health.MODEL_URL, "jobs": [{"compute_unit": CPU}]}
    refused = await still("POST", "/campaigns", body)
    assert (refused.status, refused.document["field"]) == (400, "model_url")


async def test_a_checkup_that_is_reported_twice_counts_once(still):
    worker = await device(still)
    await check(still, worker)
    job = await still.claim(worker)
    await still.report(worker, job, **RIGHT)
    assert (await still.report(worker, job, **RIGHT)).document["duplicate"] is True
    stats = (await still("GET", "/monitoring/stats")).document["fleet"]
    assert stats["checkups_passed"] == 1
