"""From a report to the CSV: while the campaign runs, after it, and when the disk or the writer fails."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil

from daemons.core.results import COLUMNS
from daemons.orchestrator.writer import Writer
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, comes_true


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


async def table(api, campaign):
    return rows((await api("GET", f"/campaigns/{campaign}/results")).document)


async def files(api):
    return [file["filename"] for file in (await api("GET", "/results/files")).document["files"]]


async def test_the_rows_so_far_in_the_order_of_the_jobs(api):
    worker = await api.worker()
    accepted = await api.submit(*({"compute_unit": CPU, "priority": priority} for priority in (0, 5, 9)))
    campaign = accepted["campaign_id"]
    assert await table(api, campaign) == []
    assert (await api("GET", f"/campaigns/{campaign}/results")).document.strip().split(",") == list(COLUMNS)
    for count in (1, 2):
        await api.report(worker, await api.claim(worker), InferenceMsMedian=float(count))
        assert len(await table(api, campaign)) == count
    assert [row["JobId"] for row in await table(api, campaign)] == [f"{campaign}-job-1", f"{campaign}-job-2"]
    assert await files(api) == []


async def test_failed_and_cancelled_jobs_have_rows_with_empty_cells(api):
    worker = await api.worker()
    campaign = (await api.submit(*[{"compute_unit": CPU}] * 2))["campaign_id"]
    await api.report(worker, await api.claim(worker), "Failed", Remark='=the model, is "gone" (404)')
    await api("POST", f"/campaigns/{campaign}/cancel")
    failed, cancelled = await table(api, campaign)
    assert (failed["Status"], failed["DeviceName"], failed["InferenceMsMedian"]) == ("Failed", "one", "")
    assert failed["Remark"] == '\'=the model, is "gone" (404)'
    assert (cancelled["Status"], cancelled["DeviceName"], cancelled["WorkerId"]) == ("Cancelled", "", "")


async def test_the_file_appears_by_itself_and_is_what_the_api_says(api, tmp_path):
    worker = await api.worker()
    campaign = (await api.submit())["campaign_id"]
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)

    async def written():
        return list((tmp_path / "outputs").glob("*.csv"))

    (path,) = await comes_true(written, "the file")
    assert path.read_bytes().decode() == (await api("GET", f"/campaigns/{campaign}/results")).document
    ended_at = (await api("GET", f"/campaigns/{campaign}")).document["ended_at"]
    stamp = f"{ended_at[:10].replace('-', '')}_{ended_at[11:19].replace(':', '')}"
    assert path.name == f"{campaign}_{stamp}_results.csv"
    await api.becomes("/queue/status", {"results_queue_size": 0})


async def test_written_again_it_is_the_same_file(api, store, tmp_path):
    worker = await api.worker()
    await api.submit()
    await api.report(worker, await api.claim(worker))
    (name,) = await files(api)
    before = (tmp_path / "outputs" / name).read_bytes()
    await store.outbox._redis.xadd(store.outbox._key, {"job_id": name.split("_")[0] + "-job-0"})
    assert await files(api) == [name]
    assert (tmp_path / "outputs" / name).read_bytes() == before
    assert await store.outbox.size() == 0


async def test_a_large_cancelled_campaign_is_written_once(api, store, monkeypatch):
    async with asyncio.timeout(60):
        campaign = (await api.submit(*[{"compute_unit": CPU}] * 3000))["campaign_id"]
        await api("POST", f"/campaigns/{campaign}/cancel")
        assert len(await files(api)) == 1
    assert api.parts.writer.counts.files_written == 1
    assert len(await table(api, campaign)) == 3000


async def test_what_cannot_be_written_waits_is_said_and_is_written_later(store, tmp_path):
    async with orchestrating(store, tmp_path / "outputs") as api:
        worker = await api.worker()
        shutil.rmtree(tmp_path / "outputs")
        (tmp_path / "outputs").write_text("in the way")
        campaign = (await api.submit())["campaign_id"]
        await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)
        health = await api.becomes("/health", {"status": "degraded"})
        assert "outputs" in health["problems"][0]
        assert len(await table(api, campaign)) == 1
        assert (await api("GET", "/queue/status")).document["results_queue_size"] == 1
        (tmp_path / "outputs").unlink()
        (tmp_path / "outputs").mkdir()
        await api.becomes("/health", {"status": "healthy"})
        assert [name.split("_")[0] for name in await files(api)] == [campaign]


async def test_results_of_a_campaign_that_is_gone_are_let_go(api, store, tmp_path):
    worker = await api.worker()
    await store.outbox._redis.xadd(store.outbox._key, {"job_id": "campaign-1-job-0"})
    writer = Writer(store, tmp_path / "outputs")
    await writer.flush()
    assert await store.outbox.size() == 0
    assert await files(api) == []
    assert worker
