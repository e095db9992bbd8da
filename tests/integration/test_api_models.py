"""Models that the orchestrator keeps, over real HTTP: uploaded, found, downloaded, removed."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import itertools
import json
import os
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import yarl

from daemons.core.errors import StoreUnavailable
from daemons.core.settings import KeptModelSettings
from daemons.orchestrator import daemon
from daemons.orchestrator.api import app, uploading
from daemons.orchestrator.modelstore import receiving, uploads
from daemons.orchestrator.modelstore.room import Disk
from daemons.orchestrator.modelstore.store import ALWAYS
from daemons.orchestrator.modelstore.uploads import KEPT_FOR_S
from tests.support.orchestrator import orchestrating
from tests.support.store import CPU, comes_true

CONTENT = bytes(range(256)) * 20_000
"""Five megabytes: several pieces of whatever size anything is read in."""
SMALL = b"\x08\x07 a small model"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def base64_sha(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


async def put(api, name, content, **headers):
    return await api("PUT", f"/models/{name}", content, **{"Content-Type": "application/octet-stream"} | headers)


async def get(api, path, **headers):
    """Status, headers and bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.get(f"{api.url}/api/models/{path}", headers=named) as answer:
        return answer.status, answer.headers, await answer.read()


async def listed(api):
    return {model["name"]: model for model in (await api("GET", "/models")).document["models"]}


def left(api):
    """Every file in the folder but its lock and its mark, by its place."""
    root = api.parts.models.folder.root
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(str(path) for path in files if str(path) not in ("lock", daemon.MODELS_MARK))


async def test_what_is_uploaded_is_listed_and_comes_back_byte_for_byte(api):
    answer = await put(api, "net.onnx", CONTENT)
    assert answer.status == 201
    assert answer.headers["ETag"] == f'"{sha(CONTENT)}"'
    assert answer.headers["Location"] == "/api/models/net.onnx"
    model = answer.document
    assert (model["name"], model["sha256"], model["size_bytes"]) == ("net.onnx", sha(CONTENT), len(CONTENT))
    assert model["model_url"] == "model:net.onnx"
    assert await listed(api) == {"net.onnx": model}
    for path in ("net.onnx", f"sha256/{sha(CONTENT)}", f"sha256/{sha(CONTENT).upper()}"):
        status, headers, content = await get(api, path)
        assert (status, content) == (200, CONTENT)
        assert headers["ETag"] == f'"{sha(CONTENT)}"'
        assert headers["Repr-Digest"] == f"sha-256=:{base64_sha(CONTENT)}:"
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert (await get(api, "net.onnx"))[1]["Content-Disposition"] == 'attachment; filename="net.onnx"'


async def test_a_body_without_a_length_is_taken_as_well(api):
    async def pieces():
        for start in range(0, len(CONTENT), 100_001):
            yield CONTENT[start : start + 100_001]

    async with api.session.put(f"{api.url}/api/models/net.onnx", data=pieces()) as answer:
        assert answer.request_info.headers.get("Transfer-Encoding") == "chunked"
        assert answer.status == 201
    assert (await get(api, "net.onnx"))[2] == CONTENT


async def test_the_same_bytes_again_change_nothing_and_others_are_a_new_version(api):
    first = (await put(api, "net.onnx", b"one")).document
    again = await put(api, "net.onnx", b"one")
    assert (again.status, again.document) == (200, first)
    second = await put(api, "net.onnx", b"two")
    assert second.status == 201
    versions = second.document["versions"]
    assert [(one["sha256"], one["is_kept"]) for one in versions] == [(sha(b"two"), True), (sha(b"one"), True)]
    assert (await get(api, "net.onnx"))[2] == b"two"
    assert (await get(api, f"sha256/{sha(b'one')}"))[2] == b"one"


async def test_two_names_of_the_same_bytes_share_them(api):
    await put(api, "a.onnx", SMALL)
    await put(api, "b.onnx", SMALL)
    await put(api, "B.onnx", b"another case is another name")
    assert sorted(await listed(api)) == ["B.onnx", "a.onnx", "b.onnx"]
    assert (await api("DELETE", "/models/a.onnx")).document["freed_bytes"] == 0
    assert (await get(api, "b.onnx"))[2] == SMALL


async def test_the_list_can_be_had_in_pages(api):
    for name in ("c", "a", "b"):
        await put(api, name, name.encode())
    first = (await api("GET", "/models?limit=2")).document
    assert [model["name"] for model in first["models"]] == ["a", "b"]
    rest = (await api("GET", f"/models?limit=2&cursor={first['next_cursor']}")).document
    assert [model["name"] for model in rest["models"]] == ["c"]
    assert "next_cursor" not in rest
    assert rest["used_bytes"] == 3


async def test_a_reset_of_the_store_leaves_models_alone(api):
    await put(api, "net.onnx", SMALL)
    await api("POST", "/reset", {})
    assert (await get(api, "net.onnx"))[2] == SMALL


