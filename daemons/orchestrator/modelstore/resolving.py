"""What a campaign says about kept models, held against what is kept: names get hashes before anything is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from msgspec import structs

from daemons.core.errors import InvalidInput, NotFound
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.urls import BY_HASH, KEPT, KeptModel, kept_model
from daemons.orchestrator.modelstore.store import Found, ModelStore


class Resolved(NamedTuple):
    """A campaign as it is to be recorded."""

    request: CampaignRequest
    model_sha256: str | None = None
    """The bytes that it is about, if that is known now."""
    needs: tuple[str, ...] = ()
    """Hashes of everything kept that it needs."""


@asynccontextmanager
async def resolved(models: ModelStore, request: CampaignRequest) -> AsyncIterator[Resolved]:
    """The campaign, resolved; what it needs is not removed before the end of the block, by which it is recorded.

    A model keeps the name that was given, beside the hash that it means now. Inputs have no place for a hash of their
    own: their URL becomes one by hash. Raises InvalidInput for what isn't kept.
    """
    if not _is_kept(request.model_url) and not any(_is_kept(job.inputs_url) for job in request.jobs):
        yield Resolved(request)
        return
    async with models.unchanged():
        yield await _resolve(models, request)


def _is_kept(url: str | None) -> bool:
    return url is not None and url.startswith(KEPT)


async def _resolve(models: ModelStore, request: CampaignRequest) -> Resolved:
    needs: dict[str, None] = {}
    digest = None
    if _is_kept(request.model_url):
        found = await _find(models, request.model_url, "model_url")
        digest = found.sha256
        needs[digest] = None
        request = structs.replace(request, model_url=_with_name(request.model_url, found))
    known: dict[str, str] = {}
    jobs: list[JobSpec] = []
    for index, job in enumerate(request.jobs):
        url = job.inputs_url
        if url is not None and _is_kept(url):
            if url not in known:
                found = await _find(models, url, f"jobs[{index}].inputs_url")
                needs[found.sha256] = None
                known[url] = KeptModel(found.name, found.sha256).url
            job = structs.replace(job, inputs_url=known[url])  # noqa: PLW2901 (the same job, made precise)
        jobs.append(job)
    return Resolved(structs.replace(request, jobs=jobs), digest, tuple(needs))


def _with_name(url: str, found: Found) -> str:
    """The URL; one by hash alone gets the name that its bytes have here, for they need one to be shown by."""
    if not url.startswith(f"{KEPT}{BY_HASH}:"):
        return url
    return KeptModel(found.name, found.sha256).url


async def _find(models: ModelStore, url: str, field: str) -> Found:
    kept = kept_model(url)
    assert kept is not None  # noqa: S101 (its callers have looked)
    try:
        return await models.find(kept)
    except NotFound as error:
        raise InvalidInput(f"{field}: {error}", field=field) from error
