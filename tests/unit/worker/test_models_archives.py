"""Archives, external data, inputs and credentials in the cache: what gets in, under which key, and what never does."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import threading
import zipfile

import pytest
from onnx import TensorProto, helper

from daemons.transfer.credential import Credential
from daemons.transfer.download import Limits, NotFetched
from daemons.worker import archive, external_data
from daemons.worker.credentials import Credentials
from daemons.worker.models import ModelCache
from tests.support.model_server import serving_models, status

PLAIN = b"\x08\x07\x12\x07a model" * 20
SECRET = "Bearer s3cret"


def external(*locations: str) -> bytes:
    """A model each of whose tensors is in a file of its own."""
    tensors = []
    for location in locations:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=location)
        tensors.append(tensor)
    return helper.make_model(helper.make_graph([], "g", [], [], tensors)).SerializeToString()


def pack(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in files.items():
            writer.writestr(name, content)
    return packed.getvalue()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


WHOLE = pack({"net/m.onnx": external("w.bin"), "net/w.bin": b"weights." * 2})


@pytest.fixture
async def server():
    async with serving_models() as running:
        running.files |= {"m.zip": WHOLE, "m.onnx": PLAIN, "x.npz": pack({"x.npy": b"numbers"})}
        yield running


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def cache(folder):
    named = Credentials({"lab": Credential("lab", frozenset({"127.0.0.1"}), {"Authorization": SECRET})})
    return ModelCache(folder, Limits(max_bytes=10**6), limit_bytes=10**6, credentials=named, retry_window_s=0.0)


def nothing(_done: int, _total: int | None) -> None:
    """Progress that nobody looks at."""


async def get(cache: ModelCache, url: str, **more):
    return await cache.fetch(url, None, nothing, **more)


def tree(folder) -> dict[str, bytes]:
    """Every file under `folder` with its content, without the lock's signature."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# Archives


async def test_an_archive_is_unpacked_under_its_hash_and_the_model_in_it_is_handed_on(cache, server, folder):
    model = await get(cache, server.url("m.zip"))
    assert (model.file_name, model.sha256, model.size_bytes) == ("m.zip", sha(WHOLE), len(WHOLE))
    assert model.path == folder / f"{sha(WHOLE)}.d" / "net" / "m.onnx"
    assert model.path.with_name("w.bin").read_bytes() == b"weights." * 2
    assert {path.name for path in folder.iterdir()} == {"lock", "index.json", f"{sha(WHOLE)}.d"}


async def test_an_unchanged_archive_is_neither_sent_nor_unpacked_again(cache, server, monkeypatch):
    first = await get(cache, server.url("m.zip"))
    monkeypatch.setattr(archive, "unpack", None)
    assert await get(cache, server.url("m.zip")) == first
    assert server.statuses == [200, 304]


async def test_an_archive_is_pinned_by_its_own_hash(cache, server):
    assert (await cache.fetch(server.url("m.zip"), sha(WHOLE), nothing)).sha256 == sha(WHOLE)
    with pytest.raises(NotFetched, match="has changed"):
        await cache.fetch(server.url("m.zip"), "0" * 64, nothing)


async def test_the_same_archive_from_two_places_lies_here_once(cache, server, folder):
    server.files["again.zip"] = WHOLE
    first, second = await get(cache, server.url("m.zip")), await get(cache, server.url("again.zip"))
    assert first.path == second.path
    assert second.file_name == "again.zip"
    assert second.path.exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda model: model.path.unlink(),
        lambda model: model.path.write_bytes(b"short"),
        lambda model: (model.path.parent / "more").write_bytes(b""),
        lambda model: os.link(model.path.with_name("w.bin"), model.path.parents[3] / "elsewhere"),
        lambda model: (model.path.unlink(), model.path.symlink_to("/etc/hostname")),
    ],
)
async def test_an_unpacked_archive_that_is_no_longer_as_it_came_is_fetched_again(cache, server, spoil):
    model = await get(cache, server.url("m.zip"))
    spoil(model)
    again = await get(cache, server.url("m.zip"))
    assert server.statuses == [200, 200]
    assert again.path.read_bytes() == external("w.bin")
    assert again.path.with_name("w.bin").stat().st_nlink == 1
    assert not (again.path.parent / "more").exists()


