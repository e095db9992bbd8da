"""The models that the orchestrator keeps: uploaded, listed, downloaded, removed."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta, Struct

from daemons.core import answers_models
from daemons.core.errors import NotFound
from daemons.core.urls import KEPT, check_model_name, is_sha256
from daemons.orchestrator.api.bodies import json_response
from daemons.orchestrator.api.context import MODELS, PULLER, RECEIVER
from daemons.orchestrator.api.errors import problem_of
from daemons.orchestrator.api.parameters import headers_of, query_of
from daemons.orchestrator.api.routes import LOOK, OPERATE, WORK, Content, JobId, Route
from daemons.orchestrator.api.sending import ReadHeaders, send
from daemons.orchestrator.api.uploading import ConditionHeaders, UploadHeaders, chunks_of, conditions_of, order_of
from daemons.orchestrator.modelstore.names import Named
from daemons.orchestrator.modelstore.store import ModelStore
from daemons.orchestrator.modelstore.uploads import State, WrongOffset

MAX_LISTED: Final = 1000
BYTES: Final = "application/octet-stream"
OFFSET: Final = "Upload-Offset"


class ModelsQuery(Struct, frozen=True, kw_only=True):
    """Which models are listed."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED
    """So many at most."""
    cursor: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """The `next_cursor` of the list before."""


class UploadQuery(Struct, frozen=True, kw_only=True):
    """What is about to be uploaded, so that it can be said beforehand whether it fits."""

    size_bytes: Annotated[int, Meta(ge=1, le=2**60)] | None = None
    """Of the whole model."""
    sha256: answers_models.Sha256 | None = None
    """Of the whole model."""


class PullQuery(Struct, frozen=True, kw_only=True):
    """How long the worker waits."""

    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0
    """Seconds, for the orchestrator to have fetched it."""
    job_id: JobId | None = None
    """The job that it is needed for; in a campaign of several models none is meant without it."""


async def upload(request: web.Request) -> web.Response:
    """The body is the model: a file, or a zip of a folder. It is kept by its SHA-256, and the name points to it.

    What breaks off leaves nothing that anybody sees, and can be continued for a day: `GET …/upload` tells how many
    bytes are here, and the next `PUT` goes on with `Content-Range` and the SHA-256 of the whole. A body of no bytes
    with the SHA-256 of what is kept gives it this name, too.
    """
    order, conditions = order_of(request), conditions_of(headers_of(request, UploadHeaders))
    try:
        outcome = await request.app[RECEIVER].receive(order, conditions, chunks_of(request))
    except WrongOffset as error:
        refusal = problem_of(error)
        refusal.headers[OFFSET] = str(error.offset)
        return refusal
    if isinstance(outcome, State):
        return json_response(_upload_view(order.name, outcome), HTTPStatus.ACCEPTED, **{OFFSET: str(outcome.offset)})
    named, is_new = outcome
    view = await _view(request.app[MODELS], named)
    status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    return json_response(view, status, ETag=f'"{named.newest.sha256}"', Location=f"/api/models/{named.name}")


async def upload_state(request: web.Request) -> web.Response:
    """How far the upload of this name is; what broke off goes on at `offset`.

    With `size_bytes` and `sha256` of what shall be sent, it also says whether there is room for it (413 and 507 if
    not), and whether its bytes are kept already.
    """
    models, query = request.app[MODELS], query_of(request, UploadQuery)
    name = check_model_name(request.match_info["name"])
    state = await models.in_thread(lambda _stop: models.uploads.state(name))
    digest = query.sha256
    is_kept = digest is not None and await models.in_thread(lambda _stop: models.folder.content(digest) is not None)
    if query.size_bytes is not None and not is_kept:
        models.room.check_size(query.size_bytes, f"the model {name}")
        await models.check_room(query.size_bytes - (state.offset if state else 0))
    view = _upload_view(name, state, is_kept=is_kept)
    return json_response(view, HTTPStatus.OK, **{OFFSET: str(view.offset)})


async def list_models(request: web.Request) -> web.Response:
    """Every model that was uploaded, by name, with what it points to and its older versions."""
    models, query = request.app[MODELS], query_of(request, ModelsQuery)
    found = [named for named in await models.all() if named.name > (query.cursor or "")]
    page = found[: query.limit]
    listing: dict[str, Any] = {
        "count": len(page),
        "models": await _views(models, page),
        "used_bytes": await models.used_bytes(),
        "limit_bytes": models.room.store_limit_bytes,
    }
    if len(page) < len(found):
        listing["next_cursor"] = page[-1].name
    return json_response(listing)


async def download(request: web.Request) -> web.StreamResponse:
    """The bytes that the name points to. `ETag` is their SHA-256."""
    name = check_model_name(request.match_info["name"])
    newest = (await request.app[MODELS].get(name)).newest
    return await _send(request, newest.sha256, name)


async def download_by_hash(request: web.Request) -> web.StreamResponse:
    """The bytes of this SHA-256: uploaded, or fetched for a campaign."""
    digest = request.match_info["sha256"].lower()
    if not is_sha256(digest):
        raise NotFound("a SHA-256 has 64 hexadecimal digits; GET /api/models lists what was uploaded")
    return await _send(request, digest, digest)