async def test_two_orchestrators_over_one_folder_know_the_same_models(store, tmp_path):
    async with orchestrating(store, tmp_path / "a") as one, orchestrating(store, tmp_path / "b") as other:
        await put(one, "net.onnx", SMALL)
        assert (await get(other, "net.onnx"))[2] == SMALL
        await other("DELETE", "/models/net.onnx")
        assert await listed(one) == {}


# Reading


async def test_a_part_can_be_had(api):
    await put(api, "net.onnx", CONTENT)
    for asked, start, end in (
        ("bytes=10-19", 10, 20),
        ("bytes=4000000-", 4_000_000, len(CONTENT)),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT)),
        (f"bytes=0-{10**15}", 0, len(CONTENT)),
    ):
        status, headers, content = await get(api, "net.onnx", Range=asked, If_Range=f'"{sha(CONTENT)}"')
        assert (status, content) == (206, CONTENT[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=a-b", "lines=1-2", "bytes=1-2,4-5", "bytes=-", "-5"])
async def test_a_range_that_makes_no_sense_is_no_range(api, asked):
    await put(api, "net.onnx", SMALL)
    assert (await get(api, "net.onnx", Range=asked))[::2] == (200, SMALL)


async def test_a_part_of_another_version_is_the_whole_of_this_one(api):
    await put(api, "net.onnx", SMALL)
    assert (await get(api, "net.onnx", Range="bytes=1-2", If_Range='"another"'))[::2] == (200, SMALL)


@pytest.mark.parametrize("asked", ["bytes=100-200", "bytes=16-", "bytes=-0", "bytes=5-2"])
async def test_a_range_of_nothing_is_416_and_says_how_much_there_is(api, asked):
    await put(api, "net.onnx", SMALL)
    status, headers, content = await get(api, "net.onnx", Range=asked)
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(SMALL)}")
    assert json.loads(content)["code"] == "no_such_range"


async def test_what_is_known_already_is_not_sent_again(api):
    await put(api, "net.onnx", SMALL)
    for tags in (f'"{sha(SMALL)}"', f'"x", W/"{sha(SMALL)}"', "*"):
        status, headers, content = await get(api, "net.onnx", If_None_Match=tags)
        assert (status, content, headers["ETag"]) == (304, b"", f'"{sha(SMALL)}"')
    assert (await get(api, "net.onnx", If_None_Match='"other"'))[0] == 200
    assert (await get(api, "net.onnx", If_Match='"other"'))[0] == 412


async def test_head_tells_all_but_the_bytes(api):
    await put(api, "net.onnx", CONTENT)
    for path in ("net.onnx", f"sha256/{sha(CONTENT)}"):
        async with api.session.head(f"{api.url}/api/models/{path}", headers={"Range": "bytes=0-1"}) as answer:
            assert (answer.status, answer.content_length) == (200, len(CONTENT))
            assert answer.headers["ETag"] == f'"{sha(CONTENT)}"'


async def test_what_is_not_there_is_404_and_names_what_may_be_meant(api):
    await put(api, "resnet50.onnx", SMALL)
    answer = await api("GET", "/models/resnet5.onnx")
    assert answer.status == 404
    assert "did you mean resnet50.onnx" in answer.document["error"]
    for path in (f"sha256/{'0' * 64}", "sha256/short"):
        assert (await api("GET", f"/models/{path}")).status == 404
    assert (await api("DELETE", "/models/none")).status == 404


async def test_a_reader_that_hangs_up_is_no_mistake_of_ours(api, monkeypatch):
    complaints = []
    monkeypatch.setattr(app.log, "exception", lambda *_, **__: complaints.append(1), raising=False)
    await put(api, "net.onnx", CONTENT * 10)
    for _ in range(5):
        async with raw(api) as (reader, writer):
            writer.write(b"GET /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readexactly(1000)
    assert (await get(api, "net.onnx"))[2] == CONTENT * 10
    assert complaints == []


# Conditions


async def test_if_none_match_star_refuses_to_replace(api):
    assert (await put(api, "net.onnx", b"one", If_None_Match="*")).status == 201
    answer = await put(api, "net.onnx", b"two", If_None_Match="*")
    assert (answer.status, answer.document["code"]) == (412, "precondition_failed")
    assert sha(b"one") in answer.document["error"]
    assert (await get(api, "net.onnx"))[2] == b"one"


async def test_a_condition_is_looked_at_before_the_body_is_asked_for(api):
    await put(api, "net.onnx", b"one")
    async with raw(api) as (reader, writer):
        head = "PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nIf-None-Match: *"
        writer.write(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"412"


async def test_a_condition_holds_until_the_last_byte_has_come(api):
    """Somebody else takes the name meanwhile."""
    async with raw(api) as (reader, writer):
        head = "PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nIf-None-Match: *"
        writer.write(f"{head}\r\n\r\nbytes".encode())

        async def has_begun() -> bool:
            return (await state_of(api))["began_at"] is not None

        await comes_true(has_begun, "the upload to begin")
        await put(api, "other.onnx", SMALL)
        await api.parts.models.name_content(sha(SMALL), "net.onnx", ALWAYS)
        writer.write(b"more")
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"412"
    assert (await get(api, "net.onnx"))[2] == SMALL
    assert (await state_of(api))["began_at"] is None


async def test_if_match_replaces_and_removes_nothing_but_what_was_meant(api):
    assert (await put(api, "net.onnx", b"one", If_Match=f'"{sha(b"one")}"')).status == 412
    await put(api, "net.onnx", b"one")
    assert (await put(api, "net.onnx", b"two", If_Match=f'"{sha(b"other")}"')).status == 412
    assert (await put(api, "net.onnx", b"two", If_Match=f'"{sha(b"one")}"')).status == 201
    assert (await api("DELETE", "/models/net.onnx", If_Match=f'"{sha(b"one")}"')).status == 412
    assert (await api("DELETE", "/models/net.onnx", If_Match="*")).status == 200


@pytest.mark.parametrize("header", ["If_Match", "If_None_Match"])
async def test_a_condition_that_can_not_be_read_is_refused_and_not_ignored(api, header):
    answer = await put(api, "net.onnx", SMALL, **{header: "unquoted"})
    assert (answer.status, answer.document["field"]) == (400, header.replace("_", "-"))


# Hashes


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X_Content_SHA256", sha(SMALL)),
        ("X_Content_SHA256", sha(SMALL).upper()),
        ("Repr_Digest", f"sha-256=:{base64_sha(SMALL)}:"),
        ("Repr_Digest", f"sha-512=:AAAA:, sha-256=:{base64_sha(SMALL)}:"),
        ("Digest", f"SHA-256={base64_sha(SMALL)}"),
    ],
)
async def test_the_right_hash_is_taken_however_it_is_said_and_a_wrong_one_leaves_nothing(api, header, value):
    answer = await put(api, "net.onnx", b"other bytes", **{header: value})
    assert (answer.status, answer.document["code"]) == (422, "wrong_hash")
    assert sha(SMALL) in answer.document["error"]
    assert sha(b"other bytes") in answer.document["error"]
    assert left(api) == []
    assert (await put(api, "net.onnx", SMALL, **{header: value})).status == 201


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X_Content_SHA256", "abc"),
        ("X_Content_SHA256", base64_sha(SMALL)),
        ("Repr_Digest", "sha-512=:AAAA:"),
        ("Repr_Digest", "sha-256=:not base64:"),
        ("Repr_Digest", f"sha-256=:{base64.b64encode(b'short').decode()}:"),
        ("Digest", "md5=AAAA"),
    ],
)
async def test_a_hash_that_can_not_be_checked_is_refused_and_not_ignored(api, header, value):
    answer = await put(api, "net.onnx", SMALL, **{header: value})
    assert (answer.status, answer.document["field"]) == (400, header.replace("_", "-"))
    assert left(api) == []


