"""Fetches the models of a campaign once each, for all of its devices, when the first of them asks for one.

The same addresses are refused as on a worker. Whatever can't be fetched from here is left to the workers, each of which
tries by itself: nothing that worked without this fails with it.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import structlog

from daemons.core.answers_models import CampaignModel
from daemons.core.errors import BenchfleetError
from daemons.core.models import ClaimedJob
from daemons.core.settings import KeptModelSettings
from daemons.core.urls import SCHEMES
from daemons.orchestrator.modelstore.pulled import Record
from daemons.orchestrator.modelstore.room import Promise
from daemons.orchestrator.modelstore.store import ModelStore
from daemons.store import Store
from daemons.transfer.download import Fetched, Limits, NotFetched, Source, download, shown_url
from daemons.transfer.partial import Partial, Validators
from daemons.transfer.persistence import RETRY_WINDOW_S, persistently

log = structlog.get_logger(__name__)

MAX_AT_ONCE: Final = 4
FAILED_FOR_S: Final = 60.0
"""So long a fetch that failed is not tried again: the campaign's other devices need not wait for the same."""


class _Wanted(NamedTuple):
    """A model that a campaign is about."""

    campaign_id: str
    job_id: str | None
    """A job that it is the model of; None in a campaign with one model."""
    url: str
    is_own: bool
    sha256: str | None
    credentials: str | None


class _Pull:
    """One campaign's model on its way here."""

    def __init__(self) -> None:
        self.done_bytes = 0
        self.total_bytes: int | None = None
        self.ended_at_s: float | None = None
        self.task: asyncio.Task[CampaignModel]

    @property
    def is_outdated(self) -> bool:
        """Whether it has fetched what isn't kept any more."""
        return self.task.done() and not self.task.cancelled() and self.task.result().state == "kept"

    @property
    def state(self) -> CampaignModel:
        """How far it is, for whoever waits."""
        if self.total_bytes is None:
            return CampaignModel(state="fetching", done_bytes=self.done_bytes)
        return CampaignModel(state="fetching", done_bytes=self.done_bytes, total_bytes=self.total_bytes)