async def _send(request: web.Request, digest: str, file_name: str) -> web.StreamResponse:
    models = request.app[MODELS]
    opened = await models.open(digest)
    try:
        return await send(request, models, opened, file_name)
    finally:
        os.close(opened.descriptor)


async def delete(request: web.Request) -> web.Response:
    """The name is forgotten, and what it pointed to is removed unless it is needed otherwise."""
    name = check_model_name(request.match_info["name"])
    removed = await request.app[MODELS].remove(name, conditions_of(headers_of(request, ConditionHeaders)))
    rest = "; what other names or unfinished campaigns need of it stays" if removed.kept else ""
    return json_response(
        {
            "name": name,
            "deleted": True,
            "freed_bytes": removed.freed_bytes,
            "message": f"the model {name} is gone{rest}",
        }
    )


async def campaign_model(request: web.Request) -> web.Response:
    """Where the device gets the model of a campaign's job from. The orchestrator fetches it once for all, if it is to.

    Nothing fails by that: what it can't fetch, each device fetches from the model's own URL.
    """
    query = query_of(request, PullQuery)
    return json_response(await request.app[PULLER].ask(request.match_info["campaign_id"], query.wait, query.job_id))


def _upload_view(name: str, state: State | None, *, is_kept: bool = False) -> answers_models.UploadState:
    begun = state.begun if state else None
    return answers_models.UploadState(
        name=name,
        offset=state.offset if state else 0,
        total_bytes=begun.total_bytes if begun else None,
        sha256=begun.sha256 if begun else None,
        began_at=begun.began_at if begun else None,
        is_kept=is_kept,
    )


async def _view(models: ModelStore, named: Named) -> answers_models.Model:
    return (await _views(models, [named]))[0]


async def _views(models: ModelStore, several: list[Named]) -> list[answers_models.Model]:
    return await models.in_thread(lambda _stop: [_model_view(models, named) for named in several])


def _model_view(models: ModelStore, named: Named) -> answers_models.Model:
    return answers_models.Model(
        name=named.name,
        model_url=f"{KEPT}{named.name}",
        sha256=named.newest.sha256,
        size_bytes=named.newest.size_bytes,
        uploaded_at=named.newest.uploaded_at,
        versions=[
            answers_models.ModelVersion(
                sha256=version.sha256,
                size_bytes=version.size_bytes,
                uploaded_at=version.uploaded_at,
                is_kept=models.folder.content(version.sha256) is not None,
            )
            for version in named.versions
        ],
    )


_FILE: Final = Content(
    media=(BYTES,),
    text="The bytes.",
    headers={"ETag": "The SHA-256, quoted.", "Repr-Digest": "The same as RFC 9530 has it."},
)
_PIECE: Final = Content(
    media=(BYTES,), text="The part that Range names.", headers={"Content-Range": "Which bytes of how many it is."}
)
_UNCHANGED: Final = Content(media=(), text="It is one of those that If-None-Match names.")
_FAR: Final = {OFFSET: "How many bytes are here."}
_NAMED: Final = {"ETag": "The SHA-256, quoted.", "Location": "Where it can be downloaded."}

ROUTES: Final = (
    Route(
        "PUT",
        "/api/models/{name}",
        upload,
        OPERATE,
        "Upload a model",
        answers={
            200: Content(
                type=answers_models.Model, text="The name has pointed to these bytes already.", headers=_NAMED
            ),
            201: Content(type=answers_models.Model, text="The name points to these bytes now.", headers=_NAMED),
            202: Content(type=answers_models.UploadState, text="The piece is here, and more is to come.", headers=_FAR),
        },
        headers=UploadHeaders,
        body=Content(media=(BYTES,), text="The model's bytes."),
        refusals=(409, 412, 422, 503, 507),
        needs_store=False,
    ),
    Route(
        "GET",
        "/api/models/{name}/upload",
        upload_state,
        LOOK,
        "Show how far an upload is",
        answers={200: Content(type=answers_models.UploadState, headers=_FAR)},
        query=UploadQuery,
        refusals=(413, 503, 507),
        needs_store=False,
    ),
    Route(
        "GET",
        "/api/models",
        list_models,
        LOOK,
        "List models",
        answers={200: answers_models.ModelList},
        query=ModelsQuery,
        needs_store=False,
    ),
    Route(
        "GET",
        "/api/models/sha256/{sha256}",
        download_by_hash,
        LOOK,
        "Download a model by its hash",
        answers={200: _FILE, 206: _PIECE, 304: _UNCHANGED},
        headers=ReadHeaders,
        refusals=(412, 416),
        needs_store=False,
    ),
    Route(
        "GET",
        "/api/models/{name}",
        download,
        LOOK,
        "Download a model",
        answers={200: _FILE, 206: _PIECE, 304: _UNCHANGED},
        headers=ReadHeaders,
        refusals=(412, 416),
        needs_store=False,
    ),
    Route(
        "DELETE",
        "/api/models/{name}",
        delete,
        OPERATE,
        "Remove a model",
        answers={200: answers_models.DeletedModel},
        headers=ConditionHeaders,
        refusals=(409, 412),
    ),
    Route(
        "POST",
        "/api/campaigns/{campaign_id}/model",
        campaign_model,
        WORK,
        "Ask for a campaign's model",
        answers={200: answers_models.CampaignModel},
        query=PullQuery,
    ),
)
