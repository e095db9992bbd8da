"""Results as CSV, JSON and lines of JSON, of one campaign and of all; and documents that break off."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zlib

import aiohttp
import pytest

from daemons.core.errors import StoreUnavailable
from daemons.core.results import COLUMNS
from daemons.orchestrator.api import streaming
from daemons.orchestrator.retention import Retention
from daemons.store import lists
from tests.support.store import CPU, GPU


@pytest.fixture
async def ended(api):
    """A campaign of which one job is complete, one failed, and one waits."""
    worker = await api.worker()
    campaign = (await api.submit(*[{"compute_unit": CPU}] * 2, {"compute_unit": GPU}))["campaign_id"]
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5, Warnings=["warm"])
    await api.report(worker, await api.claim(worker), "Failed", Remark="no luck")
    return campaign


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


async def test_one_campaign_in_each_format(api, ended):
    path = f"/campaigns/{ended}/results"
    as_csv = await api("GET", path)
    as_json = await api("GET", f"{path}?format=json")
    as_lines = await api("GET", f"{path}?format=jsonl")
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert as_json.headers["Content-Type"] == "application/json"
    assert as_lines.headers["Content-Type"] == "application/x-ndjson"
    rows = as_json.document["results"]
    assert as_json.document["count"] == 2
    assert lines(as_lines.document) == rows
    assert [list(row) for row in rows] == [list(COLUMNS)] * 2
    assert [(row["Status"], row["LoadMsMedian"], row["Remark"]) for row in rows] == [
        ("Complete", 1.5, None),
        ("Failed", None, "no luck"),
    ]
    assert [row["JobId"] for row in table(as_csv.document)] == [row["JobId"] for row in rows]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "text/csv"),
        ("application/json", "application/json"),
        ("application/x-ndjson, application/json;q=0.5", "application/x-ndjson"),
        ("text/html, application/json;q=0.1", "application/json"),
    ],
)
async def test_the_accept_header_decides_where_the_query_says_nothing(api, ended, accept, media):
    for path in (f"/campaigns/{ended}/results", "/results/all"):
        assert (await api("GET", path, Accept=accept)).headers["Content-Type"].startswith(media)
        chosen = await api("GET", f"{path}?format=csv", Accept=accept)
        assert chosen.headers["Content-Type"].startswith("text/csv")


async def test_a_format_that_there_is_not(api, ended):
    for path in (f"/campaigns/{ended}/results", "/results/all"):
        refused = await api("GET", path, Accept="text/html, application/pdf")
        assert (refused.status, refused.is_problem) == (406, True)
        assert "text/csv, application/json, application/x-ndjson" in refused.document["error"]
        refused = await api("GET", f"{path}?format=xml")
        assert (refused.status, refused.document["field"]) == (400, "format")
        assert "csv, json, jsonl" in refused.document["error"]


async def test_no_rows_are_a_document_too(api):
    campaign = (await api.submit())["campaign_id"]
    path = f"/campaigns/{campaign}/results"
    assert (await api("GET", path)).document == ",".join(COLUMNS) + "\r\n"
    assert (await api("GET", f"{path}?format=json")).document == {"results": [], "count": 0}
    assert (await api("GET", f"{path}?format=jsonl")).document == ""


async def test_results_of_all_come_newest_first_and_filtered(api, ended):
    worker = await api.worker("two", GPU)
    newer = (await api.submit({"compute_unit": GPU}))["campaign_id"]
    job = await api.claim(worker)
    await api.report(worker, job, LoadMsMedian=2.5)

    async def found(query=""):
        answer = await api("GET", f"/results/all?format=json{query}")
        return [row["JobId"] for row in answer.document["results"]]

    oldest, failed, other = f"{ended}-job-0", f"{ended}-job-1", job["job_id"]
    assert other.startswith(ended)  # the first campaign's third job waited longer
    await api.report(worker, await api.claim(worker), LoadMsMedian=3.5)
    assert await found() == [f"{newer}-job-0", oldest, failed, other]
    assert await found("&status=Failed") == [failed]
    assert await found(f"&compute_unit={GPU.replace(' ', '%20')}") == [f"{newer}-job-0", other]
    assert await found(f"&campaign_id={ended}") == [oldest, failed, other]
    assert await found(f"&campaign_id={ended}&campaign_id={newer}&status=Complete") == [
        f"{newer}-job-0",
        oldest,
        other,
    ]
    assert await found(f"&worker_id={worker}") == [f"{newer}-job-0", other]
    ended_at = (await api("GET", f"/jobs/{newer}-job-0")).document["job"]["ended_at"]
    assert await found(f"&since={ended_at}") == [f"{newer}-job-0"]
    assert await found("&since=2999-01-01T00:00:00%2B02:00") == []
    refused = await api("GET", "/results/all?campaign_id=campaign-1")
    assert (refused.status, refused.is_problem) == (404, True)
    refused = await api("GET", "/results/all?since=yesterday")
    assert "2025-01-09T14:13:20Z" in refused.document["error"]


@pytest.mark.parametrize("word", ["csv", "json", "jsonl"])
async def test_pages_of_results_lead_on_in_every_format(api, word):
    campaigns = [(await api.submit(*[{"compute_unit": CPU}] * 3))["campaign_id"] for _ in range(2)]
    for campaign in campaigns:
        await api("POST", f"/campaigns/{campaign}/cancel")
    found, path = [], f"/results/all?limit=2&format={word}"
    while path:
        answer = await api("GET", path)
        reader = {"csv": table, "json": lambda page: page["results"], "jsonl": lines}[word]
        found += [row["JobId"] for row in reader(answer.document)]
        link = answer.headers.get("Link")
        if word == "json":
            assert ("next_cursor" in answer.document) == (link is not None)
        path = link and link.partition(">")[0].removeprefix("</api")
    assert found == [f"{campaign}-job-{place}" for campaign in campaigns[::-1] for place in range(3)]


async def test_a_campaign_that_has_left_the_store_is_read_from_its_file(api, store, ended):
    await api("POST", f"/campaigns/{ended}/cancel")
    path = f"/campaigns/{ended}/results"
    await api("GET", "/results/files")
    before = [(await api("GET", f"{path}?format={word}")).document for word in ("csv", "json", "jsonl")]
    await Retention(store, days=1e-9).round()
    assert (await api("GET", f"/campaigns/{ended}")).status == 404
    after = [(await api("GET", f"{path}?format={word}")).document for word in ("csv", "json", "jsonl")]
    assert after == before


async def test_a_file_that_holds_no_rows_is_a_conflict_and_still_a_csv(api, tmp_path):
    (tmp_path / "outputs" / "campaign-7_20250101_000000_results.csv").write_text("Status,JobId\r\nNonsense,x\r\n")
    refused = await api("GET", "/campaigns/campaign-7/results?format=json")
    assert (refused.status, refused.is_problem) == (409, True)
    assert "text/csv" in refused.document["error"]
    assert (await api("GET", "/campaigns/campaign-7/results")).document.startswith("Status")


async def many(api, count=1200):
    campaign = (await api.submit(*[{"compute_unit": CPU}] * count))["campaign_id"]
    await api("POST", f"/campaigns/{campaign}/cancel")
    return f"{api.url}/api/campaigns/{campaign}/results"


async def test_large_results_are_packed_for_who_takes_that(api):
    address = await many(api)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        async with session.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
            packed = await answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
        async with session.get(address, headers={"Accept-Encoding": "identity"}) as answer:
            plain = await answer.read()
            assert "Content-Encoding" not in answer.headers
    assert zlib.decompress(packed, 31) == plain
    assert len(packed) < len(plain) / 4
    assert len(table(plain.decode())) == 1200


async def test_large_results_are_sent_in_pieces(api, store, monkeypatch):
    """Memory stays constant: no more than a portion is held at a time."""
    sent = []
    plain = streaming._send

    async def noted(piece, response):
        sent.append(len(piece))
        await plain(piece, response)

    monkeypatch.setattr(streaming, "_send", noted)
    address = await many(api)
    async with api.session.get(address) as answer:
        total = len(await answer.read())
    assert sum(sent) == total
    assert max(sent) < total / 2


def breaks_off_at(monkeypatch, position, error):
    plain = lists.Lists._jobs

    async def breaking(self, campaign, positions):
        if positions.start >= position:
            raise error
        return await plain(self, campaign, positions)

    monkeypatch.setattr(lists.Lists, "_jobs", breaking)


@pytest.mark.parametrize("word", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_document_that_breaks_off_does_not_look_whole(api, monkeypatch, word, encoding):
    address = await many(api)
    breaks_off_at(monkeypatch, lists.PORTION, StoreUnavailable("Redis doesn't answer"))
    async with api.session.get(f"{address}?format={word}", headers={"Accept-Encoding": encoding}) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(answer.read(), 20)
    assert (await api("GET", "/health")).status == 200


async def test_what_fails_before_the_first_piece_is_refused_as_usual(api, monkeypatch):
    address = (await many(api)).removeprefix(f"{api.url}/api")
    breaks_off_at(monkeypatch, 0, StoreUnavailable("Redis doesn't answer"))
    assert (await api("GET", address)).status == 503


async def test_a_caller_that_takes_nothing_is_cut_off(api, monkeypatch):
    address = await many(api, 3000)
    monkeypatch.setattr(streaming, "PIECE_TIMEOUT_S", 0.0)
    async with api.session.get(address) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_caller_that_hangs_up_is_no_mistake_of_ours(api, monkeypatch):
    complaints = []
    monkeypatch.setattr("daemons.orchestrator.api.app.log.exception", lambda *_, **__: complaints.append(1))
    address = await many(api, 3000)
    for _ in range(5):
        async with api.session.get(address) as answer:
            assert answer.status == 200
            answer.close()
    assert (await api("GET", "/health")).status == 200
    assert complaints == []


async def test_head_of_results_sends_headers_and_not_one_byte_more(api):
    await many(api)
    port = int(api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"HEAD /api/results/all HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    said = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b""
