"""What is wrong gets a 4xx that says what and where, as application/problem+json, and changes nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from daemons.core.models import MAX_BODY_BYTES
from daemons.orchestrator.api import app, bodies
from tests.support.store import CPU, OF_DUTIES, URL, dump


def campaign(**changes):
    return {"model_url": URL, "jobs": [{"compute_unit": CPU}], **changes}


def one_job(**changes):
    return campaign(jobs=[{"compute_unit": CPU, **changes}])


BAD_CAMPAIGNS = {
    "malformed": (b'{"model_url": ', 400, "JSON"),
    "not utf-8": (b'{"model_url": "\xff"}', 400, "JSON"),
    "lone surrogate": (b'{"model_url": "\\ud800", "jobs": []}', 400, ""),
    "nested too deeply": (b"[" * 100_000, 400, "JSON"),
    "empty body": (b"", 400, "no body"),
    "a list": ([], 400, "object"),
    "null": (None.__class__, 400, ""),
    "no jobs key": ({"model_url": URL}, 400, "jobs"),
    "no model": ({"jobs": [{"compute_unit": CPU}]}, 400, "model_url"),
    "empty jobs": (campaign(jobs=[]), 400, "jobs"),
    "jobs no list": (campaign(jobs={"compute_unit": CPU}), 400, "jobs"),
    "job no object": (campaign(jobs=["CPU (ONNX)"]), 400, "jobs[0]"),
    "unknown key": (campaign(job=[]), 400, "job"),
    "unknown job key": (one_job(num_inference_run=5), 400, "num_inference_runs"),
    "wrong type": (one_job(num_inference_runs="ten"), 400, "jobs[0].num_inference_runs"),
    "boolean count": (one_job(num_inference_runs=True), 400, "num_inference_runs"),
    "fraction": (one_job(num_inference_runs=2.5), 400, "num_inference_runs"),
    "no runs": (one_job(num_inference_runs=0), 400, "1 to 100,000"),
    "too many runs": (one_job(num_inference_runs=100_001), 400, "1 to 100,000"),
    "negative runs": (one_job(num_inference_runs=-1), 400, "1 to 100,000"),
    "unknown unit": (campaign(jobs=[{"compute_unit": "TPU (ONNX)"}]), 400, "CPU (ONNX)"),
    "no unit": (campaign(jobs=[{}]), 400, "jobs[0].compute_unit"),
    "unknown worker": (one_job(worker_id="worker-0"), 400, "worker-0"),
    "unknown worker without a unit": (campaign(jobs=[{"worker_id": "worker-0"}]), 400, "jobs[0].worker_id"),
    "time-out of nought": (one_job(timeout_seconds=0), 400, "timeout_seconds"),
    "priority out of range": (one_job(priority=101), 400, "priority"),
    "file scheme": (campaign(model_url="file:///etc/passwd"), 400, "http"),
    "ftp scheme": (campaign(model_url="ftp://host/m.onnx"), 400, "http"),
    "no scheme": (campaign(model_url="m.onnx"), 400, "http"),
    "no host": (campaign(model_url="http:///m.onnx"), 400, "host"),
    "space in the address": (campaign(model_url="http://host/a b"), 400, "space"),
    "bad port": (campaign(model_url="http://host:99999/m"), 400, "URL"),
    "number as address": (campaign(model_url=5), 400, "model_url"),
    "100,001 jobs": (campaign(jobs=[{"compute_unit": CPU}] * 100_001), 400, "100,000"),
    "over 8 MB": (b" " * (MAX_BODY_BYTES + 1), 413, "8 MB"),
}


@pytest.mark.parametrize("name", BAD_CAMPAIGNS)
async def test_a_bad_campaign_is_refused_and_changes_nothing(api, store, name):
    body, status, word = BAD_CAMPAIGNS[name]
    before = await dump(store)
    answer = await api("POST", "/campaigns", b"null" if body is None.__class__ else body)
    assert answer.status == status
    assert answer.is_problem
    assert word in answer.document["error"]
    assert await dump(store) == before


def bad_requests(worker, job):
    beat, claim, result = f"/workers/{worker}/heartbeat", f"/workers/{worker}/claim", f"/jobs/{job}/result"
    report = {"worker_id": worker, "attempt": 1, "status": "Complete"}
    return [
        ("POST", "/register", {"capabilities": [CPU]}, 400),
        ("POST", "/register", {"device_name": "x", "capabilities": "CPU (ONNX)"}, 400),
        ("POST", "/register", {"device_name": "x", "capabilities": ["CPU"]}, 400),
        ("POST", "/register", {"device_name": "", "capabilities": [CPU]}, 400),
        ("POST", "/register", {"device_name": "x", "capabilities": [CPU], "protocol_version": 99}, 409),
        ("POST", "/register", b"", 400),
        ("PUT", f"/workers/{worker}/status", {"status": "tired"}, 400),
        ("PUT", f"/workers/{worker}/status", {"status": "offline"}, 400),
        ("PUT", f"/workers/{worker}/status", {}, 400),
        ("POST", beat, {"job_id": job}, 400),
        ("POST", beat, {"job_id": 5}, 400),
        ("POST", beat, {"job_id": job, "attempt": 2}, 409),
        ("POST", f"{claim}?wait=x", {}, 400),
        ("POST", f"{claim}?wait=nan", {}, 400),
        ("POST", f"{claim}?wait=61", {}, 400),
        ("POST", f"{claim}?wait=-1", {}, 400),
        ("POST", claim, {"claim_id": 5}, 400),
        ("POST", result, {"worker_id": worker, "status": "Complete"}, 400),
        ("POST", result, report | {"status": "Done"}, 400),
        ("POST", result, report | {"LoadMsMedian": -1}, 400),
        ("POST", result, report | {"LoadMsMedian": "fast"}, 400),
        ("POST", result, report | {"attempt": 0}, 400),
        ("POST", result, report | {"attempt": 2}, 409),
        ("POST", result, report | {"worker_id": "worker-0"}, 409),
        ("POST", result, report | {"ModelHash": "abc"}, 400),
        ("POST", f"/jobs/{job}/release", {"worker_id": worker, "attempt": 2}, 409),
        ("GET", "/campaigns?limit=0", None, 400),
        ("GET", "/campaigns?limit=1001", None, 400),
        ("GET", "/campaigns?cursor=x", None, 400),
    ]


async def test_bad_requests_of_every_kind_are_refused_and_change_nothing_but_beats(api, store):
    worker = await api.worker()
    await api.submit()
    job = (await api.claim(worker))["job_id"]
    without = (*OF_DUTIES, "beats", f"worker:{worker}")
    before = await dump(store, without=without)
    status_before = (await api("GET", f"/workers/{worker}")).document["status"]
    for method, path, body, status in bad_requests(worker, job):
        answer = await api(method, path, body)
        assert (answer.status, answer.is_problem) == (status, True), (method, path, body, answer.document)
        assert await dump(store, without=without) == before, (method, path, body)
    assert (await api("GET", f"/workers/{worker}")).document["status"] == status_before


UNKNOWN = [
    ("GET", "/workers/worker-0"),
    ("GET", "/workers/worker-0/health"),
    ("PUT", "/workers/worker-0/reset"),
    ("POST", "/workers/worker-0/heartbeat"),
    ("POST", "/workers/worker-0/claim"),
    ("POST", "/workers/worker-0/goodbye"),
    ("POST", "/workers/worker-0/drain"),
    ("POST", "/workers/worker-0/undrain"),
    ("DELETE", "/workers/worker-0"),
    ("GET", "/campaigns/campaign-1"),
    ("POST", "/campaigns/campaign-1/retry"),
    ("POST", "/jobs/campaign-1-job-0/retry"),
    ("GET", "/campaigns/campaign-1/results"),
    ("GET", "/campaigns/campaign/results"),
    ("POST", "/campaigns/campaign-1/cancel"),
    ("GET", "/jobs/campaign-1-job-0"),
    ("GET", "/jobs/campaign-1-job-0:history"),
    ("POST", "/jobs/campaign-1-job-0/cancel"),
    ("GET", "/jobs/%00"),
    ("GET", "/jobs/%2e%2e%2fetc"),
    ("GET", "/results/download/none.csv"),
    ("GET", "/nothing"),
    ("GET", "/workers/"),
    ("GET", "/campaigns/a/b/c"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
async def test_what_is_not_there_is_404_as_json(api, method, path):
    answer = await api(method, path)
    assert (answer.status, answer.is_problem) == (404, True)


async def test_outside_the_api_and_the_wrong_method_are_json_too(api):
    async with api.session.get(f"{api.url}/") as answer:
        assert answer.status == 404
        assert (await answer.json(content_type="application/problem+json"))["error"].startswith("there is nothing at /")
    answer = await api("DELETE", "/campaigns")
    assert (answer.status, answer.is_problem) == (405, True)
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}


NAMES = [
    "../secret.csv",
    "..%2Fsecret.csv",
    "%2Fetc%2Fpasswd",
    "..%5Csecret.csv",
    "secret.csv",
    "campaign-1_20250101_000000_results.csv%00",
    "campaign-1_20250101_000000_results.csv%0A",
    ".campaign-1_20250101_000000_results.csv.draft",
    "campaign-2_20250101_000000_results.csv",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_name_from_outside_never_becomes_a_path(api, tmp_path, name):
    (tmp_path / "secret.csv").write_text("secret")
    (tmp_path / "outputs" / "secret.csv").write_text("secret")
    (tmp_path / "outputs" / "campaign-1_20250101_000000_results.csv").write_text("Status")
    (tmp_path / "outputs" / "campaign-2_20250101_000000_results.csv").symlink_to(tmp_path / "secret.csv")
    answer = await api("GET", f"/results/download/{name}")
    assert (answer.status, answer.is_problem) == (404, True)
    assert (await api("GET", "/results/download/campaign-1_20250101_000000_results.csv")).document == "Status"


async def test_another_content_type_is_415(api, store):
    before = await dump(store)
    answer = await api("POST", "/campaigns", json.dumps(campaign()).encode(), Content_Type="text/plain")
    assert (answer.status, answer.is_problem) == (415, True)
    assert await dump(store) == before


async def test_every_mistake_is_named_with_its_place(api):
    answer = await api("POST", "/campaigns", campaign(jobs=[{"compute_unit": CPU, "priority": "x", "threads": 0}]))
    assert answer.document["field"] == "jobs[0].priority"
    assert len(answer.document["mistakes"]) == 2


@pytest.mark.parametrize("key", ["", "x" * 201, "a\u200bb"])
async def test_a_bad_idempotency_key_is_refused(api, key):
    answer = await api("POST", "/campaigns", campaign(), Idempotency_Key=key)
    assert (answer.status, answer.is_problem) == (400, True)


@asynccontextmanager
async def raw(api):
    parts = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


HEAD = b"POST /api/campaigns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def test_a_body_that_drips_is_cut_off_with_408(api, store, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.05)
    before = await dump(store)
    async with raw(api) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408")
    assert await dump(store) == before


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\n\r\nnot-a-size\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
    ],
    ids=["chunks", "gzip"],
)
async def test_a_malformed_transfer_is_400(api, rest):
    async with raw(api) as (reader, writer):
        writer.write(HEAD + rest)
        assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"400"


async def test_a_small_body_that_unpacks_to_a_large_one_is_413(api):
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES * 4))
    answer = await api("POST", "/campaigns", bomb, Content_Encoding="gzip")
    assert (answer.status, answer.is_problem) == (413, True)


async def test_a_caller_that_hangs_up_in_mid_body_leaves_no_half_campaign_and_no_complaint(api, store, monkeypatch):
    complaints = []
    monkeypatch.setattr(app.log, "exception", lambda *_, **__: complaints.append(1), raising=False)
    await store.events.position()  # the first that asks names the epoch
    before = await dump(store)
    for _ in range(20):
        async with raw(api) as (_, writer):
            writer.write(HEAD + b"Content-Length: 500\r\n\r\n" + json.dumps(campaign()).encode())
            await writer.drain()
    assert (await api("GET", "/campaigns")).document["count"] == 0
    assert await dump(store) == before
    assert complaints == []


@pytest.mark.parametrize("host", ["[::1", "[", "]:80", ""])
async def test_a_malformed_host_is_a_refusal_and_not_a_mistake_of_ours(api, host):
    async with raw(api) as (reader, writer):
        writer.write(f"GET /api/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        status = int((await asyncio.wait_for(reader.readline(), 10)).split()[1])
    assert status in (400, 403)
