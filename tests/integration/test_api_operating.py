"""Drain, removal, retry by hand, retention and the truth about the duties, over HTTP."""

from __future__ import annotations

import asyncio
import shutil

from daemons.orchestrator.duties import Duty
from daemons.orchestrator.retention import Retention
from tests.support.orchestrator import QUICK, orchestrating
from tests.support.store import CPU, comes_true, dump

DUTIES = {"reaper", "writer", "webhooks", "retention", "checkups", "models"}


async def result_files(api):
    return [file["filename"] for file in (await api("GET", "/results/files")).document["files"]]


async def test_drain_and_undrain(api):
    worker = await api.worker()
    await api.submit()
    drained = await api("POST", f"/workers/{worker}/drain", {"reason": "new fans"})
    assert (drained.status, drained.document["drained"], drained.document["status"]) == (200, True, "active")
    assert await api.claim(worker) is None
    assert (await api("GET", f"/workers/{worker}")).document["drained_reason"] == "new fans"
    undrained = await api("POST", f"/workers/{worker}/undrain")
    assert (undrained.status, undrained.document["drained"]) == (200, False)
    assert await api.claim(worker) is not None


async def test_a_drain_says_what_is_still_running(api):
    worker = await api.worker()
    await api.submit()
    job = await api.claim(worker)
    answer = await api("POST", f"/workers/{worker}/drain")
    assert answer.document["message"] == f"the worker takes no more jobs once {job['job_id']} has ended"


async def test_a_waiting_claim_of_a_worker_that_is_undrained_gets_its_job_at_once(api):
    """Not at its next try, seconds later: the beat of this fleet is longer than this test may take."""
    worker = await api.worker()
    await api("POST", f"/workers/{worker}/drain")
    await api.submit()
    claiming = asyncio.create_task(api.claim(worker, wait=30))

    async def listens() -> bool:
        return f"worker:{worker}" in api.parts.dispatcher.doorbell._waiting

    await comes_true(listens, "the claim to listen for its own name")
    await api("POST", f"/workers/{worker}/undrain")
    async with asyncio.timeout(QUICK.heartbeat_interval_s / 2):
        assert await claiming is not None


async def test_removing_a_device(api):
    worker = await api.worker()
    refused = await api("DELETE", f"/workers/{worker}")
    assert (refused.status, refused.is_problem) == (409, True)
    bad = await api("DELETE", f"/workers/{worker}?force=perhaps")
    assert (bad.status, bad.document["field"]) == (400, "force")
    campaign = await api.submit({"worker_id": worker})
    removed = await api("DELETE", f"/workers/{worker}?force=true")
    assert (removed.status, removed.document["removed"], removed.document["failed_jobs"]) == (200, True, 1)
    assert (await api("GET", f"/workers/{worker}")).status == 404
    await api.becomes(f"/campaigns/{campaign['campaign_id']}", {"status": "failed"})


async def test_what_failed_is_retried_and_its_file_replaced(api, tmp_path):
    worker = await api.worker()
    campaign = (await api.submit())["campaign_id"]
    await api.report(worker, await api.claim(worker), "Failed", Remark="no luck")
    (first,) = await result_files(api)
    assert "no luck" in (tmp_path / "outputs" / first).read_text()
    answer = await api("POST", f"/campaigns/{campaign}/retry")
    assert (answer.status, answer.document["retried"], answer.document["status"]) == (200, 1, "running")
    assert (await api("POST", f"/campaigns/{campaign}/retry")).document["retried"] == 0
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)

    async def one_file_with_the_new_row() -> bool:
        files = await result_files(api)
        return len(files) == 1 and "no luck" not in (tmp_path / "outputs" / files[0]).read_text()

    await comes_true(one_file_with_the_new_row, "the file of the second end alone")


async def test_one_job_is_retried_and_says_why_another_is_not(api):
    worker = await api.worker()
    campaign = (await api.submit())["campaign_id"]
    job = f"{campaign}-job-0"
    refused = (await api("POST", f"/jobs/{job}/retry")).document
    assert (refused["retried"], refused["message"]) == (0, "only failed jobs are tried again; this one is pending")
    await api.report(worker, await api.claim(worker), "Failed", Remark="no luck")
    assert (await api("POST", f"/jobs/{job}/retry")).document["status"] == "pending"


async def test_a_device_failure_is_taken_and_the_job_waits_again(api):
    worker = await api.worker()
    await api.submit()
    answer = await api.report(worker, await api.claim(worker), "Failed", Remark="disk full", is_device_failure=True)
    assert answer.document["status"] == "pending"
    stats = (await api("GET", "/monitoring/stats")).document
    assert (stats["fleet"]["device_failures"], stats["fleet"]["retries"]) == (1, 1)


async def test_old_campaigns_leave_and_their_files_answer_for_them(api, store):
    worker = await api.worker()
    campaign = (await api.submit())["campaign_id"]
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)
    before = (await api("GET", f"/campaigns/{campaign}/results")).document
    await result_files(api)
    await Retention(store, days=1e-9).round()
    assert (await api("GET", f"/campaigns/{campaign}")).status == 404
    after = await api("GET", f"/campaigns/{campaign}/results")
    assert (after.status, after.document) == (200, before)