class Puller:
    """Fetches for campaigns. `is_local`: all workers are on this machine, so its loopback address is theirs, too."""

    def __init__(self, models: ModelStore, store: Store, settings: KeptModelSettings, *, is_local: bool) -> None:
        self._models = models
        self._store = store
        self._settings = settings
        self._is_local = is_local
        self._pulls: dict[tuple[str, str], _Pull] = {}
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    def may_have(self, job: ClaimedJob) -> bool:
        """Whether the worker that takes this job shall ask for its model."""
        return self._objection(job.model_url, job.credentials) is None

    async def ask(self, campaign_id: str, wait_s: float, job_id: str | None = None) -> CampaignModel:
        """Where the model of a campaign's job is to be had from, after `wait_s` at most; fetching begins if need be.

        Raises NotFound or StoreUnavailable.
        """
        wanted = await self._wanted(campaign_id, job_id)
        if wanted is None:
            return CampaignModel(state="elsewhere", reason="the campaign has several models; name the job with job_id")
        kept = await self._kept(wanted.sha256)
        if kept is not None:
            return kept
        objection = self._objection(wanted.url, wanted.credentials)
        if objection is not None:
            return CampaignModel(state="elsewhere", reason=objection)
        pull = self._pull_of(wanted)
        await asyncio.wait([pull.task], timeout=wait_s)
        if pull.task.cancelled():
            return CampaignModel(state="elsewhere", reason="this orchestrator is about to end")
        return pull.task.result() if pull.task.done() else pull.state

    async def close(self) -> None:
        """Give up what is under way; workers that wait fetch by themselves."""
        tasks = [pull.task for pull in self._pulls.values() if not pull.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wanted(self, campaign_id: str, job_id: str | None) -> _Wanted | None:
        model = await self._store.models.of(campaign_id, job_id)
        if model is None:
            return None
        return _Wanted(campaign_id, job_id, model.url, model.is_own, model.sha256, model.credentials)

    async def _kept(self, sha256: str | None) -> CampaignModel | None:
        if sha256 is None:
            return None
        content = await self._models.in_thread(lambda _stop: self._models.folder.content(sha256))
        return content and CampaignModel(state="kept", sha256=sha256, size_bytes=content.size_bytes)

    def _objection(self, url: str, credentials: str | None) -> str | None:
        """Why a model is left to the workers, as far as its campaign says."""
        parts = urlsplit(url)
        if not self._settings.pull_through:
            return "models.pull_through is false"
        if parts.scheme.lower() not in SCHEMES:
            return "its URL is none of http or https"
        if credentials is not None or "@" in parts.netloc:
            return "it takes credentials, and those are for the devices alone"
        return None

    def _pull_of(self, wanted: _Wanted) -> _Pull:
        now_s = asyncio.get_running_loop().time()
        self._pulls = {
            key: pull
            for key, pull in self._pulls.items()
            if pull.ended_at_s is None or now_s < pull.ended_at_s + FAILED_FOR_S
        }
        key = (wanted.campaign_id, wanted.url)
        known = self._pulls.get(key)
        if known is not None and not known.is_outdated:
            return known
        pull = self._pulls[key] = _Pull()
        pull.task = asyncio.create_task(self._fetch(wanted, pull))
        return pull

    async def _fetch(self, wanted: _Wanted, pull: _Pull) -> CampaignModel:
        """What came of it; bugs are let out to whoever asks."""
        try:
            async with self._slots, self._models.pulled.lock(wanted.url).held():
                return await self._fetch_alone(wanted, pull)
        except (NotFetched, BenchfleetError) as error:
            reason = str(error)
        except OSError as error:
            reason = f"the orchestrator could not keep it: {error.strerror or error}"
        finally:
            pull.ended_at_s = asyncio.get_running_loop().time()
        log.info("model left to the workers", campaign=wanted.campaign_id, reason=reason)
        return CampaignModel(state="elsewhere", reason=reason)

    async def _fetch_alone(self, wanted: _Wanted, pull: _Pull) -> CampaignModel:
        """Nobody else fetches from this URL now; another process may have done so until now."""
        wanted = await self._wanted(wanted.campaign_id, wanted.job_id) or wanted
        kept = await self._kept(wanted.sha256)
        if kept is None:
            sha256 = await self._obtain(wanted, pull)
            kept = await self._pin(wanted, sha256)
        return kept

    async def _pin(self, wanted: _Wanted, sha256: str) -> CampaignModel:
        """Have the campaign be about these bytes, while nobody removes them; or say what it is about instead."""
        async with self._models.unchanged():
            if await self._kept(sha256) is not None:
                url = None if wanted.is_own else wanted.url
                sha256 = await self._store.models.pin(wanted.campaign_id, sha256, url)
            kept = await self._kept(sha256)
        return kept or CampaignModel(state="elsewhere", reason="it was fetched, and is not kept any more")

    async def _obtain(self, wanted: _Wanted, pull: _Pull) -> str:
        """The hash of what the URL leads to now, once that is kept. NotFetched, NoRoom, OSError if it can't be."""
        models, url = self._models, wanted.url
        known = await models.in_thread(lambda _stop: models.pulled.get(url))
        partial = models.pulled.partial(url)
        try:
            with models.room.promise() as promise:
                got = await self._download(wanted, partial, known, pull, promise)
            if not isinstance(got, Fetched):
                return str(known and known.sha256)
            if wanted.sha256 not in (None, got.sha256):
                raise NotFetched(
                    f"the model at {shown_url(url)} has changed: its SHA-256 is {got.sha256}, and this campaign is "
                    f"about {wanted.sha256}"
                )
            record = Record(sha256=got.sha256, validators=got.validators)
            async with models.folder.lock.held():
                await models.in_thread(lambda _stop: models.folder.take_in(partial.path, record.sha256))
            await models.in_thread(lambda _stop: models.pulled.put(url, record))
        finally:
            await models.in_thread(lambda _stop: partial.remove())
        log.info("model fetched for all devices", url=shown_url(url), sha256=got.sha256, size_bytes=got.size_bytes)
        return got.sha256

    async def _download(
        self, wanted: _Wanted, partial: Partial, known: Record | None, pull: _Pull, promise: Promise
    ) -> Fetched | str:
        def advance(done: int, total: int | None) -> None:
            pull.done_bytes, pull.total_bytes = done, total
            promise.written_bytes = done

        async def cover(size_bytes: int) -> None:
            await self._models.cover(promise, size_bytes)

        limits = Limits(
            max_bytes=self._models.room.limit_bytes,
            private_addresses=self._settings.private_addresses,
            size_setting="this orchestrator's models.limit_gb",
            address_setting="this orchestrator's models.private_addresses",
            loopback=self._is_local,
            cover=cover,
        )
        source, validators = Source(url=wanted.url), known.validators if known else Validators()
        return await persistently(
            lambda: download(source, partial, limits, validators, advance), partial, RETRY_WINDOW_S
        )
