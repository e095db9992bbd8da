"""The client for code without ``await``: scripts and notebooks.

::

    with SyncClient("http://localhost:5000") as client:
        submitted = client.submit({"model_url": url, "jobs": [{"compute_unit": "CPU (ONNX)"}]})
        campaign = client.campaign_of(submitted["campaign_id"])
        for event in campaign.follow():
            print(event.type, event.state)
        records = campaign.results()

Each method is the asynchronous client's own, with its signature and its promise: what that awaits, this waits for, and
what that iterates over asynchronously, this iterates over.
"""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from daemons.client.address import chosen
from daemons.client.campaign import Campaign
from daemons.client.client import Client
from daemons.client.connection import PATIENCE_S
from daemons.client.portal import Portal

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """The method of a façade that waits for the `method` of what is behind it."""

    @functools.wraps(method)
    def waiting(self: _Facade, /, *args: P.args, **more: P.kwargs) -> T:
        return self._call(method(self._behind, *args, **more))

    return waiting


def _iterating(
    method: Callable[Concatenate[Any, P], AsyncIterator[T]],
) -> Callable[Concatenate[Any, P], Generator[T]]:
    """The method of a façade that iterates over what the `method` of what is behind it iterates over."""

    @functools.wraps(method)
    def iterating(self: _Facade, /, *args: P.args, **more: P.kwargs) -> Generator[T]:
        return self._iterate(method(self._behind, *args, **more))

    return iterating


class _Opened:
    """A client that is open in a portal, until nobody holds it any more: at the end of the program at the latest."""

    def __init__(self, client: Client) -> None:
        self.portal = Portal()
        self.portal.call(client.__aenter__())
        self.close = weakref.finalize(self, _close, self.portal, client)


def _close(portal: Portal, client: Client) -> None:
    if not portal.is_closed and not portal.is_here:
        portal.call(client.__aexit__())
    portal.close()


class _Facade:
    """Stands before something asynchronous that lives in a portal."""

    def __init__(self, opened: _Opened, behind: object) -> None:
        self._opened = opened
        self._behind: Any = behind

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._opened.portal.call(work)

    def _iterate(self, items: AsyncIterator[T]) -> Generator[T]:
        yield from self._opened.portal.iterate(items)


class SyncCampaign(_Facade):
    """`daemons.client.Campaign` without ``await``."""

    def __init__(self, opened: _Opened, behind: Campaign) -> None:
        super().__init__(opened, behind)
        self.campaign_id = behind.campaign_id

    def __repr__(self) -> str:
        return f"Sync{self._behind!r}"

    document = _waiting(Campaign.document)
    follow = _iterating(Campaign.follow)
    wait = _waiting(Campaign.wait)
    results = _waiting(Campaign.results)
    cancel = _waiting(Campaign.cancel)
    retry = _waiting(Campaign.retry)


class SyncClient(_Facade):
    """`daemons.client.Client` without ``await``. It is open from the beginning, and closed by `close` or ``with``.

    It may be used by several threads. Ctrl-C ends what is being waited for, and leaves the client usable.
    """

    def __init__(self, url: str, token_file: str | Path | None = None, *, patience_s: float = PATIENCE_S) -> None:
        client = Client(url, token_file, patience_s=patience_s)
        super().__init__(_Opened(client), client)

    @classmethod
    def from_environment(
        cls, url: str | None = None, token_file: str | Path | None = None, *, patience_s: float = PATIENCE_S
    ) -> Self:
        """See `Client.from_environment`."""
        address = chosen(url, token_file)
        return cls(address.url, address.token_file, patience_s=patience_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and the connection. Closed twice is closed."""
        self._opened.close()

    @property
    def url(self) -> str:
        """The server's address, fit to be shown."""
        return str(self._behind.url)

    def with_patience(self, patience_s: float) -> Self:
        """See `Client.with_patience`."""
        other = copy.copy(self)
        other._behind = self._behind.with_patience(patience_s)  # noqa: SLF001 (of its own kind)
        return other

    def campaign_of(self, campaign_id: str) -> SyncCampaign:
        """A handle to follow a campaign with, to wait for it, and to have its results."""
        return SyncCampaign(self._opened, self._behind.campaign_of(campaign_id))

    submit = _waiting(Client.submit)
    campaigns = _waiting(Client.campaigns)
    iter_campaigns = _iterating(Client.iter_campaigns)
    campaign = _waiting(Client.campaign)
    cancel = _waiting(Client.cancel)
    retry = _waiting(Client.retry)
    delete_campaign = _waiting(Client.delete_campaign)

    jobs = _waiting(Client.jobs)
    iter_jobs = _iterating(Client.iter_jobs)
    job = _waiting(Client.job)
    cancel_job = _waiting(Client.cancel_job)
    retry_job = _waiting(Client.retry_job)
    queue_status = _waiting(Client.queue_status)

    results = _waiting(Client.results)
    records = _waiting(Client.records)
    iter_records = _iterating(Client.iter_records)
    results_all = _waiting(Client.results_all)
    records_all = _waiting(Client.records_all)
    iter_records_all = _iterating(Client.iter_records_all)
    results_files = _waiting(Client.results_files)
    download = _waiting(Client.download)

    models = _waiting(Client.models)
    iter_models = _iterating(Client.iter_models)
    upload_model = _waiting(Client.upload_model)
    upload_state = _waiting(Client.upload_state)
    download_model = _waiting(Client.download_model)
    download_model_by_sha256 = _waiting(Client.download_model_by_sha256)
    delete_model = _waiting(Client.delete_model)

    workers = _waiting(Client.workers)
    iter_workers = _iterating(Client.iter_workers)
    worker = _waiting(Client.worker)
    set_status = _waiting(Client.set_status)
    worker_health = _waiting(Client.worker_health)
    workers_health = _waiting(Client.workers_health)
    reset_worker = _waiting(Client.reset_worker)
    drain_worker = _waiting(Client.drain_worker)
    undrain_worker = _waiting(Client.undrain_worker)
    check_worker = _waiting(Client.check_worker)
    remove_worker = _waiting(Client.remove_worker)

    events = _iterating(Client.events)

    health = _waiting(Client.health)
    monitoring_stats = _waiting(Client.monitoring_stats)
    redis_address = _waiting(Client.redis_address)
    reset = _waiting(Client.reset)
    openapi = _waiting(Client.openapi)
    metrics = _waiting(Client.metrics)

    register = _waiting(Client.register)
    claim = _waiting(Client.claim)
    heartbeat = _waiting(Client.heartbeat)
    result = _waiting(Client.result)
    release = _waiting(Client.release)
    goodbye = _waiting(Client.goodbye)
    campaign_model = _waiting(Client.campaign_model)
