"""Messages that a campaign has ended, against a real receiver on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import web

from daemons.core import webhooks as words
from daemons.core.answers import CampaignEnded
from daemons.core.errors import ConfigInvalid
from daemons.core.settings import HttpSettings, OrchestratorSettings, OrchestratorStorage, WebhookSettings
from daemons.orchestrator import daemon, webhooks
from daemons.orchestrator.webhooks import Webhooks
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, URL, comes_true

SECRET = "a-secret-of-the-webhooks"


class Receiver:
    """Takes messages. `answers` are the statuses of the next ones; then each is taken."""

    def __init__(self, api, url):
        self.api = api
        self.url = url
        self.answers = []
        self.got = []

    async def take(self, request):
        body = await request.read()
        headers = request.headers
        timestamp = int(headers["Benchfleet-Timestamp"])
        assert words.is_signed(SECRET.encode(), headers["Benchfleet-Signature"], timestamp, body)
        document = json.loads(body)
        assert msgspec.to_builtins(msgspec.json.decode(body, type=CampaignEnded)) == document
        assert document["delivery"] == headers["Benchfleet-Delivery"]
        results = await self.api("GET", urlsplit(document["results_url"]).path.removeprefix("/api"), Accept="text/csv")
        files = (await self.api("GET", "/results/files")).document["files"]
        self.got.append(
            {
                **document,
                "rows": len(results.document.splitlines()) - 1,
                "files": [file["filename"] for file in files],
            }
        )
        status = self.answers.pop(0) if self.answers else 204
        headers = {"Location": self.url} if status == 307 else {}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiving(api):
    """A receiver on a port of its own."""
    app = web.Application()
    runner = web.AppRunner(app)
    receiver = Receiver(api, "")
    app.router.add_post("/{tail:.*}", receiver.take)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?token=secret"
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "secrets"
    path.write_text(f"an-older-secret-still-known\n{SECRET}\n")
    path.chmod(0o600)
    return WebhookSettings(
        allowed_hosts=["127.0.0.1", "169.254.1.1", "nowhere.invalid"],
        secret_file=str(path),
        public_url="http://bench.example.org",
    )


@pytest.fixture
async def api(store, tmp_path, settings, monkeypatch):
    monkeypatch.setattr(words, "FIRST_DELAY_S", 0.02)
    async with orchestrating(store, tmp_path / "outputs", webhooks=settings) as api:
        yield api


@pytest.fixture
async def receiver(api):
    async with receiving(api) as receiver:
        yield receiver


async def submit(api, url, jobs=1):
    body = {"model_url": URL, "jobs": [{"compute_unit": CPU}] * jobs, "webhook": {"url": url}}
    answer = await api("POST", "/campaigns", body)
    assert answer.status == 201, answer.document
    return answer.document["campaign_id"]


async def run(api, worker, jobs=1, status="Complete"):
    for _ in range(jobs):
        await api.report(worker, await api.claim(worker), status, LoadMsMedian=1.5)


async def webhook_becomes(api, campaign_id, **wanted):
    async def look():
        document = (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"]
        return document if wanted.items() <= document.items() else None

    return await comes_true(look, f"the webhook to be {wanted}")


async def test_it_is_told_once_all_results_are_whole(api, receiver):
    worker = await api.worker()
    campaign_id = await submit(api, receiver.url, jobs=2)
    await run(api, worker)
    assert (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"] == {
        "url": receiver.url.partition("?")[0],
        "status": "waiting",
        "attempts": 0,
        "last_error": None,
        "delivered_at": None,
    }
    await run(api, worker)
    told = await webhook_becomes(api, campaign_id, status="delivered", attempts=1, last_error=None)
    assert told["delivered_at"] is not None
    (message,) = receiver.got
    assert message["type"] == "campaign.ended"
    assert message["results_url"] == f"http://bench.example.org/api/campaigns/{campaign_id}/results"
    assert (message["campaign"]["campaign_id"], message["campaign"]["status"]) == (campaign_id, "completed")
    assert message["rows"] == 2
    assert len(message["files"]) == 1
    assert (await api("GET", "/monitoring/stats")).document["fleet"]["webhooks_delivered"] == 1


async def test_it_is_sent_again_under_the_same_name_until_it_is_taken(api, receiver):
    receiver.answers = [500, 307, 503]
    campaign_id = await submit(api, receiver.url)
    await run(api, await api.worker())
    await webhook_becomes(api, campaign_id, status="delivered", attempts=4)
    assert len({message["delivery"] for message in receiver.got}) == 1
    fleet = (await api("GET", "/monitoring/stats")).document["fleet"]
    assert (fleet["webhook_failures"], fleet["webhooks_pending"], fleet["webhooks_given_up"]) == (3, 0, 0)


async def test_a_receiver_that_is_away_is_said_in_health_until_it_is_back(api, receiver):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/hook"
        campaign_id = await submit(api, away)
        await run(api, await api.worker())

        async def is_told():
            health = (await api("GET", "/health")).document
            return [problem for problem in health["problems"] if "webhooks can't be delivered" in problem]

        (problem,) = await comes_true(is_told, "health to tell of it")
        assert campaign_id in problem
        assert "no connection" in problem
        assert (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"]["status"] == "pending"
    await api("DELETE", f"/campaigns/{campaign_id}")
    assert (await api("GET", "/monitoring/stats")).document["fleet"]["webhooks_pending"] == 0


async def test_after_a_day_it_is_given_up_and_that_shows(api, monkeypatch):
    monkeypatch.setattr(words, "GIVE_UP_AFTER_S", 0.1)
    campaign_id = await submit(api, "http://nowhere.invalid/hook")
    await run(api, await api.worker())
    given_up = await webhook_becomes(api, campaign_id, status="given_up")
    assert "can't be resolved" in given_up["last_error"]
    fleet = (await api("GET", "/monitoring/stats")).document["fleet"]
    assert (fleet["webhooks_given_up"], fleet["webhooks_pending"]) == (1, 0)


async def test_a_receiver_that_says_that_it_is_gone_is_not_asked_again(api, receiver):
    receiver.answers = [410]
    campaign_id = await submit(api, receiver.url)
    await run(api, await api.worker())
    await webhook_becomes(api, campaign_id, status="given_up", attempts=1)


async def test_a_link_local_address_is_never_connected_to(api):
    campaign_id = await submit(api, "http://169.254.1.1/hook")
    await run(api, await api.worker())

    async def look():
        return (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"]["last_error"]

    assert "link-local" in await comes_true(look, "the failure")


async def test_a_name_that_leads_to_this_machine_does_not_reach_it(api, receiver, monkeypatch):
    """Only who is allowed by a loopback name may be sent to there."""
    settings = api.parts.settings.webhooks
    monkeypatch.setattr(webhooks, "is_loopback", lambda _host: False)
    assert "127.0.0.1" in settings.allowed_hosts
    campaign_id = await submit(api, receiver.url)
    await run(api, await api.worker())

    async def look():
        return (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"]["last_error"]

    assert "this machine itself" in await comes_true(look, "the failure")
    assert receiver.got == []


async def test_a_retry_by_hand_is_told_again_at_its_end(api, receiver):
    worker = await api.worker()
    campaign_id = await submit(api, receiver.url)
    await run(api, worker, status="Failed")
    await webhook_becomes(api, campaign_id, status="delivered")
    await api("POST", f"/campaigns/{campaign_id}/retry")
    assert (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"]["status"] == "waiting"
    await run(api, worker)
    await webhook_becomes(api, campaign_id, status="delivered")
    assert [message["campaign"]["status"] for message in receiver.got] == ["failed", "completed"]
    assert len({message["delivery"] for message in receiver.got}) == 2


async def test_a_cancelled_campaign_is_told_and_a_reset_forgets_what_was_to_be(api, receiver):
    campaign_id = await submit(api, receiver.url)
    await api("POST", f"/campaigns/{campaign_id}/cancel")
    await webhook_becomes(api, campaign_id, status="delivered")
    assert receiver.got[0]["campaign"]["status"] == "cancelled"
    receiver.answers = [500] * 1000
    await submit(api, receiver.url)
    await run(api, await api.worker())
    await comes_true(lambda: asyncio.sleep(0, len(receiver.got) > 2), "some tries")
    await api("POST", "/reset")
    assert (await api("GET", "/monitoring/stats")).document["fleet"]["webhooks_pending"] == 0


async def test_it_waits_for_its_results_to_be_on_disk(api, receiver, monkeypatch):
    """The writer can't write: nothing is sent. Then it can."""
    real = api.parts.writer._write

    async def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(api.parts.writer, "_write", full)
    campaign_id = await submit(api, receiver.url)
    await run(api, await api.worker())
    rounds = api.parts.reaper.counts.rounds
    await comes_true(lambda: asyncio.sleep(0, api.parts.reaper.counts.rounds > rounds + 3), "some rounds")
    assert receiver.got == []
    assert (await api("GET", f"/campaigns/{campaign_id}")).document["webhook"]["status"] == "pending"
    monkeypatch.setattr(api.parts.writer, "_write", real)
    await webhook_becomes(api, campaign_id, status="delivered")


