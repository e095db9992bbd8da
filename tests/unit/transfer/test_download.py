"""Fetching one file, over real sockets."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path

import pytest
from aiohttp import web

from daemons.core.urls import model_file_name
from daemons.transfer.credential import Credential
from daemons.transfer.download import (
    Limits,
    NotFetched,
    Source,
    Unreachable,
    download,
    shown_url,
)
from daemons.transfer.partial import Partial, Validators, strong_validator
from tests.support.model_server import cut_off, serving_models, status

ANY = Limits(max_bytes=10**9)
CONTENT = bytes(range(256)) * 5000


@pytest.fixture
async def server():
    async with serving_models() as running:
        running.files["m.onnx"] = CONTENT
        yield running


async def fetch(
    url: str,
    folder: Path,
    limits: Limits = ANY,
    *,
    known: Validators | None = None,
    partial: Partial | None = None,
    credential: Credential | None = None,
):
    steps: list[tuple[int, int | None]] = []
    source = Source(url=url, credential=credential)
    partial = partial or Partial(folder / "target")
    got = await download(
        source, partial, limits, known or Validators(), lambda done, total: steps.append((done, total))
    )
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
        with pytest.raises(NotFetched, match="the limit here"):
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
    assert model_file_name(url) == name


def test_the_file_name_is_not_endless():
    assert len(model_file_name("http://h/" + "a" * 5000)) == 255


# A transfer that goes on

HASH = hashlib.sha256(CONTENT).hexdigest()
OLD = {"Last_Modified": "Wed, 01 Jan 2020 00:00:00 GMT"}


async def break_off(server, folder: Path, after_bytes: int = 500_000, **how) -> Partial:
    """The part that came of a transfer that broke off."""
    partial = Partial(folder / "target")
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", after_bytes, **how)
    with pytest.raises(Unreachable, match="cut off"):
        await fetch(server.url("m.onnx"), folder, partial=partial)
    assert 0 < partial.size_bytes <= after_bytes
    return partial


@pytest.mark.parametrize("version", [{}, OLD, {"ETag": '"a"'} | OLD])
async def test_a_transfer_that_broke_off_goes_on_where_it_ended(server, tmp_path, version):
    partial = await break_off(server, tmp_path, **version)
    came = partial.size_bytes
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT), **version)
    got, steps = await fetch(server.url("m.onnx"), tmp_path, partial=partial)
    assert server.statuses == [200, 206]
    assert server.requests[-1].headers["Range"] == f"bytes={came}-"
    assert (got.sha256, got.size_bytes) == (HASH, len(CONTENT))
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert steps[0][0] > came
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert got.validators.etag or got.validators.last_modified


async def test_a_file_that_changed_meanwhile_starts_anew(server, tmp_path):
    partial = await break_off(server, tmp_path)
    server.files["m.onnx"] = other = b"other" * 300_000
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(other))
    got, _ = await fetch(server.url("m.onnx"), tmp_path, partial=partial)
    assert server.statuses == [200, 200]
    assert got.sha256 == hashlib.sha256(other).hexdigest()
    assert (tmp_path / "target").read_bytes() == other


async def test_a_shorter_version_leaves_nothing_of_the_longer_one(server, tmp_path):
    partial = await break_off(server, tmp_path)
    del server.behaviour["m.onnx"]
    server.files["m.onnx"] = b"short"
    await fetch(server.url("m.onnx"), tmp_path, partial=partial)
    assert (tmp_path / "target").read_bytes() == b"short"


def answering(code: int, **headers: str):
    """To a request for a range, `code` with these headers and bytes that fit nowhere; the file to any other."""

    async def answer(request: web.Request) -> web.Response:
        if "Range" not in request.headers:
            return web.Response(body=CONTENT)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, headers=named, body=b"" if code == 416 else b"wrong" * 10)

    return answer


@pytest.mark.parametrize(
    ("code", "headers"),
    [
        (416, {"Content_Range": "bytes */1280000"}),
        (206, {}),
        (206, {"Content_Range": "bytes 0-49/1280000"}),
        (206, {"Content_Range": "bytes 500001-500050/1280000"}),
        (206, {"Content_Range": "lines {at}-500050/1280000"}),
        (206, {"Content_Range": "bytes {at}-500050/999"}),
        (206, {"Content_Range": "bytes {at}-500050/1280000", "ETag": '"another"'}),
        (206, {"Content_Range": "bytes {at}-500050/1280000", "Content_Encoding": "gzip"}),
    ],
)
async def test_a_rest_that_does_not_fit_is_not_taken_and_all_is_fetched_anew(server, tmp_path, code, headers):
    partial = await break_off(server, tmp_path)
    fitting = {name: value.replace("{at}", str(partial.size_bytes)) for name, value in headers.items()}
    server.behaviour["m.onnx"] = answering(code, **fitting)
    got, _ = await fetch(server.url("m.onnx"), tmp_path, partial=partial)
    assert server.statuses == [200, code, 200]
    assert got.sha256 == HASH


async def test_a_rest_that_ends_early_is_not_whole_and_can_go_on(server, tmp_path):
    partial = await break_off(server, tmp_path)
    came = partial.size_bytes

    async def some(request: web.Request) -> web.Response:
        piece = CONTENT[came : came + 1000]
        return web.Response(
            status=206, body=piece, headers={"Content-Range": f"bytes {came}-{came + 999}/{len(CONTENT)}"}
        )

    server.behaviour["m.onnx"] = some
    with pytest.raises(Unreachable, match=f"cut off in transfer: {came + 1000:,} of {len(CONTENT):,}"):
        await fetch(server.url("m.onnx"), tmp_path, partial=partial)
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT))
    got, _ = await fetch(server.url("m.onnx"), tmp_path, partial=partial)
    assert got.sha256 == HASH


@pytest.mark.parametrize("version", [{"ETag": 'W/"weak"'}, {"ETag": 'W/"weak"'} | OLD, {"X_Version": "1"}])
async def test_what_no_strong_validator_vouches_for_starts_anew(server, tmp_path, version):
    partial = await break_off(server, tmp_path, **version)
    assert not partial.can_go_on
    await fetch_all_of(server, tmp_path, partial)
    assert "Range" not in server.requests[-1].headers


async def fetch_all_of(server, folder: Path, partial: Partial) -> None:
    server.behaviour.clear()
    got, _ = await fetch(server.url("m.onnx"), folder, partial=partial)
    assert got.sha256 == HASH


async def test_the_size_limit_holds_for_the_whole_and_not_for_each_part(server, tmp_path):
    partial = await break_off(server, tmp_path)
    came = partial.size_bytes
    server.files["m.onnx"] = CONTENT
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT))
    with pytest.raises(NotFetched, match="the limit here"):
        await fetch(server.url("m.onnx"), tmp_path, Limits(max_bytes=len(CONTENT) - 1), partial=partial)
    assert partial.size_bytes == came


async def test_a_part_that_nobody_asked_for_is_not_the_whole(server, tmp_path):
    server.behaviour["m.onnx"] = status(206, Content_Range="bytes 0-0/5")
    with pytest.raises(NotFetched, match="HTTP 206"):
        await fetch(server.url("m.onnx"), tmp_path)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": 'W/"a"'}, None),
        ({"ETag": 'W/"a"', "Last-Modified": "x"}, None),
        ({}, None),
        ({"Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT"}, None),
        ({"Last-Modified": "never", "Date": "Wed, 01 Jan 2020 00:00:01 GMT"}, None),
        ({"Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT", "Date": "Wed, 01 Jan 2020 00:00:00 GMT"}, None),
        (
            {"Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT", "Date": "Wed, 01 Jan 2020 00:00:01 GMT"},
            "Wed, 01 Jan 2020 00:00:00 GMT",
        ),
    ],
)
def test_only_a_strong_validator_stands_for_the_very_bytes(headers, validator):
    assert strong_validator(headers) == validator


# Credentials

LAB = Credential("lab", frozenset({"127.0.0.1"}), {"Authorization": "Bearer s3cret"})


def shown_authorization(server) -> list[str | None]:
    return [request.headers.get("Authorization") for request in server.requests]


async def test_headers_are_sent_to_their_host_and_after_a_redirect_inside_it(server, tmp_path):
    server.behaviour["hop"] = status(302, Location="/m.onnx")
    await fetch(server.url("hop"), tmp_path, credential=LAB)
    assert shown_authorization(server) == ["Bearer s3cret"] * 2


async def test_headers_are_sent_with_conditional_requests_and_those_for_a_rest(server, tmp_path):
    partial = Partial(tmp_path / "target")
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", 500_000)
    with pytest.raises(Unreachable):
        await fetch(server.url("m.onnx"), tmp_path, partial=partial, credential=LAB)
    server.behaviour["m.onnx"] = server.breaking_off("m.onnx", len(CONTENT))
    got, _ = await fetch(server.url("m.onnx"), tmp_path, partial=partial, credential=LAB)
    server.behaviour.clear()
    await fetch(server.url("m.onnx"), tmp_path, known=got.validators, credential=LAB)
    assert server.statuses == [200, 206, 304]
    assert shown_authorization(server) == ["Bearer s3cret"] * 3


async def test_headers_are_never_sent_after_a_redirect_to_another_place_nor_on_the_way_back(server, tmp_path):
    everywhere = Credential("lab", frozenset({"127.0.0.1", "localhost"}), LAB.headers)
    async with serving_models() as other:
        for away in (
            other.origin,
            other.origin.replace("127.0.0.1", "localhost"),
            server.origin.replace("127.0.0.1", "localhost"),
        ):
            server.requests.clear()
            server.behaviour["away"] = status(302, Location=f"{away}/back")
            other.behaviour["back"] = server.behaviour["back"] = status(302, Location=server.url("m.onnx"))
            await fetch(server.url("away"), tmp_path, credential=everywhere)
            assert server.requests[0].headers["Authorization"] == "Bearer s3cret"
            assert [seen for seen in shown_authorization(server)[1:] + shown_authorization(other) if seen] == []


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_headers_for_other_hosts_stay_here_and_a_refusal_says_so(server, tmp_path, code):
    server.behaviour["m.onnx"] = status(code)
    elsewhere = Credential("lab", frozenset({"example.org"}), LAB.headers)
    with pytest.raises(NotFetched, match=rf"HTTP {code}.*credentials lab were not sent: this host is none of theirs"):
        await fetch(server.url("m.onnx"), tmp_path, credential=elsewhere)
    assert shown_authorization(server) == [None]


async def test_no_error_holds_the_headers(server, tmp_path, caplog):
    async def nonsense(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"this is no HTTP\r\n\r\n")
        request.transport.close()
        return web.Response()

    for trouble in (
        status(401),
        status(500),
        cut_off(5000, b"x"),
        nonsense,
        status(302, Location="http://127.0.0.1:9/"),
    ):
        server.behaviour["m.onnx"] = trouble
        with pytest.raises(NotFetched) as caught:
            await fetch(server.url("m.onnx"), tmp_path, credential=LAB)
        assert "s3cret" not in repr(caught.value)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__cause__ is None
    assert "s3cret" not in caplog.text


async def test_a_password_in_the_url_and_credentials_by_name_exclude_each_other(server, tmp_path):
    with pytest.raises(NotFetched, match="remove one") as caught:
        await fetch(server.url("m.onnx").replace("//", "//ann:pw1@"), tmp_path, credential=LAB)
    assert "pw1" not in str(caught.value)
    assert server.requests == []
