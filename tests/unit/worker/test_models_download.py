"""Fetching one file, over real sockets."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aiohttp import web

from daemons.worker.download import (
    Limits,
    NotFetched,
    Unreachable,
    Validators,
    download,
    file_name,
    shown_url,
)
from tests.support.model_server import cut_off, serving_models, status

ANY = Limits(max_bytes=10**9)
CONTENT = bytes(range(256)) * 5000


@pytest.fixture
async def server():
    async with serving_models() as running:
        running.files["m.onnx"] = CONTENT
        yield running


async def fetch(url: str, folder: Path, limits: Limits = ANY, known: Validators = Validators()):  # noqa: B008
    steps: list[tuple[int, int | None]] = []
    got = await download(url, folder / "target", limits, known, lambda done, total: steps.append((done, total)))
    return got, steps


async def test_a_whole_file_comes_with_its_hash_size_and_progress(server, tmp_path):
    got, steps = await fetch(server.url("m.onnx"), tmp_path)
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert got.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert got.size_bytes == len(CONTENT)
    assert got.validators.etag
    assert steps[-1] == (len(CONTENT), len(CONTENT))


async def test_an_unchanged_file_is_not_sent_again(server, tmp_path):
    got, _ = await fetch(server.url("m.onnx"), tmp_path)
    (tmp_path / "target").unlink()
    again, _ = await fetch(server.url("m.onnx"), tmp_path, known=got.validators)
    assert again == "unchanged"
    assert not (tmp_path / "target").exists()


async def test_a_transfer_that_breaks_off_is_never_whole(server, tmp_path):
    server.behaviour["m.onnx"] = cut_off(1000, b"x" * 400)
    with pytest.raises(Unreachable, match="cut off"):
        await fetch(server.url("m.onnx"), tmp_path)


async def test_a_compressed_answer_is_taken_unpacked(server, tmp_path):
    async def squeezed(request):
        response = web.Response(body=CONTENT)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    server.behaviour["m.onnx"] = squeezed
    got, _ = await fetch(server.url("m.onnx"), tmp_path)
    assert got.sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_the_size_limit_holds_whether_or_not_a_length_is_announced(server, tmp_path):
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(50):
            await response.write(b"x" * 1000)
        return response

    server.behaviour["endless"] = endless
    for name in ("m.onnx", "endless"):
        with pytest.raises(NotFetched, match=r"limits\.model_limit_gb"):
            await fetch(server.url(name), tmp_path, Limits(max_bytes=20_000))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (404, NotFetched),
        (403, NotFetched),
        (410, NotFetched),
        (500, Unreachable),
        (503, Unreachable),
        (429, Unreachable),
    ],
)
async def test_a_refusal_says_its_status_and_whether_it_may_pass(server, tmp_path, code, kind):
    server.behaviour["m.onnx"] = status(code)
    with pytest.raises(NotFetched, match=f"HTTP {code}") as caught:
        await fetch(server.url("m.onnx"), tmp_path)
    assert type(caught.value) is kind


async def test_an_empty_file_is_no_model(server, tmp_path):
    server.files["m.onnx"] = b""
    with pytest.raises(NotFetched, match="empty"):
        await fetch(server.url("m.onnx"), tmp_path)


async def test_three_redirects_are_followed_and_a_fourth_is_not(server, tmp_path):
    for step in range(4):
        server.behaviour[f"hop{step}"] = status(302, Location=f"hop{step + 1}" if step < 3 else "/m.onnx")
    got, _ = await fetch(server.url("hop1"), tmp_path)
    assert got.size_bytes == len(CONTENT)
    with pytest.raises(NotFetched, match="more than 3 redirects"):
        await fetch(server.url("hop0"), tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/m",
        "http://[::ffff:169.254.169.254]/m",
        "http://0xa9fea9fe/m",
    ],
)
async def test_a_redirect_into_the_link_local_net_is_refused_by_the_address_it_reaches(server, tmp_path, place):
    server.behaviour["trap"] = status(307, Location=place)
    with pytest.raises(NotFetched, match="link-local") as caught:
        await fetch(server.url("trap"), tmp_path)
    assert not isinstance(caught.value, Unreachable)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "0x7f000001"])
async def test_private_addresses_are_refused_by_policy_however_they_are_spelt(server, tmp_path, host):
    url = server.url("m.onnx").replace("127.0.0.1", host)
    with pytest.raises(NotFetched, match="private address"):
        await fetch(url, tmp_path, Limits(max_bytes=10**9, private_addresses=False))
    assert server.requests == []


async def test_the_orchestrators_own_origin_is_open_in_spite_of_the_policy(server, tmp_path):
    limits = Limits(max_bytes=10**9, private_addresses=False, own_origin=server.origin)
    got, _ = await fetch(server.url("m.onnx"), tmp_path, limits)
    assert got.size_bytes == len(CONTENT)
    async with serving_models() as other:
        server.behaviour["away"] = status(302, Location=other.url("m.onnx"))
        with pytest.raises(NotFetched, match="private address"):
            await fetch(server.url("away"), tmp_path, limits)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://h/m", "//", "http://[::1"])
async def test_a_redirect_to_anything_but_http_is_refused(server, tmp_path, place):
    server.behaviour["trap"] = status(302, Location=place)
    with pytest.raises(NotFetched):
        await fetch(server.url("trap"), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/m", "m.onnx", "", "http://[::1"])
async def test_only_http_and_https_are_fetched(tmp_path, url):
    with pytest.raises(NotFetched):
        await fetch(url, tmp_path)


async def test_a_refused_connection_may_pass_and_is_named(tmp_path):
    with pytest.raises(Unreachable, match=r"no connection to 127\.0\.0\.1:9 \(connection refused\)"):
        await fetch("http://127.0.0.1:9/m", tmp_path)


async def test_credentials_are_used_and_shown_to_nobody(server, tmp_path):
    url = server.url("m.onnx").replace("http://", "http://ann:s3cret@") + "?token=s3cret"
    await fetch(url, tmp_path)
    assert server.requests[0].headers["Authorization"].startswith("Basic ")
    (tmp_path / "target").unlink()
    for code in (404, 500):
        server.behaviour["m.onnx"] = status(code)
        with pytest.raises(NotFetched) as caught:
            await fetch(url, tmp_path)
        assert "s3cret" not in str(caught.value)
        assert "m.onnx" in str(caught.value)


def test_a_shown_url_holds_no_secret_and_is_not_endless():
    assert shown_url("https://ann:pw@host/a/m.onnx?sig=1#x") == "https://host/a/m.onnx"
    assert len(shown_url("http://host/" + "a" * 5000)) < 400


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/m.onnx", "m.onnx"),
        ("http://h/a/m.onnx?x=/y#z", "m.onnx"),
        ("http://h/my%20model.onnx", "my model.onnx"),
        ("http://h/a%2F..%2Fetc%2Fpasswd", "passwd"),
        ("http://h/a%5Cb.onnx", "b.onnx"),
        ("http://h/..", "model"),
        ("http://h/", "model"),
        ("http://h", "model"),
        ("http://h/%00%1b[31mred.onnx", "[31mred.onnx"),
        ("http://h/%E2%80%AExnno.onnx", "xnno.onnx"),
        ("http://h/folder.mlpackage/", "folder.mlpackage"),
    ],
)
def test_the_file_name_is_the_urls_last_segment_and_never_a_path(url, name):
    assert file_name(url) == name


def test_the_file_name_is_not_endless():
    assert len(file_name("http://h/" + "a" * 5000)) == 255