REFUSED = {
    "leads out": ("m.zip", pack({"../m.onnx": PLAIN}), "leads out"),
    "unpacks to more": ("m.zip", pack({"m.onnx": bytes(10**6 + 1)}), r"limits\.model_limit_gb"),
    "no model": ("m.zip", pack({"readme": b"x"}), "holds no model"),
    "several models": ("m.zip", pack({"a.onnx": PLAIN, "b.onnx": PLAIN}), "'a.onnx', 'b.onnx'"),
    "two kinds": ("m.zip", pack({"m.onnx": PLAIN, "m.mlpackage/Manifest.json": b"{}"}), "holds 2 models"),
    "a package that is none": ("m.mlpackage", PLAIN, "is a folder: send the whole folder as a zip"),
    "half an IR": ("m.xml", b"<net/>", "comes without its weights"),
    "half an IR, packed": ("m.zip", pack({"m.xml": b"<net/>"}), "there is no 'm.bin'"),
    "an ONNX model that calls itself IR": (
        "m.zip",
        pack({"m.xml": b"\n" + external("/etc/passwd"), "m.bin": b""}),
        "no OpenVINO model",
    ),
    "damaged": ("m.zip", WHOLE[:-10], "damaged"),
    "no zip": ("m.zip", PLAIN, "no zip archive"),
    "a zip by another name": ("m.onnx", WHOLE, "zip archive"),
    "arrays": ("x.npz", pack({"x.npy": b""}), "zip archive"),
    "data outside its folder": (
        "m.zip",
        pack({"n/m.onnx": external("../w"), "w": b"x"}),
        r"'\.\./w', which is outside",
    ),
    "absolute data": ("m.zip", pack({"m.onnx": external("/etc/passwd")}), "'/etc/passwd', which is not relative"),
    "missing data": ("m.zip", pack({"m.onnx": external("w")}), "no such file"),
    "one bad of two": ("m.zip", pack({"m.onnx": external("w", "/w"), "w": b"x"}), "'/w'"),
    "memory": ("m.zip", pack({"m.onnx": external("*/_ORT_MEM_ADDR_/*"), "*/_ORT_MEM_ADDR_/*": b"x"}), "no name"),
    "a neighbour in the cache": ("m.onnx", external(sha(PLAIN)), "send the .onnx and these together as a zip"),
    "a neighbour, from an archive": ("m.zip", pack({"m.onnx": external(f"../{sha(PLAIN)}")}), "outside"),
    "a page": ("m.onnx", b"<html><script>location='/login'</script>", "not an ONNX model"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_leaves_the_cache_as_it_was_and_the_next_model_comes(cache, server, folder, name):
    server.files["before"] = PLAIN
    await get(cache, server.url("before"))
    before = tree(folder)
    file, content, why = REFUSED[name]
    server.files[file] = content
    with pytest.raises(NotFetched, match=why):
        await get(cache, server.url(file))
    assert tree(folder) == before
    assert not list(folder.glob("unpacking-*"))
    server.files["after.zip"] = WHOLE
    assert (await get(cache, server.url("after.zip"))).path.exists()


async def test_an_archive_needs_no_ending_in_its_url(cache, server):
    server.files["download"] = WHOLE
    assert (await get(cache, server.url("download"))).path.name == "m.onnx"


async def test_a_cancelled_unpacking_is_waited_for_and_leaves_nothing(cache, server, folder, monkeypatch):
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    real = external_data.check

    def slow(*args):
        began.set()
        go_on.wait(20)
        ended.set()
        real(*args)

    monkeypatch.setattr(external_data, "check", slow)
    fetching = asyncio.create_task(get(cache, server.url("m.zip")))
    await asyncio.to_thread(began.wait, 20)
    fetching.cancel()
    await asyncio.sleep(0)
    assert not fetching.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert ended.is_set()
    assert tree(folder) == {}
    assert not list(folder.glob("unpacking-*"))


async def test_a_full_disk_gives_up_older_models_for_what_is_unpacked(cache, server, folder, monkeypatch):
    await get(cache, server.url("m.onnx"))
    real, failures = archive.unpack, [OSError(errno.ENOSPC, "No space left on device")]

    def on_a_full_disk(*args, **more):
        if failures:
            raise failures.pop()
        return real(*args, **more)

    monkeypatch.setattr(archive, "unpack", on_a_full_disk)
    await get(cache, server.url("m.zip"))
    assert [path.name for path in cache._shelf.entries()] == [f"{sha(WHOLE)}.d"]
    failures.extend(OSError(errno.ENOSPC, "No space left on device") for _ in range(2))
    server.files["n.zip"] = pack({"n.onnx": PLAIN})
    with pytest.raises(NotFetched, match="No space left"):
        await get(cache, server.url("n.zip"))
    assert not list(folder.glob("partial-*"))


async def test_unpacked_archives_count_and_go_as_a_whole_and_never_the_one_in_use(folder, server):
    cache = ModelCache(folder, Limits(max_bytes=10**6), limit_bytes=3000)
    for name in "abc":
        server.files[f"{name}.zip"] = pack({f"{name}.onnx": PLAIN, "w": name.encode() * 1500})
    found = [await get(cache, server.url(f"{name}.zip")) for name in "ab"]
    assert [model.path.exists() for model in found] == [False, True]
    assert len(list(folder.glob("*.d"))) == 1
    assert not list(folder.glob("leaving-*"))
    server.files["big.zip"] = pack({"big.onnx": PLAIN, "w": b"w" * 5000})
    big = await get(cache, server.url("big.zip"))
    assert big.path.exists()
    assert [path.name for path in cache._shelf.entries()] == [f"{big.sha256}.d"]


# Other kinds of models

CORE_ML = {"Net.mlpackage/Manifest.json": b"{}", "Net.mlpackage/Data/com.apple.CoreML/model.mlmodel": b"location"}


async def test_a_core_ml_package_is_handed_on_as_the_folder_that_it_is(cache, server):
    server.files["n.zip"] = pack({**CORE_ML, "__MACOSX/Net.mlpackage/._Manifest.json": b"attributes"})
    model = await get(cache, server.url("n.zip"))
    assert model.path == model.folder / "Net.mlpackage"
    assert tree(model.path) == {name.partition("/")[2]: content for name, content in CORE_ML.items()}
    assert await get(cache, server.url("n.zip")) == model
    assert server.statuses == [200, 304]


async def test_a_core_ml_package_that_lost_a_file_is_fetched_again(cache, server):
    server.files["n.zip"] = pack(CORE_ML)
    (await get(cache, server.url("n.zip"))).path.joinpath("Manifest.json").unlink()
    assert (await get(cache, server.url("n.zip"))).path.joinpath("Manifest.json").exists()
    assert server.statuses == [200, 200]


async def test_an_openvino_model_has_its_weights_beside_it(cache, server):
    server.files["n.zip"] = pack({"ir/n.xml": b'<?xml version="1.0"?><net location="x"/>', "ir/n.bin": b"weights"})
    model = await get(cache, server.url("n.zip"))
    assert model.path == model.folder / "ir" / "n.xml"
    assert model.path.with_suffix(".bin").read_bytes() == b"weights"


async def test_a_core_ml_file_keeps_the_ending_that_it_is_known_by(cache, server, folder):
    """It is no ONNX model, and what looks like a reference in it is none."""
    server.files["Net.mlmodel"] = b"a spec with the word location"
    model = await get(cache, server.url("Net.mlmodel"))
    assert model.path == folder / f"{model.sha256}.mlmodel"
    assert model.folder is None
    assert await get(cache, server.url("Net.mlmodel")) == model
    assert server.statuses == [200, 304]
    assert [path.name for path in cache._shelf.entries()] == [model.path.name]


async def test_what_came_as_core_ml_is_not_taken_for_an_onnx_model_that_was_judged(cache, server):
    server.files |= {"m.mlmodel": external("/etc/passwd"), "m.onnx": external("/etc/passwd")}
    await get(cache, server.url("m.mlmodel"))
    with pytest.raises(NotFetched, match=r"send the \.onnx"):
        await get(cache, server.url("m.onnx"))


# Inputs


async def test_inputs_are_fetched_and_kept_as_models_are(cache, server, folder):
    path = await cache.fetch_inputs(server.url("x.npz"), nothing)
    assert path.suffix == ".npz"
    assert path.read_bytes() == server.files["x.npz"]
    assert await cache.fetch_inputs(server.url("x.npz"), nothing) == path
    assert server.statuses == [200, 304]


async def test_what_came_as_inputs_is_not_taken_for_a_model_that_was_judged(cache, server, folder):
    """The same URL and the same bytes: as a model they are unpacked and checked, as inputs they are not."""
    server.files["download"] = pack({"m.onnx": external("/etc/passwd")})
    await cache.fetch_inputs(server.url("download"), nothing)
    with pytest.raises(NotFetched, match="not relative"):
        await get(cache, server.url("download"))


async def test_inputs_that_are_no_npz_or_missing_are_refused_by_what_they_are(cache, server, folder):
    with pytest.raises(NotFetched, match=r"m\.onnx is no \.npz file"):
        await cache.fetch_inputs(server.url("m.onnx"), nothing)
    with pytest.raises(NotFetched, match=r"the inputs file's server answers HTTP 404"):
        await cache.fetch_inputs(server.url("none.npz"), nothing)
    assert tree(folder) == {}


async def test_the_model_stays_while_its_inputs_come(folder, server):
    cache = ModelCache(folder, Limits(max_bytes=10**6), limit_bytes=100)
    model = await get(cache, server.url("m.zip"))
    inputs = await cache.fetch_inputs(server.url("x.npz"), nothing, beside=model)
    assert model.path.exists()
    assert inputs.exists()


# Credentials


async def test_credentials_are_sent_and_an_unknown_name_fails_with_the_name_and_the_key(cache, server):
    await get(cache, server.url("m.onnx"), credentials="lab")
    assert server.requests[0].headers["Authorization"] == SECRET
    with pytest.raises(NotFetched, match=r"'office'.*models\.credentials_file") as caught:
        await get(cache, server.url("m.onnx"), credentials="office")
    assert "lab" not in str(caught.value)
    assert len(server.requests) == 1


async def test_what_was_had_with_credentials_is_not_to_be_had_by_its_url_alone(cache, server):
    """Not by a conditional request either, nor while the server is away."""
    url = server.url("m.onnx")
    await get(cache, url, credentials="lab")
    server.behaviour["m.onnx"] = status(503)
    assert await cache.fetch(url, sha(PLAIN), nothing, credentials="lab")
    with pytest.raises(NotFetched, match="503"):
        await cache.fetch(url, sha(PLAIN), nothing)
    with pytest.raises(NotFetched, match="503"):
        await cache.fetch_inputs(url, nothing)
    assert "If-None-Match" not in server.requests[-1].headers
    server.behaviour["m.onnx"] = status(304)
    with pytest.raises(NotFetched, match="304"):
        await get(cache, url)


async def test_the_headers_are_written_nowhere(cache, server, folder, capsys):
    await get(cache, server.url("m.zip"), credentials="lab")
    server.behaviour["m.zip"] = status(503)
    await cache.fetch(server.url("m.zip"), sha(WHOLE), nothing, credentials="lab")
    assert all(b"s3cret" not in content for content in tree(folder).values())
    assert "s3cret" not in "".join(capsys.readouterr())
    assert server.statuses[-1] == 503
