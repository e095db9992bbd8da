"""Models for workers from their orchestrator: kept there, or fetched by it once for all devices of a campaign."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import pytest

from daemons.client import Client
from daemons.core.settings import HttpSettings, KeptModelSettings, OrchestratorSettings
from daemons.orchestrator import daemon
from daemons.orchestrator.modelstore import puller
from daemons.transfer import persistence
from daemons.transfer.download import Limits, NotFetched, NotKept
from daemons.transfer.partial import Partial
from daemons.worker import home, models
from daemons.worker.home import Home
from daemons.worker.models import ModelCache
from tests.support.model_server import cut_off, once, serving_models, status
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, comes_true

CONTENT = b"\x08\x07 a model" * 100_000


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(persistence, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(persistence, "RETRY_WINDOW_S", 0.2)
    monkeypatch.setattr(puller, "RETRY_WINDOW_S", 0.2)
    monkeypatch.setattr(home, "PAUSE_S", 0.02)


@pytest.fixture
async def source():
    async with serving_models() as running:
        running.files["m.onnx"] = CONTENT
        yield running


async def submit(api, url, **more):
    answer = await api("POST", "/campaigns", {"model_url": url, "jobs": [{"compute_unit": CPU}], **more})
    assert answer.status == 201, answer.document
    return answer.document["campaign_id"]


async def ask(api, campaign_id, wait=20):
    answer = await api("POST", f"/campaigns/{campaign_id}/model?wait={wait}")
    assert answer.status == 200, answer.document
    return answer.document


# What the orchestrator does


async def test_a_model_is_fetched_once_for_all_who_ask_and_pins_the_campaign(api, source):
    campaign_id = await submit(api, source.url("m.onnx"))
    answers = await asyncio.gather(*(ask(api, campaign_id) for _ in range(30)))
    assert answers == [{"state": "kept", "sha256": sha(CONTENT), "size_bytes": len(CONTENT)}] * 30
    assert source.statuses == [200]
    assert (await api("GET", f"/campaigns/{campaign_id}")).document["model_sha256"] == sha(CONTENT)
    async with api.session.get(f"{api.url}/api/models/sha256/{sha(CONTENT)}") as answer:
        assert await answer.read() == CONTENT
    assert (await api("GET", "/models")).document["models"] == []


async def test_two_orchestrators_fetch_it_once(store, tmp_path, source):
    source.with_validators = False
    async with orchestrating(store, tmp_path / "a") as one, orchestrating(store, tmp_path / "b") as other:
        campaign_id = await submit(one, source.url("m.onnx"))
        answers = await asyncio.gather(*(ask(api, campaign_id) for api in (one, other) * 5))
    assert {answer["sha256"] for answer in answers} == {sha(CONTENT)}
    assert source.statuses == [200]


async def test_another_campaign_asks_whether_the_model_has_changed(api, source):
    first = await submit(api, source.url("m.onnx"))
    await ask(api, first)
    second = await submit(api, source.url("m.onnx"))
    assert (await ask(api, second))["sha256"] == sha(CONTENT)
    assert source.statuses == [200, 304]
    source.files["m.onnx"] = b"a newer one"
    third = await submit(api, source.url("m.onnx"))
    assert (await ask(api, third))["sha256"] == sha(b"a newer one")
    assert (await ask(api, first))["sha256"] == sha(CONTENT)
    assert source.statuses == [200, 304, 200]


async def test_who_asks_while_it_is_fetched_is_told_how_far_it_is(api, source):
    go_on = asyncio.Event()

    async def slowly(request):
        response = await source.beginning("m.onnx", request, 200_000)
        await go_on.wait()
        await response.write(CONTENT[200_000:])
        return response

    source.behaviour["m.onnx"] = slowly
    campaign_id = await submit(api, source.url("m.onnx"))

    async def is_begun():
        answer = await ask(api, campaign_id, wait=0)
        return answer if answer.get("done_bytes") else None

    answer = await comes_true(is_begun, "the first bytes")
    assert answer == {"state": "fetching", "done_bytes": 200_000, "total_bytes": len(CONTENT)}
    go_on.set()
    assert (await ask(api, campaign_id))["state"] == "kept"


async def test_a_transfer_that_breaks_off_goes_on(api, source):
    source.behaviour["m.onnx"] = source.breaking_off("m.onnx", len(CONTENT) // 2)
    assert (await ask(api, await submit(api, source.url("m.onnx"))))["state"] == "kept"
    assert (source.statuses[0], source.statuses[-1]) == (200, 206)


@pytest.mark.parametrize(
    ("behaviour", "word"),
    [
        (status(404), "HTTP 404"),
        (status(503), "HTTP 503"),
        (cut_off(5000, b"x" * 100), "cut off"),
        (status(302, Location="http://169.254.169.254/latest"), "link-local"),
        (status(302, Location="file:///etc/passwd"), "http and https only"),
    ],
)
async def test_what_can_not_be_fetched_is_left_to_the_workers_and_leaves_nothing(api, source, behaviour, word):
    source.behaviour["m.onnx"] = behaviour
    campaign_id = await submit(api, source.url("m.onnx"))
    answer = await ask(api, campaign_id)
    assert (answer["state"], word in answer["reason"]) == ("elsewhere", True), answer
    asked = len(source.statuses)
    assert await ask(api, campaign_id) == answer
    assert len(source.statuses) == asked
    assert (await api("GET", "/models")).document["used_bytes"] == 0
    assert (await api("GET", f"/campaigns/{campaign_id}")).document["model_sha256"] is None


async def test_a_failure_is_forgotten_after_a_while(api, source, monkeypatch):
    source.behaviour["m.onnx"] = once(status(404), source, "m.onnx")
    campaign_id = await submit(api, source.url("m.onnx"))
    assert (await ask(api, campaign_id))["state"] == "elsewhere"
    monkeypatch.setattr(puller, "FAILED_FOR_S", 0.0)
    assert (await ask(api, campaign_id))["state"] == "kept"


@pytest.mark.parametrize("settings", [{"private_addresses": False}, {"pull_through": False}])
async def test_what_the_settings_forbid_is_left_to_the_workers(store, tmp_path, source, settings):
    async with orchestrating(store, tmp_path / "outputs", models=KeptModelSettings(**settings)) as api:
        answer = await ask(api, await submit(api, source.url("m.onnx")))
        assert (answer["state"], f"models.{next(iter(settings))} is false" in answer["reason"]) == ("elsewhere", True)
    assert source.requests == []


async def test_loopback_means_each_device_itself_once_others_can_reach_this_one(store, tmp_path, source):
    parts = daemon.Parts(
        OrchestratorSettings(http=HttpSettings(port=0)), store, tmp_path, tmp_path / "models", is_local=False
    )
    async with orchestrating(store, tmp_path / "outputs") as api:
        campaign_id = await submit(api, source.url("m.onnx"))
        answer = await parts.puller.ask(campaign_id, 20)
    assert (answer.state, "this machine itself" in str(answer.reason)) == ("elsewhere", True)
    assert source.requests == []


async def test_what_takes_credentials_is_never_fetched_from_here(api, source):
    for url, more in ((source.url("m.onnx"), {"credentials": "lab"}), (source.url("m").replace("://", "://u:p@"), {})):
        answer = await ask(api, await submit(api, url, **more))
        assert (answer["state"], "credentials" in answer["reason"]) == ("elsewhere", True)
    assert source.requests == []


async def test_a_model_for_which_there_is_no_room_is_left_to_the_workers(store, tmp_path, source):
    for limit_gb, word in ((0.0009, "models.limit_gb"), (0.0015, "models.store_limit_gb")):
        settings = KeptModelSettings(limit_gb=limit_gb, store_limit_gb=0.0015)
        async with orchestrating(store, tmp_path / "outputs", models=settings) as api:
            await api("PUT", "/models/other", b"x" * 600_000, **{"Content-Type": "application/octet-stream"})
            answer = await ask(api, await submit(api, source.url("m.onnx")))
            assert (answer["state"], word in answer["reason"]) == ("elsewhere", True)
            assert (await api("GET", "/models")).document["used_bytes"] == 600_000


async def test_a_campaign_that_a_device_has_pinned_to_other_bytes_keeps_them(api, source):
    """Somebody's device has fetched by itself before: the orchestrator's bytes are no substitute for its."""
    campaign_id = await submit(api, source.url("m.onnx"))
    await api.parts.store.models.pin(campaign_id, sha(b"what the device had"))
    answer = await ask(api, campaign_id)
    assert (answer["state"], "has changed" in answer["reason"]) == ("elsewhere", True)
    assert (await api("GET", "/models")).document["used_bytes"] == 0


async def test_what_a_campaign_was_fetched_for_stays_until_its_end_and_may_go_then(store, tmp_path, source):
    settings = KeptModelSettings(limit_gb=0.0015, store_limit_gb=0.0015)
    async with orchestrating(store, tmp_path / "outputs", models=settings) as api:
        campaign_id = await submit(api, source.url("m.onnx"))
        await ask(api, campaign_id)
        put = {"Content-Type": "application/octet-stream"}
        assert (await api("PUT", "/models/other", b"x" * 600_000, **put)).status == 507
        await api("POST", f"/campaigns/{campaign_id}/cancel", {})
        assert (await api("PUT", "/models/other", b"x" * 600_000, **put)).status == 201
        await api.parts.upkeep.round()
        assert [path.suffix for path in (tmp_path / "models" / "pulls").iterdir()] == [".lock"]


async def test_an_orchestrator_that_ends_gives_up_what_it_fetches(store, tmp_path, source):
    async with orchestrating(store, tmp_path / "outputs") as api:

        async def endlessly(request):
            response = await source.beginning("m.onnx", request, 1000)
            await asyncio.sleep(60)
            return response

        source.behaviour["m.onnx"] = endlessly
        campaign_id = await submit(api, source.url("m.onnx"))
        asking = asyncio.create_task(api.parts.puller.ask(campaign_id, 60))

        async def has_begun():
            return source.requests

        await comes_true(has_begun, "the transfer to begin")
    assert (await asking).state == "elsewhere"
    assert list((tmp_path / "models" / "uploads").iterdir()) == []


async def test_a_claim_tells_whether_to_ask(api, source):
    worker = await api.worker()
    for url, more, wanted in (
        (source.url("m.onnx"), {}, True),
        (source.url("m.onnx"), {"credentials": "lab"}, False),
        (source.url("m.onnx").replace("://", "://me:secret@"), {}, False),
    ):
        await submit(api, url, **more)
        job = await api.claim(worker)
        assert job["pull_through"] is wanted
        await api.report(worker, job)
    await api("PUT", "/models/kept", b"x", **{"Content-Type": "application/octet-stream"})
    await submit(api, "model:kept")
    assert (await api.claim(worker))["pull_through"] is False


async def test_there_is_no_model_of_no_campaign(api):
    assert (await api("POST", "/campaigns/campaign-1/model")).status == 404


# What a worker makes of it


@contextlib.asynccontextmanager
async def device(api, folder, **more):
    async with Client(api.url) as client:
        limits = Limits(max_bytes=10**9, own_origin=api.url)
        yield ModelCache(folder, limits, limit_bytes=10**9, home=Home(client), **more)


def nothing(_done, _total):
    """Nobody watches."""


async def test_three_devices_have_a_kept_model_and_its_inputs_byte_for_byte(api, tmp_path):
    put = {"Content-Type": "application/octet-stream"}
    await api("PUT", "/models/net.onnx", CONTENT, **put)
    url, digest = "model:net.onnx", sha(CONTENT)
    for name in "abc":
        async with device(api, tmp_path / name) as cache:
            model = await cache.fetch(url, digest, nothing)
            assert (model.file_name, model.sha256, model.path.read_bytes()) == ("net.onnx", digest, CONTENT)
        # The same bytes under another name are here already: nobody is asked, and the connection is closed.
        by_hash = await cache.fetch(f"model:sha256:{digest}/other.onnx", digest, nothing)
        assert (by_hash.file_name, by_hash.path) == ("other.onnx", model.path)


async def test_one_campaign_of_three_devices_costs_its_source_one_transfer(api, source, tmp_path):
    campaign_id = await submit(api, source.url("m.onnx"))
    steps = []
    for name in "abc":
        async with device(api, tmp_path / name) as cache:
            model = await cache.fetch(
                source.url("m.onnx"), None, lambda *step: steps.append(step), campaign_id=campaign_id
            )
            assert (model.file_name, model.path.read_bytes()) == ("m.onnx", CONTENT)
    assert source.statuses == [200]
    assert (len(CONTENT), len(CONTENT)) in steps
    source.behaviour["m.onnx"] = status(500)
    model = await cache.fetch(source.url("m.onnx"), sha(CONTENT), nothing, campaign_id=campaign_id)
    assert model.path.read_bytes() == CONTENT
    assert source.statuses == [200]


async def test_a_device_that_has_the_bytes_asks_nobody(api, source, tmp_path):
    campaign_id = await submit(api, source.url("m.onnx"))
    async with device(api, tmp_path / "a") as cache:
        await cache.fetch(source.url("m.onnx"), None, nothing, campaign_id=campaign_id)
    async with Client("http://127.0.0.1:9", patience_s=0) as nobody:
        cache = ModelCache(tmp_path / "a", Limits(max_bytes=10**9), limit_bytes=10**9, home=Home(nobody))
        model = await cache.fetch(source.url("m.onnx"), sha(CONTENT), nothing, campaign_id=campaign_id)
        assert model.path.read_bytes() == CONTENT
    assert source.statuses == [200]


@pytest.mark.parametrize(
    "trouble", ["it can't fetch", "it is away", "it has lost the bytes", "it knows no such request"]
)
async def test_what_the_orchestrator_does_not_have_a_device_fetches_by_itself(
    api, source, tmp_path, monkeypatch, trouble
):
    campaign_id = await submit(api, source.url("m.onnx"))
    monkeypatch.setattr(home, "PATIENCE_S", 0.1)
    match trouble:
        case "it can't fetch":
            source.behaviour["m.onnx"] = once(status(404), source, "m.onnx")
        case "it has lost the bytes":
            await ask(api, campaign_id)
            api.parts.models.folder.remove(sha(CONTENT))
            monkeypatch.setattr(Home, "where_is", lambda *_: _told(sha(CONTENT)))
        case "it is of an older version":
            campaign_id = "campaign-1"
    async with device(api, tmp_path / "a", retry_window_s=0.2) as cache:
        if trouble == "it is away":
            cache._home = Home(Client("http://127.0.0.1:9", patience_s=0))
            async with cache._home._client:
                model = await cache.fetch(source.url("m.onnx"), None, nothing, campaign_id=campaign_id)
        else:
            model = await cache.fetch(source.url("m.onnx"), None, nothing, campaign_id=campaign_id)
        assert model.path.read_bytes() == CONTENT


async def _told(answer):
    return answer


async def test_a_kept_model_that_is_gone_fails_for_good_and_an_orchestrator_that_is_away_does_not(
    api, tmp_path, monkeypatch
):
    digest = "0" * 64
    async with device(api, tmp_path / "a") as cache:
        with pytest.raises(NotFetched, match="no longer keeps") as caught:
            await cache.fetch(f"model:sha256:{digest}", digest, nothing)
        assert not isinstance(caught.value, NotKept)
        with pytest.raises(NotFetched, match="letters, digits"):
            await cache.fetch("model:../x", digest, nothing)
        with pytest.raises(NotFetched, match="without its SHA-256"):
            await cache.fetch("model:net.onnx", None, nothing)
    monkeypatch.setattr(models, "HOME_WINDOW_S", 0.1)
    async with Client("http://127.0.0.1:9", patience_s=0) as nobody:
        cache = ModelCache(tmp_path / "b", Limits(max_bytes=10**9), limit_bytes=10**9, home=Home(nobody))
        with pytest.raises(NotKept, match="is it running there"):
            await cache.fetch("model:net.onnx", digest, nothing)


async def test_a_damaged_copy_is_noticed_and_not_measured(api, tmp_path):
    await api("PUT", "/models/net.onnx", CONTENT, **{"Content-Type": "application/octet-stream"})
    path = api.parts.models.folder.path_of(sha(CONTENT))
    path.write_bytes(CONTENT[:-1] + b"?")
    async with device(api, tmp_path / "a") as cache:
        with pytest.raises(NotFetched, match="copy of the model is damaged"):
            await cache.fetch("model:net.onnx", sha(CONTENT), nothing)


async def test_the_workers_token_goes_to_its_orchestrator_and_nowhere_else(store, tmp_path, source):
    """Not to the model's source, of whichever of the two fetches from there."""
    tokens = {}
    for role in ("worker", "operator"):
        path = tmp_path / f"{role}.token"
        path.write_text(f"{role}-secret-0123456789\n")
        path.chmod(0o600)
        tokens[role] = str(path)
    http = HttpSettings(port=0, worker_token_file=tokens["worker"], operator_token_file=tokens["operator"])
    source.files["other.onnx"] = b"\x08\x07 fetched by the device itself"
    async with (
        orchestrating(store, tmp_path / "outputs", http=http) as api,
        Client(api.url, tokens["operator"]) as user,
    ):
        jobs = [{"compute_unit": CPU}]
        campaign = await user.submit({"model_url": source.url("m.onnx"), "jobs": jobs})
        async with Client(api.url, tokens["worker"]) as client:
            limits = Limits(max_bytes=10**9, own_origin=api.url)
            cache = ModelCache(tmp_path / "a", limits, limit_bytes=10**9, home=Home(client))
            model = await cache.fetch(source.url("m.onnx"), None, nothing, campaign_id=campaign["campaign_id"])
            assert model.path.read_bytes() == CONTENT
            await cache.fetch(source.url("other.onnx"), None, nothing)
        async with Client(api.url) as stranger:
            cache = ModelCache(tmp_path / "b", limits, limit_bytes=10**9, home=Home(stranger))
            with pytest.raises(NotFetched, match="needs a token"):
                await cache.fetch(f"model:sha256:{sha(CONTENT)}", sha(CONTENT), nothing)
    assert len(source.requests) == 2
    assert all("Authorization" not in request.headers for request in source.requests)


async def test_an_orchestrator_that_sends_elsewhere_is_not_followed(tmp_path, source):
    """A redirect would take the token along, or lead past the rules for addresses."""
    async with serving_models() as posing:
        posing.behaviour[f"api/models/sha256/{sha(CONTENT)}"] = status(302, Location=source.url("m.onnx"))
        async with Client(posing.origin) as client:
            cache = ModelCache(tmp_path / "a", Limits(max_bytes=10**9), limit_bytes=10**9, home=Home(client))
            with pytest.raises(NotFetched):
                await asyncio.wait_for(cache._home.fetch(sha(CONTENT), *_partial(tmp_path), nothing), 20)
    assert source.requests == []


def _partial(folder):
    return Partial(folder / "part"), Limits(max_bytes=10**9)