async def test_a_sender_that_dies_leaves_it_to_the_next(store, api, receiver, settings, monkeypatch):
    campaign_id = await submit(api, receiver.url)
    monkeypatch.setattr(webhooks, "AGAIN_S", 0.1)

    async def dies(_self, _due):
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(Webhooks, "_post", dies)
        await run(api, await api.worker())
        redis, prefix = store.server._redis, store.server._prefix

        async def is_taken():
            return (await api("GET", "/queue/status")).document["results_queue_size"] == 0

        await comes_true(is_taken, "the file to be written")
        assert await redis.zcard(f"{prefix}webhooks") == 1
    await webhook_becomes(api, campaign_id, status="delivered")


@pytest.mark.parametrize(
    ("webhook", "field", "says"),
    [
        ({"url": "http://elsewhere.example/"}, "webhook.url", "webhooks.allowed_hosts doesn't name it"),
        ({"url": "ftp://127.0.0.1/"}, "webhook.url", "http:// or https://"),
        ({"url": ""}, "webhook.url", "1"),
        ({"url": "http://127.0.0.1/", "secret": "x"}, "webhook.secret", "secret"),
        ("http://127.0.0.1/", "webhook", "object"),
    ],
)
async def test_a_wish_that_can_not_be_met_is_refused(api, webhook, field, says):
    body = {"model_url": URL, "jobs": [{"compute_unit": CPU}], "webhook": webhook}
    answer = await api("POST", "/campaigns", body)
    assert (answer.status, answer.document["field"]) == (400, field)
    assert says in answer.document["error"]
    assert (await api("GET", "/campaigns")).document["count"] == 0


