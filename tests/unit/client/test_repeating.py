"""Which requests are made again when the orchestrator is away or busy, and which are not."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from daemons.client import Client, patience
from daemons.core import errors
from daemons.core.models import HeartbeatRequest
from tests.support.fake_orchestrator import DROP_REPLY, FakeOrchestrator, refusal, serving


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(patience, "LONGEST_DELAY_S", 0.01)


@pytest.fixture
async def fake():
    async with serving(FakeOrchestrator()) as running:
        yield running


@pytest.fixture
async def client(fake):
    async with Client(fake.url, patience_s=30) as connected:
        yield connected


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_what_says_nothing_of_the_request_is_tried_again(client, fake, status):
    fake.faults["workers"] += [refusal(status, "busy"), web.Response(status=status, text="<html>proxy</html>")]
    assert await client.workers() == {"status": "ok"}
    assert fake.count("workers") == 3


@pytest.mark.parametrize("status", [400, 404, 409, 500, 501])
async def test_an_answer_is_an_answer(client, fake, status):
    fake.faults["workers"].append(refusal(status, "no"))
    with pytest.raises(errors.BenchfleetError, match="refused with no"):
        await client.workers()
    assert fake.count("workers") == 1


async def test_a_lost_reply_of_a_submission_is_asked_for_again_under_the_same_key(client, fake):
    fake.faults["campaigns"] += [DROP_REPLY, refusal(503, "store_unavailable")]
    await client.submit({"model_url": "http://h/m", "jobs": []})
    keys = {headers["Idempotency-Key"] for headers in fake.headers}
    assert (fake.count("campaigns"), len(keys)) == (3, 1)


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        ("reset", lambda client: client.reset()),
        ("retry", lambda client: client.retry("campaign-1")),
        ("retry", lambda client: client.retry_job("campaign-1-job-0")),
        ("check", lambda client: client.check_worker("worker-1")),
        ("heartbeat", lambda client: client.heartbeat("worker-1", HeartbeatRequest())),
    ],
)
async def test_what_would_do_it_twice_is_not_repeated_once_it_may_have_arrived(client, fake, kind, ask):
    fake.faults[kind].append(DROP_REPLY)
    with pytest.raises(errors.OrchestratorUnavailable):
        await ask(client)
    assert fake.count(kind) == 1


async def test_what_can_not_have_arrived_is_repeated_whatever_it_is(fake):
    """A server that is away: no connection, and so no effect."""
    async with serving(FakeOrchestrator()) as gone:
        port = int(gone.url.rpartition(":")[2])
    async with Client(f"http://127.0.0.1:{port}", patience_s=60) as client:
        tried = []
        attempt = client._attempt

        async def trying(*args):
            if len(tried) == 3:
                fake = await back.__aenter__()
                fake.faults["campaign-1"].append(refusal(404, "not_found"))
            tried.append(await attempt(*args))
            return tried[-1]

        client._attempt = trying
        back = serving(FakeOrchestrator(), port)
        try:
            assert await client.reset() == {"status": "ok"}
            tried.clear()
            await back.__aexit__(None, None, None)
            back = serving(FakeOrchestrator(), port)
            with pytest.raises(errors.NotFound):  # and a removal that never arrived has removed nothing
                await client.delete_campaign("campaign-1")
        finally:
            await back.__aexit__(None, None, None)
    assert len(tried) == 4


async def test_what_is_wrong_with_the_address_does_not_pass(fake):
    """No TLS is spoken there, and none will be."""
    tried = []
    async with Client(fake.url.replace("http:", "https:"), patience_s=5) as client:
        attempt = client._attempt

        async def trying(*args):
            tried.append(args)
            return await attempt(*args)

        client._attempt = trying
        with pytest.raises(errors.OrchestratorUnavailable):
            await client.workers()
    assert len(tried) == 1


async def test_retry_after_is_heeded_as_far_as_patience_goes(client, fake):
    answer = refusal(503, "store_unavailable")
    answer.headers["Retry-After"] = "31"
    fake.faults["workers"].append(answer)
    with pytest.raises(errors.StoreUnavailable) as caught:
        await client.workers()
    assert (caught.value.retry_after_s, fake.count("workers")) == (31, 1)


async def test_health_tells_how_it_is_now(client, fake):
    fake.faults["health"].append(refusal(503, "store_unavailable"))
    with pytest.raises(errors.StoreUnavailable):
        await client.health()
    assert fake.count("health") == 1


async def test_a_removal_whose_answer_was_lost_has_removed(client, fake):
    fake.faults["campaign-1"] += [DROP_REPLY, DROP_REPLY, refusal(404, "not_found")]  # aiohttp repeats one by itself
    gone = await client.delete_campaign("campaign-1")
    assert (gone["campaign_id"], gone["deleted"], gone["jobs"]) == ("campaign-1", True, None)
    fake.faults["campaign-1"].append(refusal(404, "not_found"))
    with pytest.raises(errors.NotFound):
        await client.delete_campaign("campaign-1")


async def test_another_patience_shares_connection_and_token(fake, tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    async with Client(fake.url, token) as client:
        token.write_text("new")
        fake.faults["workers"].append(refusal(401, "not_authenticated"))
        await client.with_patience(0).workers()
        await client.workers()
    assert [headers["Authorization"] for headers in fake.headers] == ["Bearer old", *["Bearer new"] * 2]


async def test_a_token_that_was_replaced_is_shown_to_a_stream_as_well(fake, tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    async with Client(fake.url, token) as client:
        token.write_text("new")
        fake.faults["results"].append(refusal(401, "not_authenticated"))
        fake.answers["results"] = lambda: web.Response(text='{"JobId": "a"}\n')
        assert [record async for record in client.iter_records("campaign-1")] == [{"JobId": "a"}]
        fake.faults["results"].append(refusal(401, "not_authenticated"))
        with pytest.raises(errors.NotAuthenticated):
            await anext(client.iter_records("campaign-1"))


async def test_parameters_are_sent_as_the_api_reads_them(client, fake):
    fake.answers["all"] = lambda: web.Response(text=json.dumps({"results": []}))
    await client.records_all(campaign_id=["campaign-1", "campaign-2"], since="2025-01-09T14:13:20Z", kind=None)
    await client.remove_worker("worker-1", force=True)
    assert [path.partition("?")[2] for _, path, _ in fake.seen] == [
        "campaign_id=campaign-1&campaign_id=campaign-2&since=2025-01-09T14:13:20Z&format=json&limit=1000",
        "force=true",
    ]


def test_the_environment_names_the_orchestrator_and_arguments_outrank_it(monkeypatch, tmp_path):
    monkeypatch.delenv("BENCHFLEET_URL", raising=False)
    monkeypatch.delenv("BENCHFLEET_TOKEN_FILE", raising=False)
    assert Client.from_environment().url == "http://127.0.0.1:5000"
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("BENCHFLEET_URL", "http://lab:7000/api")
    monkeypatch.setenv("BENCHFLEET_TOKEN_FILE", str(tmp_path / "token"))
    client = Client.from_environment()
    assert (client.url, client._credential.token) == ("http://lab:7000", "secret")
    assert Client.from_environment("http://other:1").url == "http://other:1"
    with pytest.raises(errors.ConfigInvalid, match="none"):
        Client.from_environment(token_file=tmp_path / "none")
