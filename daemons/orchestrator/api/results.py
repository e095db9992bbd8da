"""Results: the rows of a campaign or of all, as CSV, JSON or lines; and the CSV files on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers, answers_system
from daemons.core.errors import Conflict, NotAcceptable, NotFound
from daemons.core.formats import CsvDocument, Document, JsonDocument, LinesDocument, read_csv
from daemons.core.lifecycle import ReportStatus
from daemons.core.models import Row
from daemons.orchestrator.api.bodies import json_response
from daemons.orchestrator.api.context import STORE, WRITER
from daemons.orchestrator.api.negotiation import best_of
from daemons.orchestrator.api.parameters import query_of
from daemons.orchestrator.api.routes import (
    CSV,
    JSON,
    LINES,
    LOOK,
    CampaignId,
    Content,
    Identifier,
    JobCursor,
    Route,
    WorkerId,
)
from daemons.orchestrator.api.streaming import stream
from daemons.orchestrator.outputs import find_results_file, list_results_files, results_file
from daemons.store.lists import JobFilter, ended_jobs_of, place_of

MAX_LISTED: Final = 1000
LARGE: Final = 200
"""So many rows are worth packing."""
PORTION: Final = 500
FILE_PIECE_BYTES: Final = 256 * 1024


class Format(NamedTuple):
    """How rows may be asked for."""

    word: str
    media: str
    document: Callable[[], Document]


FORMATS: Final = (
    Format("csv", CSV, CsvDocument),
    Format("json", JSON, JsonDocument),
    Format("jsonl", LINES, LinesDocument),
)

Word = Literal["csv", "json", "jsonl"]
Since = Annotated[datetime, Meta(tz=True, extra={"allowed": "a time with its zone, such as 2025-01-09T14:13:20Z"})]


class FormatQuery(Struct, frozen=True):
    """How results are wanted."""

    format: Word | None = None
    """Outranks `Accept`. `jsonl` is one JSON object a line. Without either: CSV."""


class ResultsQuery(FormatQuery, frozen=True):
    """Which results are wanted, and how."""

    campaign_id: Annotated[list[CampaignId], Meta(max_length=100)] = []
    """Of these campaigns alone; it may be given several times."""
    status: ReportStatus | None = None
    """Of jobs that have ended like this alone."""
    compute_unit: Identifier | None = None
    """Of jobs for this compute unit alone."""
    worker_id: WorkerId | None = None
    """Of this device alone."""
    since: Since | None = None
    """Of jobs that have ended at that time or later."""
    kind: Literal["benchmark", "health", "all"] = "benchmark"
    """What people submit, checkups of devices, or both."""
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] | None = None
    """How many at most. Without a limit, all are sent."""
    cursor: JobCursor | None = None
    """Where to go on: `next_cursor` of the answer before, which the header `Link` leads to in every format."""


async def of_campaign(request: web.Request) -> web.StreamResponse:
    """The rows of the jobs that have ended, in the order of the jobs: all of them, once the campaign has ended.

    The rows of a campaign that has left the store are read from its CSV file.
    """
    campaign_id = request.match_info["campaign_id"]
    wanted = _format(request, query_of(request, FormatQuery))
    pieces, is_large = await _of_campaign(request, campaign_id, wanted)
    return await stream(request, pieces, _response(wanted, f"{campaign_id}_results"), is_large=is_large)


async def of_all(request: web.Request) -> web.StreamResponse:
    """The rows of all campaigns in the store: of the newest campaign first, in the order of the jobs within each."""
    query = query_of(request, ResultsQuery)
    wanted, store = _format(request, query), request.app[STORE]
    start = None if query.cursor is None else place_of(query.cursor)
    jobs = _jobs_of(query)
    if query.limit is None:
        pieces = _written(store.lists.rows(jobs, start), wanted.document())
        return await stream(request, pieces, _response(wanted, "results"), is_large=True)
    page = await store.lists.results(jobs, query.limit, start)
    response = _response(wanted, "results")
    if page.cursor is not None:
        response.headers["Link"] = f'<{request.rel_url.update_query(cursor=page.cursor)}>; rel="next"'
    pieces = _written_page(page.items, page.cursor, wanted.document())
    return await stream(request, pieces, response, is_large=len(page.items) >= LARGE)


def _jobs_of(query: ResultsQuery) -> JobFilter:
    return JobFilter(
        kind=query.kind,
        campaign_ids=tuple(query.campaign_id),
        status=None if query.status is None else query.status.job_status,
        worker_id=query.worker_id,
        compute_unit=query.compute_unit,
        is_ended=True,
        ended_since=None if query.since is None else int(query.since.timestamp() * 1000),
    )


def _format(request: web.Request, query: FormatQuery) -> Format:
    if query.format is not None:
        return next(one for one in FORMATS if one.word == query.format)
    accept = request.headers.getall("Accept", [])
    media = best_of(accept, [one.media for one in FORMATS])
    if media is None:
        offered = ", ".join(one.media for one in FORMATS)
        raise NotAcceptable(f"Accept: results can be given as {offered}, and not as {', '.join(accept)[:100]!r}")
    return next(one for one in FORMATS if one.media == media)


def _response(wanted: Format, name: str) -> web.StreamResponse:
    charset = "; charset=utf-8" if wanted.media == CSV else ""
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'} if wanted.media == CSV else {}
    return web.StreamResponse(headers={"Content-Type": f"{wanted.media}{charset}", **disposition})


async def _of_campaign(
    request: web.Request, campaign_id: str, wanted: Format
) -> tuple[AsyncGenerator[bytes, None], bool]:
    """The pieces of a campaign's document, from the store or from its file; and whether they are many."""
    store, outputs = request.app[STORE], request.app[WRITER].outputs
    try:
        total = int((await store.campaigns.get(campaign_id))["total_jobs"])
    except NotFound:
        path = await asyncio.to_thread(find_results_file, outputs, campaign_id)
        if path is None:
            raise
        if wanted.media == CSV:
            return _file_pieces(path), True
        return _written(_rows_of_file(path), wanted.document()), True
    return _written(store.lists.rows(ended_jobs_of(campaign_id)), wanted.document()), total >= LARGE


