"""The REST client, over real sockets: what it sends, and what it makes of answers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aiohttp import web

from daemons.client import Client
from daemons.core import errors
from daemons.core.models import ClaimRequest, HeartbeatRequest, RegisterRequest
from tests.support.fake_orchestrator import DROP_REPLY, FakeOrchestrator, a_job, refusal, serving


@pytest.fixture
async def fake():
    async with serving(FakeOrchestrator()) as running:
        yield running


@pytest.fixture
async def client(fake):
    async with Client(fake.url, patience_s=0) as connected:
        yield connected


async def test_registration_comes_back_typed(client, fake):
    answer = await client.register(RegisterRequest(device_name="bench 7", capabilities=["CPU (ONNX)"]))
    assert answer.worker_id == "worker-1"
    assert fake.bodies("register")[0]["device_name"] == "bench 7"


async def test_a_claim_brings_a_job_or_nothing(client, fake):
    fake.jobs.append(a_job("job-7"))
    job = await client.claim("worker-1", ClaimRequest(claim_id="a"))
    assert job is not None
    assert job.job_id == "job-7"
    fake.answers["claim"] = lambda: web.Response(status=204)
    assert await client.claim("worker-1", ClaimRequest(claim_id="b"), wait_s=0) is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "worker_replaced", errors.WorkerReplaced),
        (409, "stale_attempt", errors.StaleAttempt),
        (409, "conflict", errors.Conflict),
        (404, "not_found", errors.NotFound),
        (400, "invalid_input", errors.InvalidInput),
        (413, "too_large", errors.TooLarge),
        (401, "not_authenticated", errors.NotAuthenticated),
        (503, "store_unavailable", errors.StoreUnavailable),
        (404, "a code of a later version", errors.NotFound),
        (500, "internal", errors.OrchestratorUnavailable),
        (429, "slow_down", errors.OrchestratorUnavailable),
        (418, "teapot", errors.InvalidInput),
    ],
)
async def test_an_error_document_becomes_its_error_with_the_servers_sentence(client, fake, status, code, kind):
    fake.faults["heartbeat"].append(refusal(status, code))
    with pytest.raises(errors.BenchfleetError, match=f"refused with {code}") as caught:
        await client.heartbeat("worker-1", HeartbeatRequest())
    assert type(caught.value) is kind


async def test_retry_after_is_kept(client, fake):
    answer = refusal(503, "store_unavailable")
    answer.headers["Retry-After"] = "7"
    fake.faults["health"].append(answer)
    with pytest.raises(errors.StoreUnavailable) as caught:
        await client.health()
    assert caught.value.retry_after_s == 7


async def test_a_404_of_something_else_is_not_believed(client, fake):
    """A proxy that has lost its backend answers 404, and must not make a worker throw its result away."""
    fake.faults["result"].append(web.Response(status=404, text="<html>nginx</html>"))
    with pytest.raises(errors.OrchestratorUnavailable, match="check the URL"):
        await client.result("job-1", {})


async def test_an_answer_of_something_else_is_not_believed(client, fake):
    fake.faults["health"].append(web.Response(text="<html>hello</html>"))
    with pytest.raises(errors.OrchestratorUnavailable, match="check the URL"):
        await client.health()


async def test_a_redirect_is_no_success(client, fake):
    fake.faults["health"].append(web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}))
    with pytest.raises(errors.OrchestratorUnavailable, match="HTTP 302"):
        await client.health()


async def test_a_lost_reply_and_a_refused_connection_are_an_orchestrator_that_is_away(client, fake):
    fake.faults["heartbeat"].append(DROP_REPLY)
    with pytest.raises(errors.OrchestratorUnavailable, match=fake.url):
        await client.heartbeat("worker-1", HeartbeatRequest())
    async with Client("http://127.0.0.1:9", patience_s=0) as nobody:
        with pytest.raises(
            errors.OrchestratorUnavailable, match=r"127\.0\.0\.1:9 \(connection refused\); is it running"
        ):
            await nobody.health()


async def test_each_submission_carries_a_key_of_its_own_or_the_one_given(client, fake):
    for key in (None, None, "mine"):
        await client.submit({"model_url": "http://h/m", "jobs": []}, idempotency_key=key)
    first, second, given = (headers["Idempotency-Key"] for headers in fake.headers)
    assert first != second
    assert given == "mine"


async def test_identifiers_never_become_paths(client, fake):
    await client.job("../reset")
    await client.campaign("..")
    await client.download("a b/c?d")
    assert [path for _, path, _ in fake.seen] == [
        "/api/jobs/..%2Freset",
        "/api/campaigns/%2E%2E",
        "/api/results/download/a%20b%2Fc%3Fd",
    ]


async def test_a_replaced_token_is_read_again(tmp_path, fake):
    token = tmp_path / "token"
    token.write_text("old\n")
    fake.faults["health"].append(refusal(401, "not_authenticated"))
    async with Client(fake.url, token) as client:
        token.write_text("new\n")
        await client.health()
        fake.faults["health"].append(refusal(401, "not_authenticated"))
        with pytest.raises(errors.NotAuthenticated):
            await client.health()
    assert [headers["Authorization"] for headers in fake.headers] == ["Bearer old", *["Bearer new"] * 2]


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://host", "http://", "http://user:secret@host", "http://[::1"])
def test_a_bad_address_is_a_configuration_error(url):
    with pytest.raises(errors.ConfigInvalid) as caught:
        Client(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://host:1", "http://host:1/", "http://host:1/api", "http://host:1/api/"])
def test_the_address_is_taken_with_and_without_api(url):
    assert Client(url).url == "http://host:1"


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff\xfe"])
def test_an_unusable_token_file_is_a_configuration_error(tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.ConfigInvalid, match=str(path)):
        Client("http://host", path)


def test_importing_the_client_loads_no_heavy_library():
    code = "import sys, daemons.client; print(sorted({'redis', 'onnxruntime', 'numpy', 'textual'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
