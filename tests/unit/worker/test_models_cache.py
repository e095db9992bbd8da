"""The cache of models: what is kept, what is asked again, what goes."""

from __future__ import annotations

import asyncio
import errno
import hashlib

import pytest
from aiohttp import web

from daemons.runtime.locks import FileLock
from daemons.transfer import persistence
from daemons.transfer.download import Limits, NotFetched
from daemons.worker import models
from daemons.worker.models import ModelCache
from tests.support.model_server import cut_off, once, serving_models, status

CONTENT = b"\x08\x07 a model" * 100


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(persistence, "FIRST_DELAY_S", 0.02)


@pytest.fixture
async def server():
    async with serving_models() as running:
        running.files["m.onnx"] = CONTENT
        yield running


@pytest.fixture
def cache(tmp_path):
    return ModelCache(tmp_path / "models", Limits(max_bytes=10**6), limit_bytes=10**6)


async def get(cache: ModelCache, url: str, pinned: str | None = None):
    return await cache.fetch(url, pinned, lambda _done, _total: None)


def kept(cache: ModelCache) -> set[str]:
    return {path.name for path in cache._shelf.entries()}


async def test_a_model_lies_whole_under_the_name_of_its_hash(cache, server):
    model = await get(cache, server.url("m.onnx"))
    assert model.path.name == model.sha256 == sha(CONTENT)
    assert model.path.read_bytes() == CONTENT
    assert (model.file_name, model.size_bytes) == ("m.onnx", len(CONTENT))


async def test_an_unchanged_model_is_asked_for_and_not_sent_again(cache, server):
    first = await get(cache, server.url("m.onnx"))
    assert await get(cache, server.url("m.onnx")) == first
    assert server.statuses == [200, 304]


async def test_a_changed_model_is_noticed_with_and_without_entity_tags(cache, server):
    for server.with_validators in (True, False):
        for content in (b"one", b"two"):
            server.files["m.onnx"] = content
            assert (await get(cache, server.url("m.onnx"))).sha256 == sha(content)


async def test_a_changed_model_fails_a_pinned_campaign_with_both_hashes(cache, server):
    await get(cache, server.url("m.onnx"), sha(CONTENT))
    server.files["m.onnx"] = b"other"
    with pytest.raises(NotFetched) as caught:
        await get(cache, server.url("m.onnx"), sha(CONTENT))
    assert sha(CONTENT) in str(caught.value)
    assert sha(b"other") in str(caught.value)


@pytest.mark.parametrize("trouble", [cut_off(5000, b"x" * 100), status(503), status(429)])
async def test_what_may_pass_is_tried_again(cache, server, trouble):
    server.behaviour["m.onnx"] = once(trouble, server, "m.onnx")
    assert (await get(cache, server.url("m.onnx"))).sha256 == sha(CONTENT)


async def test_what_does_not_pass_fails_with_its_cause_and_leaves_no_part_behind(tmp_path, server):
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**6), limit_bytes=10**6, retry_window_s=0.03)
    server.behaviour["m.onnx"] = cut_off(5000, b"x" * 100)
    with pytest.raises(NotFetched, match=r"cut off.*tried 2 times"):
        await get(cache, server.url("m.onnx"))
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"lock"}


async def test_what_would_repeat_is_asked_once(cache, server):
    with pytest.raises(NotFetched, match="HTTP 404"):
        await get(cache, server.url("missing.onnx"))
    assert server.statuses == [404]


async def test_the_very_bytes_of_the_campaign_are_used_while_their_server_is_away(cache, server):
    await get(cache, server.url("m.onnx"))
    server.behaviour["m.onnx"] = status(503)
    assert (await get(cache, server.url("m.onnx"), sha(CONTENT))).sha256 == sha(CONTENT)


async def test_a_file_that_lost_bytes_is_fetched_again(cache, server):
    model = await get(cache, server.url("m.onnx"))
    model.path.write_bytes(b"short")
    assert (await get(cache, server.url("m.onnx"))).path.read_bytes() == CONTENT
    assert server.statuses == [200, 200]


async def test_a_transfer_that_breaks_off_goes_on_for_as_long_as_something_comes(tmp_path, server):
    """Eight pieces take longer than the window, which counts from the last progress."""
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**8), limit_bytes=10**8, retry_window_s=0.1)
    server.files["m.onnx"] = content = bytes(range(1, 251)) * 8_000
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(content) // 8)
    assert (await get(cache, server.url("m.onnx"))).path.read_bytes() == content
    assert server.statuses[0] == 200
    assert len(server.statuses) >= 8
    assert set(server.statuses[1:]) == {206}


async def test_what_came_before_an_attempt_failed_is_not_sent_again_to_the_next(tmp_path, server):
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**6), limit_bytes=10**6, retry_window_s=0.0)
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", 500)
    with pytest.raises(NotFetched, match="cut off"):
        await get(cache, server.url("m.onnx"))
    assert kept(cache) == set()
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT))
    assert (await get(cache, server.url("m.onnx"))).sha256 == sha(CONTENT)
    assert server.statuses == [200, 206]


