"""The models that a worker brings along, and what it says of those that it doesn't."""

from __future__ import annotations

import errno

import pytest

from daemons.core.health import MODEL, MODEL_SHA256, MODEL_URL
from daemons.transfer import persistence
from daemons.transfer.download import Limits, NotFetched, NotKept
from daemons.transfer.partial import Partial
from daemons.worker import builtin, models
from daemons.worker.models import ModelCache


@pytest.fixture
def cache(tmp_path):
    return ModelCache(tmp_path / "models", Limits(max_bytes=10**6), limit_bytes=10**6)


async def get(cache, url=MODEL_URL, pinned=MODEL_SHA256):
    return await cache.fetch(url, pinned, lambda _done, _total: None)


@pytest.fixture
def _no_network(monkeypatch):
    async def never(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(models, "download", never)


@pytest.mark.usefixtures("_no_network")
async def test_it_comes_from_the_program_itself(cache):
    model = await get(cache)
    assert (model.sha256, model.file_name) == (MODEL_SHA256, "health-1.onnx")
    assert model.size_bytes == model.path.stat().st_size


@pytest.mark.usefixtures("_no_network")
async def test_it_is_written_anew_each_time_for_the_disk_is_checked_too(cache, monkeypatch):
    first = await get(cache)
    before = first.path.stat().st_ino
    assert (await get(cache)).path.stat().st_ino != before

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Partial, "append", full)
    monkeypatch.setattr(persistence, "FIRST_DELAY_S", 0.0)
    with pytest.raises(NotKept, match="the model can't be kept on this device: No space left"):
        await get(cache)


@pytest.mark.parametrize("name", ["health-2", "", "../reference/health-1", "health-1.onnx"])
async def test_an_unknown_one_says_who_is_to_be_upgraded(cache, name):
    with pytest.raises(NotFetched, match=r"doesn't know the built-in model .*: upgrade benchfleet on this device"):
        await get(cache, f"builtin:{name}", None)
    assert cache._shelf.entries() == []


async def test_one_that_is_damaged_is_not_measured(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(builtin, "_FOLDER", tmp_path)
    with pytest.raises(NotFetched, match=r"can't be read \(No such file or directory\); install benchfleet"):
        await get(cache)
    (tmp_path / f"{MODEL}.onnx").write_bytes(b"\x08\x07 something else")
    with pytest.raises(NotFetched, match="has other bytes than it was made with; install benchfleet"):
        await get(cache)


async def test_one_that_is_not_the_campaigns_is_told_with_both_hashes(cache):
    with pytest.raises(NotFetched, match=f"{MODEL_SHA256}, and this campaign is about {'0' * 64}"):
        await get(cache, pinned="0" * 64)
