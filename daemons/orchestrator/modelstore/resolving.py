"""What a campaign says about kept models, held against what is kept: names get hashes before anything is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
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
    pins: dict[str, str]
    """Model URL → SHA-256 of the bytes that it is about, of those that are known now."""
    needs: tuple[str, ...] = ()
    """Hashes of everything kept that it needs."""


@asynccontextmanager
async def resolved(
    models: ModelStore, request: CampaignRequest, fields: Mapping[str, str] | None = None
) -> AsyncIterator[Resolved]:
    """The campaign, resolved; what it needs is not removed before the end of the block, by which it is recorded.

    A model keeps the name that was given, beside the hash that it means now. Inputs have no place for a hash of their
    own: their URL becomes one by hash. Raises InvalidInput for what isn't kept; `fields` tells for each URL in which
    field it was said.
    """
    named = {request.model_url, *(url for job in request.jobs for url in (job.model_url, job.inputs_url))}
    if not any(_is_kept(url) for url in named):
        yield Resolved(request, {})
        return
    async with models.unchanged():
        yield await _Resolving(models, fields or {}).resolve(request)


def _is_kept(url: str | None) -> bool:
    return url is not None and url.startswith(KEPT)


class _Resolving:
    """What is found of one campaign's kept models; each is looked for once."""

    def __init__(self, models: ModelStore, fields: Mapping[str, str]) -> None:
        self._models = models
        self._fields = fields
        self._found: dict[str, Found] = {}

    async def resolve(self, request: CampaignRequest) -> Resolved:
        pins: dict[str, str] = {}
        model_url = await self._model(request.model_url, "model_url", pins)
        jobs = [await self._job(f"jobs[{index}]", job, pins) for index, job in enumerate(request.jobs)]
        needs = tuple(dict.fromkeys(found.sha256 for found in self._found.values()))
        return Resolved(structs.replace(request, model_url=model_url, jobs=jobs), pins, needs)

    async def _job(self, where: str, job: JobSpec, pins: dict[str, str]) -> JobSpec:
        if _is_kept(job.model_url):
            model_url = await self._model(job.model_url, f"{where}.model_url", pins)
            job = structs.replace(job, model_url=model_url)
        if job.inputs_url is not None and _is_kept(job.inputs_url):
            found = await self._find(job.inputs_url, f"{where}.inputs_url")
            job = structs.replace(job, inputs_url=KeptModel(found.name, found.sha256).url)
        return job

    async def _model(self, url: str | None, field: str, pins: dict[str, str]) -> str | None:
        if url is None or not _is_kept(url):
            return url
        found = await self._find(url, field)
        named = _with_name(url, found)
        pins[named] = found.sha256
        return named

    async def _find(self, url: str, field: str) -> Found:
        if url not in self._found:
            self._found[url] = await _find(self._models, url, self._fields.get(url, field))
        return self._found[url]


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
