"""What Prometheus scrapes: by its own parser, and in agreement with what the API says."""

from __future__ import annotations

import os
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemons.core.settings import HttpSettings
from daemons.orchestrator.metrics import MOST_UNITS
from daemons.store import open_store
from daemons.store.embedded import EmbeddedServer
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, GPU, LATER, Drive, comes_true


async def scrape(api, status=200, **headers):
    """Sample name and labels → value; and the families."""
    async with api.session.get(f"{api.url}/metrics", headers=headers) as answer:
        assert answer.status == status, await answer.text()
        if status != 200:
            return {}
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await answer.text()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def of(samples, name, **labels):
    return samples[(f"benchfleet_{name}", *sorted(labels.items()))]


@pytest.fixture
async def busy(store, tmp_path):
    """Jobs in every state, and devices; nobody does the duties, so that nothing changes by itself."""
    async with orchestrating(store, tmp_path / "outputs", duties=False) as api:
        await make_busy(api)
        yield api


async def make_busy(api):
    drive = Drive(api.parts.store)
    worker = await api.worker()
    await api.worker("drained")
    await api("POST", f"/workers/{await api.worker('drained')}/drain", {})
    await api.submit(*[{"compute_unit": CPU}] * 5, {"compute_unit": CPU, "worker_id": worker, "priority": -3})
    await api.submit({"compute_unit": GPU})
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)
    await api.report(worker, await api.claim(worker), "Failed", Remark="no luck")
    await drive.overdue(await drive.take(worker), worker, LATER)
    await api.claim(worker)


async def test_they_agree_with_what_the_api_says(busy):
    samples = await scrape(busy)
    queues = (await busy("GET", "/queue/status")).document
    stats = (await busy("GET", "/monitoring/stats")).document
    for unit, waiting in queues["capability_queues"].items():
        assert of(samples, "queue_jobs", unit=unit) == waiting, unit
    pinned = sum(queue["queue_size"] for queue in queues["worker_queues"].values())
    assert of(samples, "queue_pinned_jobs") == pinned
    assert of(samples, "jobs_delayed") == queues["waiting_for_retry"] == 1
    assert of(samples, "jobs", status="running") == queues["running"] == 1
    pending = sum(queues["capability_queues"].values()) + pinned + queues["waiting_for_retry"]
    assert of(samples, "jobs", status="pending") == pending
    assert of(samples, "results_unwritten") == queues["results_queue_size"] == 2
    for status, count in (("complete", 1), ("failed", 1), ("cancelled", 0)):
        assert of(samples, "jobs_ended_total", status=status) == count
    assert of(samples, "attempts_lost_total", reason="overdue") == stats["fleet"]["lost_overdue"] == 1
    assert of(samples, "job_retries_total", **{"class": "overdue"}) == stats["fleet"]["retries"] == 1
    workers = (await busy("GET", "/workers")).document["workers"]
    for status in ("active", "busy", "faulty", "offline", "cleanup"):
        assert of(samples, "devices", status=status) == sum(one["status"] == status for one in workers)
    assert of(samples, "devices_drained") == 1
    assert of(samples, "campaigns_running") == 2
    assert of(samples, "store_up") == 1
    assert samples[("process_resident_memory_bytes",)] > 2**20


async def test_how_long_the_oldest_waits_counts_over_all_priorities(api, store):
    drive = Drive(store)
    (old,) = await drive.submit()
    await drive.submit()
    redis, prefix = store.server._redis, store.server._prefix
    for number, priority in enumerate((5, 100, -100)):
        name = f"campaign-{10**9 * (number + 1)}-job-0"
        await redis.zadd(f"{prefix}queue:unit:{CPU}", {name: number - priority * 2**44})
    try:
        now_s = (await redis.time())[0]
        samples = await scrape(api)
        assert of(samples, "queue_oldest_wait_seconds", unit=CPU) == pytest.approx(now_s - 1000, abs=5)
    finally:
        for number in range(3):
            await redis.zrem(f"{prefix}queue:unit:{CPU}", f"campaign-{10**9 * (number + 1)}-job-0")
    assert of(await scrape(api), "queue_oldest_wait_seconds", unit=CPU) < 60
    assert ("benchfleet_queue_oldest_wait_seconds", ("unit", GPU)) not in await scrape(api)
    await drive.store.campaigns.cancel(old.partition("-job-")[0])
    assert of(await scrape(api), "jobs_ended_total", status="cancelled") == 1