async def _written(portions: AsyncIterator[list[Row]], document: Document) -> AsyncGenerator[bytes, None]:
    # In a thread: a hundred thousand rows take more than a second in all, and beats must be answered meanwhile.
    begin = document.begin()
    async for rows in portions:
        if rows:
            yield begin + await asyncio.to_thread(document.rows, rows)
            begin = b""
    yield begin + document.end(None)


async def _written_page(rows: list[Row], cursor: str | None, document: Document) -> AsyncGenerator[bytes, None]:
    yield document.begin() + await asyncio.to_thread(document.rows, rows) + document.end(cursor)


async def _file_pieces(path: Path) -> AsyncGenerator[bytes, None]:
    with await asyncio.to_thread(_open, path) as file:
        while piece := await asyncio.to_thread(file.read, FILE_PIECE_BYTES):
            yield piece


async def _rows_of_file(path: Path) -> AsyncIterator[list[Row]]:
    with TextIOWrapper(await asyncio.to_thread(_open, path), "utf-8", newline="") as file:
        rows = read_csv(file)
        while portion := await asyncio.to_thread(_next_rows, rows, path):
            yield portion


def _next_rows(rows: Iterator[Row], path: Path) -> list[Row]:
    try:
        return list(islice(rows, PORTION))
    except ValueError as error:
        raise Conflict(f"{path.name} holds what is no result ({error}); ask for it as text/csv") from error


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError as error:  # it was replaced a moment ago
        raise NotFound(f"{path.name} is gone; ask again") from error


async def files(request: web.Request) -> web.Response:
    """The CSV files of ended campaigns, the newest first. Whatever has ended by now is among them."""
    writer = request.app[WRITER]
    await writer.flush()
    found = await asyncio.to_thread(list_results_files, writer.outputs)
    return json_response({"count": len(found), "files": found})


async def download(request: web.Request) -> web.StreamResponse:
    """One CSV file, as it lies on the orchestrator's disk."""
    writer = request.app[WRITER]
    await writer.flush()
    path = results_file(writer.outputs, request.match_info["filename"])
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": f'attachment; filename="{path.name}"'}
    return web.FileResponse(path, headers=headers)


_ROWS: Final = Content(
    type=answers.ResultList,
    line=answers.ResultRow,
    media=(CSV, JSON, LINES),
    text="Rows under the CSV's column names. A connection that ends early means a document that is not whole.",
)

ROUTES: Final = (
    Route(
        "GET",
        "/api/campaigns/{campaign_id}/results",
        of_campaign,
        LOOK,
        "Show a campaign's results",
        answers={200: _ROWS},
        query=FormatQuery,
        refusals=(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.CONFLICT),
    ),
    Route(
        "GET",
        "/api/results/all",
        of_all,
        LOOK,
        "Show all results",
        answers={200: _ROWS},
        query=ResultsQuery,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE),
    ),
    Route(
        "GET",
        "/api/results/files",
        files,
        LOOK,
        "List files of results",
        answers={200: answers_system.ResultsFiles},
    ),
    Route(
        "GET",
        "/api/results/download/{filename}",
        download,
        LOOK,
        "Download a file of results",
        answers={
            200: Content(media=(CSV,)),
            206: Content(media=(CSV,), text="The part that the header `Range` asks for."),
            304: Content(media=(), text="It is the one that the headers of the request describe."),
            412: Content(media=(), text="It is not the one that the headers of the request describe."),
            416: Content(media=(), text="There is nothing in the part that the header `Range` asks for."),
        },
    ),
)