async def test_two_hashes_that_differ_are_refused(api):
    answer = await put(api, "m", SMALL, X_Content_SHA256=sha(SMALL), Repr_Digest=f"sha-256=:{base64_sha(b'x')}:")
    assert answer.status == 400


async def test_what_is_kept_gets_another_name_without_its_bytes(api):
    await put(api, "a.onnx", SMALL)
    state = (await api("GET", f"/models/b.onnx/upload?size_bytes=17&sha256={sha(SMALL)}")).document
    assert state["is_kept"] is True
    assert (await put(api, "b.onnx", b"", X_Content_SHA256=sha(SMALL))).status == 201
    assert (await get(api, "b.onnx"))[2] == SMALL
    for header in ({}, {"X_Content_SHA256": sha(b"unknown")}):
        answer = await put(api, "c.onnx", b"", **header)
        assert (answer.status, "no body" in answer.document["error"]) == (400, True)


# What breaks off


@asynccontextmanager
async def raw(api):
    """A bare connection to the API, that this process hangs up at the end of the block."""
    parts = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def state_of(api, name="net.onnx"):
    return (await api("GET", f"/models/{name}/upload")).document


async def send_and_hang_up(api, content, announced, *, before=0, headers=()):
    """An upload that breaks off after more than a piece of it has come; how many bytes are kept."""
    lines = ["PUT /api/models/net.onnx HTTP/1.1", "Host: localhost", f"Content-Length: {announced}", *headers, "", ""]
    async with raw(api) as (_, writer):
        writer.write("\r\n".join(lines).encode() + content)
        await writer.drain()

        async def has_begun() -> bool:
            return (await state_of(api))["offset"] > before

        await comes_true(has_begun, "the upload to begin")

    async def is_over() -> bool:
        return api.parts.receiver.under_way == 0

    await comes_true(is_over, "the server to notice that the upload broke off")
    return (await state_of(api))["offset"]