@pytest.mark.parametrize("spoil", ["another model is fetched", "its file is gone", "its file is short", "no room"])
async def test_a_part_that_is_no_longer_good_is_not_gone_on_with(tmp_path, server, spoil):
    limit = 400 if spoil == "no room" else 10**6
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**6), limit_bytes=limit, retry_window_s=0.0)
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", 500)
    with pytest.raises(NotFetched):
        await get(cache, server.url("m.onnx"))
    parts = list((tmp_path / "models").glob("partial-*"))
    if spoil == "another model is fetched":
        server.files["other"] = b"other"
        await get(cache, server.url("other"))
        assert not parts[0].exists()
    elif spoil == "no room":
        assert parts == []
    elif spoil == "its file is gone":
        parts[0].unlink()
    else:
        parts[0].write_bytes(b"x")
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT))
    assert (await get(cache, server.url("m.onnx"))).path.read_bytes() == CONTENT
    assert server.statuses[-1] == 200


async def test_a_cancelled_transfer_goes_on_with_the_next_attempt(cache, server):
    async def half(request):
        response = web.StreamResponse(headers={"ETag": '"1"', "Content-Length": str(len(CONTENT))})
        await response.prepare(request)
        await response.write(CONTENT[:600])
        await asyncio.sleep(60)
        return response

    server.behaviour["m.onnx"] = half
    came = asyncio.Event()
    fetching = asyncio.create_task(cache.fetch(server.url("m.onnx"), None, lambda _done, _total: came.set()))
    await came.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT), ETag='"1"')
    assert (await get(cache, server.url("m.onnx"))).path.read_bytes() == CONTENT
    assert server.statuses[-1] == 206


async def test_a_damaged_index_costs_one_transfer(cache, server, tmp_path):
    await get(cache, server.url("m.onnx"))
    (tmp_path / "models" / "index.json").write_bytes(b"{")
    await get(cache, server.url("m.onnx"))
    assert server.statuses == [200, 200]


async def test_the_least_recently_used_model_goes_and_never_the_one_in_use(tmp_path, server):
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**6), limit_bytes=250)
    for name in "abc":
        server.files[name] = name.encode() * 100
    await get(cache, server.url("a"))
    await get(cache, server.url("b"))
    await get(cache, server.url("a"))
    await get(cache, server.url("c"))
    assert kept(cache) == {sha(b"a" * 100), sha(b"c" * 100)}
    server.files["big"] = b"z" * 900
    big = await get(cache, server.url("big"))
    assert kept(cache) == {big.sha256}


async def test_a_full_disk_does_not_cost_the_very_bytes_that_the_campaign_is_about(cache, server, monkeypatch):
    """They were removed for their own next copy, and the attempt failed with "No such file or directory"."""
    for name in ("m.onnx", "old.onnx"):
        server.files[name] = CONTENT + name.encode()
        pinned = (await get(cache, server.url(name))).sha256

    async def on_a_full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(models, "download", on_a_full_disk)
    assert (await get(cache, server.url("old.onnx"), pinned)).path.exists()
    assert kept(cache) == {pinned}


async def test_a_full_disk_gives_up_old_models_for_the_new_one(cache, server, monkeypatch):
    await get(cache, server.url("m.onnx"))
    server.files["new"] = b"new"
    real, failures = models.download, [OSError(errno.ENOSPC, "No space left on device")]

    async def on_a_full_disk(*args):
        if failures:
            raise failures.pop()
        return await real(*args)

    monkeypatch.setattr(models, "download", on_a_full_disk)
    await get(cache, server.url("new"))
    assert kept(cache) == {sha(b"new")}
    monkeypatch.setattr(cache._shelf, "evict", lambda *_, **__: 0)
    failures.append(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(NotFetched, match="No space left"):
        await get(cache, server.url("new"))


async def test_one_process_fetches_at_a_time(cache, server, tmp_path):
    async with FileLock(tmp_path / "models" / "lock").held():
        waiting = asyncio.create_task(get(cache, server.url("m.onnx")))
        await asyncio.sleep(0.05)
        assert server.requests == []
    assert (await waiting).sha256 == sha(CONTENT)


async def test_parts_that_a_killed_process_left_are_removed(cache, server, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "partial-0").write_bytes(b"half")
    await get(cache, server.url("m.onnx"))
    assert not (tmp_path / "models" / "partial-0").exists()


async def test_leftovers_go_at_the_start_unless_another_process_is_at_work(cache, server, tmp_path):
    model = await get(cache, server.url("m.onnx"))
    folder = tmp_path / "models"
    for name in ("unpacking-0", "leaving-0"):
        (folder / name / "sub").mkdir(parents=True)
        (folder / name / "sub" / "file").write_bytes(b"x")
    (folder / "partial-0").write_bytes(b"x")
    with FileLock(folder / "lock").held_now():
        cache.clean_up()
    assert (folder / "unpacking-0").exists()
    cache.clean_up()
    assert {path.name for path in folder.iterdir()} == {"lock", "index.json", model.sha256}


async def test_no_url_is_written_to_disk(cache, server, tmp_path):
    await get(cache, server.url("m.onnx").replace("http://", "http://ann:s3cret@"))
    assert b"s3cret" not in (tmp_path / "models" / "index.json").read_bytes()
