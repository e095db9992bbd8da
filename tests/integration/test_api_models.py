"""Models that the orchestrator keeps, over real HTTP: uploaded, found, downloaded, removed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import os
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from daemons.orchestrator.api import app, uploading
from daemons.orchestrator.modelstore import receiving
from daemons.orchestrator.modelstore.uploads import KEPT_FOR_S
from tests.support.orchestrator import orchestrating
from tests.support.store import comes_true

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
    """Every file in the folder but its locks, by its place."""
    root = api.parts.models.folder.root
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "lock")


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
    monkeypatch.setattr(uploading, "STALL_S", 0.5)
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
    uploads = api.parts.models.uploads
    day_before_last = uploads._path("old").stat().st_mtime - 2 * KEPT_FOR_S
    for path in uploads._folder.glob(f"{uploads._path('old').stem}*"):
        os.utime(path, (day_before_last, day_before_last))
    await api.parts.upkeep.round()
    assert (await state_of(api, "old"))["began_at"] is None
    assert (await state_of(api, "new"))["offset"] == 3
