"""The client and models, against a real orchestrator through a proxy that cuts connections."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from daemons.client import Client, modelfiles
from daemons.core.errors import InvalidInput, NoRoom, NotFound, OrchestratorUnavailable, TooLarge, WrongHash
from daemons.core.settings import KeptModelSettings
from tests.support.orchestrator import orchestrating
from tests.support.proxy import Proxy

CONTENT = bytes(range(256)) * 40_000


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(modelfiles, "FIRST_DELAY_S", 0.05)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
async def proxy(api):
    parts = urlsplit(api.url)
    async with Proxy((str(parts.hostname), int(parts.port or 0))).serving() as running:
        yield running


@pytest.fixture
async def client(proxy):
    async with Client(proxy.url) as connected:
        yield connected


class Progress:
    """What a transfer has told. At each of the bytes `cuts` every connection is cut once."""

    def __init__(self, proxy: Proxy, *cuts: int) -> None:
        self.told: list[tuple[int, int]] = []
        self.cut = 0
        self._proxy = proxy
        self._cuts = list(cuts)

    def __call__(self, done: int, total: int) -> None:
        self.told.append((done, total))
        if self._cuts and done >= self._cuts[0]:
            self._cuts.pop(0)
            self.cut += self._proxy.cut_all()


async def test_a_model_goes_there_is_listed_and_comes_back(client, proxy, file, tmp_path):
    progress = Progress(proxy)
    model = await client.upload_model(file, on_progress=progress)
    assert (model["name"], model["sha256"]) == ("net.onnx", sha(CONTENT))
    assert progress.told[-1] == (len(CONTENT), len(CONTENT))
    assert len(progress.told) > 10
    assert [one["name"] for one in (await client.models())["models"]] == ["net.onnx"]
    await client.download_model("net.onnx", tmp_path / "back.onnx", progress)
    assert (tmp_path / "back.onnx").read_bytes() == CONTENT
    assert progress.told[-1] == (len(CONTENT), len(CONTENT))
    await client.delete_model("net.onnx")
    assert (await client.models())["count"] == 0


async def test_what_breaks_off_goes_on_where_it_ended(client, proxy, file, tmp_path):
    """Each way is cut twice; what was sent before is not sent again, but for what was on its way."""
    progress = Progress(proxy, len(CONTENT) // 4, len(CONTENT) // 2)
    model = await client.upload_model(file, "other.onnx", progress)
    assert (model["name"], model["sha256"]) == ("other.onnx", sha(CONTENT))
    assert progress.cut == 2
    goes_back_to = [now for (last, _), (now, _) in itertools.pairwise(progress.told) if now < last]
    assert len(goes_back_to) <= 2
    assert all(now > 0 for now in goes_back_to)

    progress = Progress(proxy, len(CONTENT) // 4, len(CONTENT) // 2)
    await client.download_model("other.onnx", tmp_path / "back.onnx", progress)
    assert (tmp_path / "back.onnx").read_bytes() == CONTENT
    assert progress.cut == 2
    assert progress.told == sorted(progress.told)
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


async def test_what_is_there_already_is_not_sent_again(client, proxy, file, api):
    await client.upload_model(file)
    progress = Progress(proxy)
    assert (await client.upload_model(file, "alias.onnx", progress))["sha256"] == sha(CONTENT)
    assert progress.told == [(len(CONTENT), len(CONTENT))]


async def test_the_beginning_of_another_file_is_not_gone_on_with(client, proxy, file, api):
    async with api.session.put(
        f"{api.url}/api/models/net.onnx",
        data=b"x" * 1000,
        headers={"Content-Range": f"bytes 0-999/{len(CONTENT)}"},
    ) as answer:
        assert answer.status == 202
    assert (await client.upload_model(file))["sha256"] == sha(CONTENT)


async def test_a_new_version_that_comes_in_between_is_had_whole(client, proxy, file, tmp_path, api):
    await client.upload_model(file)
    newer = tmp_path / "newer"
    newer.write_bytes(CONTENT[::-1])
    original, requests = client.stream, []

    @asynccontextmanager
    async def stream(method, path, **more):
        requests.append(more["headers"])
        if len(requests) == 2:  # the first one was cut
            async with Client(api.url) as other:
                await other.upload_model(newer, "net.onnx")
        async with original(method, path, **more) as answer:
            yield answer

    client.stream = stream
    await client.download_model("net.onnx", tmp_path / "back.onnx", Progress(proxy, len(CONTENT) // 2))
    assert [bool(headers) for headers in requests] == [False, True]
    assert (tmp_path / "back.onnx").read_bytes() == CONTENT[::-1]


async def test_what_does_not_fit_is_refused_before_a_byte_is_sent(store, tmp_path, file):
    settings = KeptModelSettings(limit_gb=0.011, store_limit_gb=0.011)
    async with orchestrating(store, tmp_path / "outputs", models=settings) as api, Client(api.url) as client:
        big = tmp_path / "big.onnx"
        big.write_bytes(b"x" * 12_000_000)
        sent = []
        with pytest.raises(TooLarge, match=r"models\.limit_gb"):
            await client.upload_model(big, on_progress=lambda *told: sent.append(told))
        await client.upload_model(file)
        (tmp_path / "more.onnx").write_bytes(b"x" * 2_000_000)
        with pytest.raises(NoRoom, match=r"models\.store_limit_gb"):
            await client.upload_model(tmp_path / "more.onnx", on_progress=lambda *told: sent.append(told))
        assert sent == []


async def test_an_orchestrator_that_stays_away_is_given_up_with_its_sentence(monkeypatch, file):
    monkeypatch.setattr(modelfiles, "PATIENCE_S", 0.2)
    async with Client("http://127.0.0.1:9", patience_s=0) as nobody:
        with pytest.raises(OrchestratorUnavailable, match="is it running there"):
            await nobody.upload_model(file)


async def test_a_file_that_changes_while_it_is_sent_is_not_taken_for_what_it_was(client, proxy, file):
    changed = []

    def change(done, _total):
        if not changed:
            changed.append(done)
            file.write_bytes(CONTENT[:-1])

    with pytest.raises((InvalidInput, WrongHash), match=r"changed while|SHA-256"):
        await client.upload_model(file, on_progress=change)
    assert (await client.models())["count"] == 0


async def test_bad_input_is_said_with_a_sentence(client, proxy, tmp_path):
    empty = tmp_path / "empty.onnx"
    empty.touch()
    with pytest.raises(InvalidInput, match="is empty"):
        await client.upload_model(empty)
    with pytest.raises(InvalidInput, match="letters, digits"):
        await client.upload_model(empty, "../x")
    with pytest.raises(FileNotFoundError):
        await client.upload_model(tmp_path / "none.onnx")
    target = tmp_path / "kept.onnx"
    target.write_bytes(b"mine")
    with pytest.raises(NotFound, match="no model"):
        await client.download_model("none.onnx", target)
    assert target.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["empty.onnx", "kept.onnx"]