async def send_piece(api, content, total, name="net.onnx", **headers):
    """The beginning of an upload that is to be continued."""
    answer = await put(api, name, content, Content_Range=f"bytes 0-{len(content) - 1}/{total}", **headers)
    assert (answer.status, answer.document["offset"]) == (202, len(content))


async def test_an_upload_that_breaks_off_is_seen_by_nobody_and_goes_on_where_it_ended(api):
    whole, half, digest = len(CONTENT), len(CONTENT) // 2, sha(CONTENT)
    came = await send_and_hang_up(api, CONTENT[:half], whole)
    assert 0 < came <= half
    assert await listed(api) == {}
    assert (await get(api, "net.onnx"))[0] == 404
    state = await state_of(api)
    assert (state["offset"], state["total_bytes"], state["sha256"]) == (came, whole, None)
    headers = [f"Content-Range: bytes {came}-{whole - 1}/{whole}", f"X-Content-SHA256: {digest}"]
    came = await send_and_hang_up(api, CONTENT[came:-1], whole - came, before=came, headers=headers)
    span = f"bytes {came}-{whole - 1}/{whole}"
    answer = await put(api, "net.onnx", CONTENT[came:], Content_Range=span, X_Content_SHA256=digest)
    assert (answer.status, answer.document["sha256"]) == (201, digest)
    assert (await get(api, "net.onnx"))[2] == CONTENT
    assert (await state_of(api))["began_at"] is None
    assert len(left(api)) == 2


async def test_another_orchestrator_goes_on_with_it(store, tmp_path):
    digest, whole = sha(CONTENT), len(CONTENT)
    async with orchestrating(store, tmp_path / "a") as one:
        await send_piece(one, CONTENT[:1000], whole)
    async with orchestrating(store, tmp_path / "b") as other:
        assert (await state_of(other))["offset"] == 1000
        span = f"bytes 1000-{whole - 1}/{whole}"
        answer = await put(other, "net.onnx", CONTENT[1000:], Content_Range=span, X_Content_SHA256=digest)
        assert answer.status == 201


async def test_a_model_can_be_sent_in_pieces(api):
    digest, whole = sha(CONTENT), len(CONTENT)
    cuts = [0, 1, 2_000_000, whole]
    for start, end in itertools.pairwise(cuts):
        span = f"bytes {start}-{end - 1}/{whole}"
        answer = await put(api, "net.onnx", CONTENT[start:end], Content_Range=span, X_Content_SHA256=digest)
        if end < whole:
            assert (answer.status, answer.headers["Upload-Offset"]) == (202, str(end))
            assert answer.document["offset"] == end
            assert await listed(api) == {}
    assert answer.status == 201
    assert (await get(api, "net.onnx"))[2] == CONTENT


async def test_an_upload_whose_last_byte_came_before_a_crash_is_concluded_without_sending_any_again(api):
    await send_piece(api, CONTENT[:-1], len(CONTENT))
    path = api.parts.models.uploads._path("net.onnx")
    path.write_bytes(CONTENT)
    answer = await put(api, "net.onnx", b"", Content_Range=f"bytes */{len(CONTENT)}", X_Content_SHA256=sha(CONTENT))
    assert answer.status == 201
    assert (await get(api, "net.onnx"))[2] == CONTENT
    answer = await put(api, "net.onnx", b"", Content_Range="bytes */17", X_Content_SHA256=sha(SMALL))
    assert (answer.status, answer.headers["Upload-Offset"]) == (409, "0")


@pytest.mark.parametrize("start", [999, 1001])
async def test_a_wrong_offset_is_refused_with_the_right_one_and_harms_nothing(api, start):
    whole, digest = len(CONTENT), sha(CONTENT)
    await send_piece(api, CONTENT[:1000], whole)
    span = f"bytes {start}-{whole - 1}/{whole}"
    answer = await put(api, "net.onnx", CONTENT[start:], Content_Range=span, X_Content_SHA256=digest)
    assert (answer.status, answer.headers["Upload-Offset"]) == (409, "1000")
    assert "bytes 1000-" in answer.document["error"]
    span = f"bytes 1000-{whole - 1}/{whole}"
    answer = await put(api, "net.onnx", CONTENT[1000:], Content_Range=span, X_Content_SHA256=digest)
    assert answer.status == 201


async def test_what_nobody_has_begun_can_not_be_continued(api):
    answer = await put(api, "m", b"xy", Content_Range="bytes 5-6/9", X_Content_SHA256=sha(SMALL))
    assert (answer.status, answer.headers["Upload-Offset"]) == (409, "0")
    assert left(api) == []


async def test_pieces_of_two_models_are_never_taken_for_one(api):
    """Whoever continues says the whole's hash: without it refused at once, with another one's at the end."""
    whole = len(CONTENT)
    await send_piece(api, CONTENT[:1000], whole)
    span = f"bytes 1000-{whole - 1}/{whole}"
    answer = await put(api, "net.onnx", CONTENT[1000:], Content_Range=span)
    assert (answer.status, answer.document["field"]) == (400, "X-Content-SHA256")
    other = b"x" + CONTENT[1:]
    answer = await put(api, "net.onnx", other[1000:], Content_Range=span, X_Content_SHA256=sha(other))
    assert (answer.status, answer.document["code"]) == (422, "wrong_hash")
    assert left(api) == []