async def test_requests_are_counted_by_route_and_not_by_what_callers_make_up(api):
    await api("GET", "/campaigns/campaign-1")
    await api("GET", "/campaigns/campaign-2")
    await api("GET", "/made/up/1")
    await api("GET", "/made/up/2")
    async with api.session.request("PATCH", f"{api.url}/api/made/up/3") as answer:
        assert answer.status == 404
    samples = await scrape(api)
    one = {"method": "GET", "route": "/api/campaigns/{campaign_id}"}
    assert of(samples, "http_requests_total", **one, status="404") == 2
    assert of(samples, "http_request_duration_seconds_count", **one) == 2
    assert of(samples, "http_requests_total", method="GET", route="other", status="404") == 2
    assert of(samples, "http_requests_total", method="other", route="other", status="404") == 1
    again = await scrape(api)
    assert of(again, "http_requests_total", method="GET", route="/metrics", status="200") == 1


async def test_many_compute_units_share_a_line(api, store):
    drive = Drive(store)
    names = [f"U{number} (ONNX)" for number in range(MOST_UNITS + 7)]
    for start in range(0, len(names), 20):
        await drive.worker(f"w{start}", *names[start : start + 20])
    samples = await scrape(api)
    lines = [key for key in samples if key[0] == "benchfleet_queue_jobs"]
    assert len(lines) == MOST_UNITS + 1
    assert of(samples, "queue_jobs", unit="other") == 0


async def test_duties_have_ages_and_one_holder(api):
    async def are_done():
        return {"reaper", "models"} <= (await api("GET", "/health")).document["duties"]["lag_s"].keys()

    await comes_true(are_done, "the duties to have been done")
    samples = await scrape(api)
    assert of(samples, "duties_held") == 1
    assert 0 <= of(samples, "duty_age_seconds", duty="reaper") < 60
    assert of(samples, "duty_lag_seconds", duty="models") == 0
    assert of(samples, "duty_problem", duty="writer") == 0


async def test_listeners_and_claims_that_wait_are_counted(api):
    async with api.session.get(f"{api.url}/api/events") as answer:
        await answer.content.readline()
        assert of(await scrape(api), "event_listeners") == 1


async def test_without_redis_it_still_tells_of_itself(tmp_path):
    server = EmbeddedServer(tmp_path / "valkey", wrap=list)
    await server.start()
    async with open_store(server.url, "t:") as store, orchestrating(store, tmp_path / "outputs") as api:
        os.kill(server.pid, signal.SIGKILL)
        await server._process.wait()
        samples = await scrape(api)
        assert of(samples, "store_up") == 0
        assert samples[("process_resident_memory_bytes",)] > 2**20
        assert ("benchfleet_jobs", ("status", "running")) not in samples


async def test_tokens_guard_it_as_the_rest(store, tmp_path):
    files = {}
    for role in ("worker", "operator", "viewer"):
        path = tmp_path / role
        path.write_text(f"{role}-0123456789abcdef")
        path.chmod(0o600)
        files[f"{role}_token_file"] = str(path)
    async with orchestrating(store, tmp_path / "outputs", http=HttpSettings(port=0, **files), duties=False) as api:
        await scrape(api, status=401)
        await scrape(api, Authorization="Bearer viewer-0123456789abcdef")
        await scrape(api, Authorization="Bearer operator-0123456789abcdef")