async def test_by_default_there_are_no_webhooks(store, tmp_path):
    async with orchestrating(store, tmp_path / "outputs", duties=False) as api:
        body = {"model_url": URL, "jobs": [{"compute_unit": CPU}], "webhook": {"url": "http://127.0.0.1/"}}
        answer = await api("POST", "/campaigns", body)
        assert answer.status == 400
        assert "webhooks.allowed_hosts" in answer.document["error"]


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [(None, 0, "can't be read"), (SECRET, 0o644, "chmod 600"), ("short", 0o600, "16 characters"), ("", 0o600, "16")],
)
async def test_without_a_secret_that_is_one_the_orchestrator_does_not_start(tmp_path, content, mode, says):
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    settings = OrchestratorSettings(
        http=HttpSettings(port=0),
        storage=OrchestratorStorage(data_dir=str(tmp_path / "data")),
        webhooks=WebhookSettings(allowed_hosts=["127.0.0.1"], secret_file=str(path)),
    )
    with pytest.raises(ConfigInvalid, match=f"webhooks.secret_file.*{says}"):
        await daemon.run(settings)


def test_hosts_without_a_secret_are_no_configuration():
    with pytest.raises(ValueError, match="secret_file must name a file"):
        WebhookSettings(allowed_hosts=["127.0.0.1"])