async def test_an_upload_of_another_size_or_hash_is_not_continued(api):
    whole, digest = len(CONTENT), sha(CONTENT)
    await send_piece(api, CONTENT[:1000], whole, X_Content_SHA256=digest)
    for total, wanted in ((whole + 1, digest), (whole, sha(b"other"))):
        span = f"bytes 1000-{total - 1}/{total}"
        content = b"x" * (total - 1000)
        answer = await put(api, "net.onnx", content, Content_Range=span, X_Content_SHA256=wanted)
        assert answer.status == 409
        assert "another file" in answer.document["error"]


async def test_a_piece_without_a_length_is_as_long_as_it_says_or_is_refused(api):
    for size, status in ((500, 400), (2000, 400), (1000, 202)):
        headers = {"Content-Range": "bytes 0-999/5000"}
        async with api.session.put(f"{api.url}/api/models/m", data=chunked(b"x" * size), headers=headers) as answer:
            assert (answer.status, (await state_of(api, "m"))["offset"]) == (status, size if size < 2000 else 0)


async def test_an_upload_without_a_range_begins_anew(api):
    await send_piece(api, CONTENT[:1000], len(CONTENT))
    assert (await put(api, "net.onnx", SMALL)).status == 201
    assert (await get(api, "net.onnx"))[2] == SMALL


@pytest.mark.parametrize("end", [b"", b"0\r\n", b"5\r\nab"], ids=["after a chunk", "before the last line", "inside"])
async def test_a_body_without_a_length_that_breaks_off_is_not_taken_for_whole(api, end):
    head = b"PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw(api) as (_, writer):
        writer.write(head + b"5\r\nhello\r\n" + end)
        writer.write_eof()

        async def is_over() -> bool:
            return (await state_of(api))["began_at"] is not None and api.parts.receiver.under_way == 0

        await comes_true(is_over, "the server to notice")
    assert await listed(api) == {}


async def test_an_upload_that_stalls_is_cut_off_and_can_be_continued(api, monkeypatch):
    monkeypatch.setattr(uploading, "STALL_S", 0.3)
    head = f"PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    async with raw(api) as (reader, writer):
        writer.write(head.encode() + CONTENT[:1000])
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"408"
    assert (await state_of(api))["offset"] == 1000


async def test_an_upload_that_drips_is_cut_off_and_a_slow_one_is_not(api, monkeypatch):
    """By time alone nobody is cut off who brings enough of it."""
    monkeypatch.setattr(uploading, "STALL_S", 1.0)
    head = f"PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
    async with raw(api) as (reader, writer):
        writer.write(head)
        status = asyncio.create_task(reader.readline())
        while not status.done():
            writer.write(b"x")
            await asyncio.wait([status], timeout=0.05)
        assert (await status).split()[1] == b"408"
    content = CONTENT[: 20 * uploading.LEAST_BYTES]

    async def slowly():
        for start in range(0, len(content), uploading.LEAST_BYTES):
            yield content[start : start + uploading.LEAST_BYTES]
            await asyncio.sleep(0.1)

    async with api.session.put(f"{api.url}/api/models/slow", data=slowly()) as answer:
        assert answer.status == 201


async def test_two_uploads_of_one_name_do_not_mix(api):
    head = f"PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    async with raw(api) as (reader, writer):
        writer.write(head.encode() + CONTENT[:-1])

        async def is_under_way() -> bool:
            return (await state_of(api))["offset"] > 0

        await comes_true(is_under_way, "the first upload to begin")
        answer = await put(api, "net.onnx", SMALL)
        assert (answer.status, "under way" in answer.document["error"]) == (409, True)
        writer.write(CONTENT[-1:])
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"201"
    assert (await get(api, "net.onnx"))[2] == CONTENT


async def test_no_more_uploads_than_may_be_are_taken_at_a_time(api, monkeypatch):
    monkeypatch.setattr(receiving, "MAX_AT_ONCE", 1)
    async with raw(api) as (_, writer):
        writer.write(b"PUT /api/models/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")

        async def is_under_way() -> bool:
            return api.parts.receiver.under_way == 1

        await comes_true(is_under_way, "the first upload to begin")
        answer = await put(api, "b", SMALL)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_what_broke_off_is_removed_after_a_day_and_what_goes_on_is_not(api):
    await send_piece(api, b"old", 10, "old")
    await send_piece(api, b"new", 10, "new")
    kept = api.parts.models.uploads
    day_before_last = kept._path("old").stat().st_mtime - 2 * KEPT_FOR_S
    for path in kept._folder.glob(f"{kept._path('old').stem}*"):
        os.utime(path, (day_before_last, day_before_last))
    await api.parts.upkeep.round()
    assert (await state_of(api, "old"))["began_at"] is None
    assert (await state_of(api, "new"))["offset"] == 3