async def test_deleting_a_campaign(api, store):
    worker = await api.worker()
    campaign = (await api.submit(*[{"compute_unit": "CPU (ONNX)"}] * 2))["campaign_id"]
    refused = await api("DELETE", f"/campaigns/{campaign}")
    assert (refused.status, refused.is_problem) == (409, True)
    assert f"POST /api/campaigns/{campaign}/cancel" in refused.document["error"]
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)
    await api("POST", f"/campaigns/{campaign}/cancel")
    results = (await api("GET", f"/campaigns/{campaign}/results")).document
    deleted = await api("DELETE", f"/campaigns/{campaign}")
    assert (deleted.status, deleted.document["deleted"], deleted.document["jobs"]) == (200, True, 2)
    for path in (f"/campaigns/{campaign}", f"/jobs/{campaign}-job-0"):
        assert (await api("GET", path)).status == 404
    assert (await api("DELETE", f"/campaigns/{campaign}")).status == 404
    assert (await api("GET", f"/campaigns/{campaign}/results")).document == results
    assert [key for key in await dump(store) if campaign in key] == []


async def test_what_a_deletion_has_left_goes_with_the_next_round_also_where_everything_is_kept(api, store):
    campaign = (await api.submit())["campaign_id"]
    await api("POST", f"/campaigns/{campaign}/cancel")
    await result_files(api)
    await store.campaigns.delete(campaign)
    await Retention(store, days=None).round()
    assert [key for key in await dump(store) if campaign in key] == []


async def test_health_tells_who_does_the_duties_and_how_late_they_are(api):
    health = (await api("GET", "/health")).document
    assert health["duties"]["is_held"] is True
    assert health["duties"]["holder"] == health["duties"]["replica"]

    async def all_done() -> bool:
        return set((await api("GET", "/health")).document["duties"]["lag_s"]) == DUTIES

    await comes_true(all_done, "every duty to have been done once")
    assert (await api("GET", "/health")).document["problems"] == []


async def test_after_a_reset_it_is_known_still_when_each_duty_was_done(api, store):
    """One that is done once a minute would look late until its time comes: on an orchestrator that runs for long."""

    async def all_done() -> bool:
        return set((await api("GET", "/health")).document["duties"]["lag_s"]) == DUTIES

    await comes_true(all_done, "every duty to have been done once")
    await api("POST", "/reset")
    await comes_true(all_done, "that to be known again")


async def test_a_duty_that_fails_is_known_to_every_replica(store, tmp_path):
    """The one that serves the request need not be the one that can't write."""
    async with (
        orchestrating(store, tmp_path / "outputs") as holder,
        orchestrating(store, tmp_path / "outputs") as other,
    ):
        outputs = tmp_path / "outputs"
        await asyncio.to_thread(shutil.rmtree, outputs)
        await asyncio.to_thread(outputs.write_text, "in the way")
        worker = await holder.worker()
        await holder.submit()
        await holder.report(worker, await holder.claim(worker))
        health = await other.becomes("/health", {"status": "degraded"})
        assert "results can't be written" in health["problems"][0]
        assert health["duties"]["is_held"] is False

        await asyncio.to_thread(outputs.unlink)
        await asyncio.to_thread(outputs.mkdir)
        await other.becomes("/health", {"status": "healthy"})


async def test_what_can_not_be_written_is_told_until_all_is_written(store, tmp_path):
    """A campaign that goes on has nothing to be written yet, which is no reason to call all well."""
    outputs = tmp_path / "outputs"
    async with orchestrating(store, outputs, duties=False) as api:
        worker, writer = await api.worker(), api.parts.writer
        for campaign in ([CPU], [CPU, CPU]):
            await api.submit(*({"compute_unit": unit} for unit in campaign))
            await api.report(worker, await api.claim(worker))
        await asyncio.to_thread(shutil.rmtree, outputs)
        await asyncio.to_thread(outputs.write_text, "in the way")
        await writer.flush()
        assert writer.counts.last_error is not None

        await asyncio.to_thread(outputs.unlink)
        await asyncio.to_thread(outputs.mkdir)
        await writer.flush()
        assert (writer.counts.last_error, writer.counts.files_written) == (None, 1)


async def test_a_replica_with_another_folder_of_results_says_so(store, tmp_path):
    async with (
        orchestrating(store, tmp_path / "here") as holder,
        orchestrating(store, tmp_path / "elsewhere") as other,
    ):
        health = await other.becomes("/health", {"status": "degraded"})
        assert "another folder" in health["problems"][0]
        assert (await holder("GET", "/health")).document["status"] == "healthy"


async def test_duties_keep_to_their_own_pace(api):
    done = []

    async def note() -> None:
        done.append(1)

    rounds = api.parts.duties
    rounds._duties = (Duty("often", note), Duty("seldom", note, every_s=3600.0))

    async def often_enough() -> bool:
        return len(done) > 5

    await comes_true(often_enough, "several rounds")
    facts = await api.parts.store.duties.facts()
    assert facts.duties["seldom"] >= facts.duties["often"]
    assert rounds._done_at["seldom"] <= rounds._done_at["often"]


async def test_results_that_devices_keep_are_known_to_health_and_stats(api):
    worker = await api.worker()
    await api.claim(worker, undelivered=2)
    assert (await api("GET", f"/workers/{worker}")).document["undelivered_results"] == 2
    assert (await api("GET", "/monitoring/stats")).document["fleet"]["undelivered_results"] == 2
    health = (await api("GET", "/health")).document
    assert health["status"] == "degraded"
    assert "2 results are kept on devices" in health["problems"][0]
    await api("POST", f"/workers/{worker}/heartbeat", {"undelivered": 0})
    assert (await api("GET", "/health")).document["status"] == "healthy"
