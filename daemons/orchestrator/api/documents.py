"""The API's document and its page, made once when the application is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

import daemons
from daemons.orchestrator.api.docs import POLICY, page
from daemons.orchestrator.api.openapi import openapi
from daemons.orchestrator.api.routes import HTML, JSON, LOOK, Content, Route, Subject


class Documents(NamedTuple):
    """What the API tells of itself, ready to be sent."""

    openapi: bytes
    page: bytes


DOCUMENTS: Final = web.AppKey("documents", Documents)


def make_documents(subjects: Iterable[Subject]) -> Documents:
    """The documents of these routes."""
    document = openapi(subjects, daemons.__version__)
    return Documents(msgspec.json.encode(document), page(document).encode())


async def show_openapi(request: web.Request) -> web.Response:
    """An OpenAPI 3.1 document of all that stands here."""
    return web.Response(body=request.app[DOCUMENTS].openapi, content_type=JSON)


async def show_page(request: web.Request) -> web.Response:
    """A page of all that stands here. It needs no script and nothing from elsewhere."""
    return web.Response(
        body=request.app[DOCUMENTS].page,
        content_type=HTML,
        charset="utf-8",
        headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"},
    )


ROUTES: Final = (
    Route(
        "GET",
        "/api/openapi.json",
        show_openapi,
        LOOK,
        "Describe the API for programs",
        answers={200: dict[str, Any]},
        needs_store=False,
        is_open=True,
    ),
    Route(
        "GET",
        "/api/docs",
        show_page,
        LOOK,
        "Describe the API for people",
        answers={200: Content(media=(HTML,))},
        needs_store=False,
        is_open=True,
    ),
)