# Campaigns


async def campaign_of(api, model_url="model:net.onnx", **job):
    body = {"model_url": model_url, "jobs": [{"compute_unit": CPU, **job}]}
    return await api("POST", "/campaigns", body)


async def test_a_campaign_is_about_the_bytes_that_its_model_had_when_it_was_submitted(api):
    await put(api, "net.onnx", b"one")
    campaign_id = (await campaign_of(api)).document["campaign_id"]
    await put(api, "net.onnx", b"two")
    campaign = (await api("GET", f"/campaigns/{campaign_id}")).document
    assert (campaign["model_url"], campaign["model_sha256"]) == ("model:net.onnx", sha(b"one"))
    job = await api.claim(await api.worker())
    assert (job["model_url"], job["model_sha256"]) == ("model:net.onnx", sha(b"one"))
    later = (await campaign_of(api)).document["campaign_id"]
    assert (await api("GET", f"/campaigns/{later}")).document["model_sha256"] == sha(b"two")


async def test_one_by_hash_alone_gets_the_name_that_its_bytes_have_here(api):
    await put(api, "net.onnx", b"one")
    await put(api, "net.onnx", b"two")
    campaign_id = (await campaign_of(api, f"model:sha256:{sha(b'one')}")).document["campaign_id"]
    campaign = (await api("GET", f"/campaigns/{campaign_id}")).document
    assert campaign["model_url"] == f"model:sha256:{sha(b'one')}/net.onnx"
    assert campaign["model_sha256"] == sha(b"one")
    worker = await api.worker()
    await api.report(worker, await api.claim(worker))
    row = (await api("GET", f"/jobs/{campaign_id}-job-0")).document["result"]
    assert row["FileName"] == "net.onnx"


async def test_files_of_inputs_can_be_kept_models_too_and_mean_the_same_bytes_from_then_on(api):
    await put(api, "net.onnx", SMALL)
    await put(api, "x.npz", b"one")
    campaign_id = (await campaign_of(api, inputs_url="model:x.npz")).document["campaign_id"]
    await put(api, "x.npz", b"two")
    job = (await api("GET", f"/jobs/{campaign_id}-job-0")).document["job"]
    assert job["options"]["inputs_url"] == f"model:sha256:{sha(b'one')}/x.npz"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("model:resnet5.onnx", "did you mean resnet50.onnx"),
        ("model:unlike-anything", "GET /api/models lists them"),
        (f"model:sha256:{'0' * 64}", "upload it again"),
        ("model:../etc/passwd", "letters, digits"),
    ],
)
async def test_a_campaign_of_what_is_not_kept_is_refused_and_told_what_may_be_meant(api, url, word):
    await put(api, "resnet50.onnx", SMALL)
    answer = await campaign_of(api, url)
    assert (answer.status, answer.document["field"]) == (400, "model_url")
    assert word in answer.document["error"]
    answer = await campaign_of(api, "model:resnet50.onnx", inputs_url=url)
    assert (answer.status, answer.document["field"]) == (400, "jobs[0].inputs_url")
    assert word in answer.document["error"]
    assert (await api("GET", "/campaigns")).document["count"] == 0


async def test_the_same_key_names_the_same_campaign_also_when_the_model_has_a_new_version(api):
    await put(api, "net.onnx", b"one")
    await put(api, "x.npz", b"one")
    body = {"model_url": "model:net.onnx", "jobs": [{"compute_unit": CPU, "inputs_url": "model:x.npz"}]}
    first = await api("POST", "/campaigns", body, Idempotency_Key="k")
    await put(api, "net.onnx", b"two")
    await put(api, "x.npz", b"two")
    again = await api("POST", "/campaigns", body, Idempotency_Key="k")
    assert again.document["campaign_id"] == first.document["campaign_id"]


async def test_a_model_that_an_unfinished_campaign_needs_is_not_removed(api):
    await put(api, "net.onnx", b"one")
    await put(api, "x.npz", b"inputs")
    campaign_id = (await campaign_of(api, inputs_url="model:x.npz")).document["campaign_id"]
    for name in ("net.onnx", "x.npz"):
        answer = await api("DELETE", f"/models/{name}")
        assert (answer.status, campaign_id in answer.document["error"]) == (409, True)
    await put(api, "another-name.onnx", b"one")
    assert (await api("DELETE", "/models/net.onnx")).status == 200
    assert (await get(api, f"sha256/{sha(b'one')}"))[2] == b"one"
    await api("POST", f"/campaigns/{campaign_id}/cancel", {})
    assert (await api("DELETE", "/models/x.npz")).document["freed_bytes"] == len(b"inputs")
    assert (await api("DELETE", "/models/another-name.onnx")).document["freed_bytes"] == 3
    assert left(api) == []


async def test_an_older_version_stays_for_as_long_as_a_campaign_needs_it(api):
    await put(api, "net.onnx", b"one")
    campaign_id = (await campaign_of(api)).document["campaign_id"]
    await put(api, "net.onnx", b"two")
    answer = await api("DELETE", "/models/net.onnx")
    assert (answer.status, answer.document["freed_bytes"]) == (200, 3)
    assert "stays" in answer.document["message"]
    assert (await get(api, f"sha256/{sha(b'one')}"))[2] == b"one"
    assert (await get(api, f"sha256/{sha(b'two')}"))[0] == 404
    assert (await api("GET", f"/campaigns/{campaign_id}")).document["status"] == "running"


async def test_nothing_is_removed_between_the_moment_a_campaign_finds_it_and_its_being_recorded(api, monkeypatch):
    """The removal waits for the submission, and then finds the campaign."""
    await put(api, "net.onnx", SMALL)
    submit = api.parts.store.campaigns.submit
    removing = []

    async def late(*args, **kwargs):
        removing.append(asyncio.create_task(api("DELETE", "/models/net.onnx")))
        await asyncio.wait(removing, timeout=0.3)
        return await submit(*args, **kwargs)

    monkeypatch.setattr(api.parts.store.campaigns, "submit", late)
    assert (await campaign_of(api)).status == 201
    assert (await removing[0]).status == 409


# Room


@asynccontextmanager
async def keeping(store, tmp_path, *, limit_kb, store_limit_kb):
    settings = KeptModelSettings(limit_gb=limit_kb / 10**6, store_limit_gb=store_limit_kb / 10**6)
    async with orchestrating(store, tmp_path / "outputs", models=settings) as api:
        yield api


def chunked(content):
    async def pieces():
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    return pieces()


async def put_chunked(api, name, content):
    async with api.session.put(f"{api.url}/api/models/{name}", data=chunked(content)) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_model_beyond_the_limit_is_413_and_leaves_nothing(store, tmp_path):
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=100) as api:
        answer = await put(api, "net.onnx", b"x" * 10_001)
        assert (answer.status, "models.limit_gb" in answer.document["error"]) == (413, True)
        answer = await put(api, "net.onnx", b"xy", Content_Range="bytes 0-1/10001")
        assert answer.status == 413
        status, problem = await put_chunked(api, "net.onnx", b"x" * 10_001)
        assert (status, problem["code"]) == (413, "too_large")
        assert (await api("GET", "/models/net.onnx/upload?size_bytes=10001")).status == 413
        assert left(api) == []
        assert (await put(api, "net.onnx", b"x" * 10_000)).status == 201


async def test_what_nobody_needs_makes_room_the_least_recently_used_first(store, tmp_path):
    """Named models and what campaigns need never go; older versions do."""
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=40) as api:
        contents = {name: name.encode() * 9000 for name in "abcdef"}
        await put(api, "needed", contents["a"])
        await campaign_of(api, "model:needed")
        for name in "bcd":
            await put(api, "versions", contents[name])
        # From now on a is needed by its campaign alone, b and c by nobody.
        await put(api, "needed", b"", X_Content_SHA256=sha(contents["d"]))
        assert (await get(api, f"sha256/{sha(contents['b'])}"))[0] == 200  # b is used later than c
        assert (await put(api, "new", contents["e"])).status == 201
        kept = {name for name in contents if (await get(api, f"sha256/{sha(contents[name])}"))[0] == 200}
        assert kept == {"a", "b", "d", "e"}
        versions = (await listed(api))["versions"]["versions"]
        assert [one["is_kept"] for one in versions] == [True, False, True]
        assert (await put(api, "newer", contents["f"])).status == 201
        answer = await put(api, "newest", b"g" * 9000)
        assert (answer.status, answer.document["code"]) == (507, "no_room")
        assert "models.store_limit_gb" in answer.document["error"]
        kept = {name for name in contents if (await get(api, f"sha256/{sha(contents[name])}"))[0] == 200}
        assert kept == {"a", "d", "e", "f"}


async def test_room_that_would_not_be_enough_costs_nobody_anything(store, tmp_path):
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=10) as api:
        await put(api, "net", b"a" * 3000)
        await put(api, "net", b"b" * 3000)
        assert (await put(api, "other", b"c" * 8000)).status == 507
        assert (await get(api, f"sha256/{sha(b'a' * 3000)}"))[0] == 200
        assert (await put(api, "other", b"c" * 7000)).status == 201
        assert (await get(api, f"sha256/{sha(b'a' * 3000)}"))[0] == 404


async def test_a_full_disk_says_so_before_the_upload(api, monkeypatch):
    monkeypatch.setattr(api.parts.models.room, "_disk", lambda _folder: Disk(10**9, 60 * 10**6))
    answer = await api("GET", "/models/net.onnx/upload?size_bytes=20000000")
    assert answer.status == 507
    assert "needs 20 MB, and 10 MB can be taken from the orchestrator's disk" in answer.document["error"]
    async with raw(api) as (reader, writer):
        writer.write(
            b"PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"507"
    assert left(api) == []
    assert (await api("GET", "/models/net.onnx/upload?size_bytes=10000000")).status == 200


async def test_who_waits_to_be_asked_for_the_body_is_asked_when_it_is_wanted(api):
    async with raw(api) as (reader, writer):
        head = f"PUT /api/models/m HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(SMALL)}\r\nExpect: 100-continue"
        writer.write(f"{head}\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"100"
        assert (await asyncio.wait_for(reader.readline(), 20)) == b"\r\n"
        writer.write(SMALL)
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"201"


async def test_two_uploads_do_not_count_on_the_same_room(store, tmp_path):
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=15) as api, raw(api) as (_, writer):
        writer.write(b"PUT /api/models/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000\r\n\r\n")

        async def is_under_way() -> bool:
            return (await state_of(api, "a"))["began_at"] is not None

        await comes_true(is_under_way, "the first upload to begin")
        assert (await put(api, "b", b"x" * 8000)).status == 507
        assert (await put(api, "b", b"x" * 7000)).status == 201


async def test_a_disk_that_fills_in_the_middle_says_so_and_nothing_is_left(api, monkeypatch):
    append = uploads.Upload.append

    def full(upload, chunk):
        if upload.size_bytes > 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(upload, chunk)

    monkeypatch.setattr(uploads.Upload, "append", full)
    answer = await put(api, "net.onnx", CONTENT)
    assert (answer.status, answer.document["code"]) == (507, "no_room")
    assert "was full after 1" in answer.document["error"]
    assert left(api) == []
    monkeypatch.undo()
    assert (await put(api, "net.onnx", CONTENT)).status == 201


async def test_two_who_make_room_at_once_do_not_make_it_twice(store, tmp_path):
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=20) as api:
        for content in (b"a" * 4000, b"b" * 4000, b"c" * 4000):
            await put(api, "net", content)
        await asyncio.gather(put(api, "one", b"d" * 5000), put(api, "two", b"e" * 5000))
        assert (await api("GET", "/models")).document["used_bytes"] == 18_000


async def test_a_limit_that_was_lowered_is_kept_by_the_next_round(store, tmp_path):
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=40) as api:
        for content in (b"a" * 9000, b"b" * 9000, b"c" * 9000):
            await put(api, "net", content)
    async with keeping(store, tmp_path, limit_kb=10, store_limit_kb=20) as api:
        await api.parts.upkeep.round()
        assert (await api("GET", "/models")).document["used_bytes"] == 18_000
        assert (await get(api, "net"))[2] == b"c" * 9000


# Input that is meant badly, or sent badly


@pytest.mark.parametrize(
    "name",
    [
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        ".hidden",
        "a%2Fb",
        "a%5Cb",
        "a%00b",
        "a%20b",
        "x" * 201,
        "%F0%9F%98",
    ],
)
async def test_a_name_that_could_be_a_path_is_refused_with_a_sentence(api, name):
    for method, path in (("PUT", ""), ("GET", ""), ("DELETE", ""), ("GET", "/upload")):
        async with api.session.request(
            method, yarl.URL(f"{api.url}/api/models/{name}{path}", encoded=True), data=b"x" if method == "PUT" else None
        ) as answer:
            problem = json.loads(await answer.read())
            assert (answer.status, len(problem["error"]) > 10) == (400, True), (method, problem)
    assert left(api) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Range": "bytes 0-16"}, 400),
        ({"Content_Range": "bytes 0-16/*"}, 400),
        ({"Content_Range": "bytes 5-2/17"}, 400),
        ({"Content_Range": "bytes 0-17/17"}, 400),
        ({"Content_Range": "bytes 0-3/17"}, 400),
        ({"Content_Range": "lines 0-16/17"}, 400),
        ({"Content_Range": f"bytes 0-{'9' * 30}/{'9' * 30}"}, 400),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
async def test_headers_that_make_no_sense_are_refused_with_a_sentence(api, headers, status):
    answer = await put(api, "net.onnx", SMALL, **headers)
    assert (answer.status, answer.is_problem) == (status, True)
    assert left(api) == []


async def test_a_malformed_body_is_400(api):
    head = b"PUT /api/models/net.onnx HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw(api) as (reader, writer):
        writer.write(head + b"not-a-size\r\n")
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"400"


async def test_models_are_served_while_redis_is_away_and_what_needs_it_says_so(api, monkeypatch):
    async def away(*_):
        raise StoreUnavailable("Redis doesn't answer")

    await put(api, "net.onnx", SMALL)
    monkeypatch.setattr(api.parts.store.models, "in_use", away)
    assert (await get(api, "net.onnx"))[2] == SMALL
    assert (await put(api, "other.onnx", b"x")).status == 201
    assert (await api("DELETE", "/models/net.onnx")).status == 503
    assert (await get(api, "net.onnx"))[2] == SMALL
