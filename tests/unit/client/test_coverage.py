"""The client against the API's own document: every operation has a method, and every parameter is one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re

import pytest

from daemons.client import Campaign, Client, SyncCampaign, SyncClient, modelfiles
from daemons.client.campaigns import CampaignFilters
from daemons.client.fleet import WorkerFilters
from daemons.client.jobs import JobFilters
from daemons.client.results import ResultFilters
from daemons.core import models
from daemons.core.errors import BenchfleetError
from daemons.orchestrator.api.app import SUBJECTS
from daemons.orchestrator.api.openapi import openapi

DOCUMENT = openapi(SUBJECTS, "1.2.3")
OPERATIONS = {
    (method.upper(), path): {one["name"] for one in operation["parameters"] if one["in"] == "query"}
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}

NO_METHOD = {
    ("GET", "/docs"): "a page for people: a browser shows it",
}

SENT_OTHERWISE = {("GET", "/events"): {"after"}}
"""Parameters that go as a header."""

CAMPAIGN, JOB, WORKER = "campaign-1", "campaign-1-job-0", "worker-0"
CALLS = [
    lambda c, _: c.submit({}),
    lambda c, _: c.campaigns(limit=1, cursor="1", status="running", kind="all", name="n", label=["a=b"]),
    lambda c, _: c.campaign(CAMPAIGN),
    lambda c, _: c.cancel(CAMPAIGN),
    lambda c, _: c.retry(CAMPAIGN),
    lambda c, _: c.delete_campaign(CAMPAIGN),
    lambda c, _: c.jobs(
        limit=1, cursor="1", campaign_id=CAMPAIGN, status="pending", worker_id=WORKER, compute_unit="u", kind="all"
    ),
    lambda c, _: c.job(JOB),
    lambda c, _: c.cancel_job(JOB),
    lambda c, _: c.retry_job(JOB),
    lambda c, _: c.queue_status(),
    lambda c, _: c.results(CAMPAIGN),
    lambda c, _: c.results_all(),
    lambda c, _: c.records_all(
        campaign_id=CAMPAIGN, status="Failed", compute_unit="u", worker_id=WORKER, since="2025-01-09Z", kind="all"
    ),
    lambda c, _: c.results_files(),
    lambda c, _: c.download("a.csv"),
    lambda c, folder: c.upload_model(folder / "a.onnx"),
    lambda c, _: Client.upload_state(c, "a.onnx", 1, "0" * 64),
    lambda c, _: c.models(limit=1, cursor="1"),
    lambda c, folder: c.download_model("a.onnx", folder / "b.onnx"),
    lambda c, folder: c.download_model_by_sha256("0" * 64, folder / "b.onnx"),
    lambda c, _: c.delete_model("a.onnx"),
    lambda c, _: c.campaign_model(CAMPAIGN, job_id=JOB),
    lambda c, _: anext(c.events(after="e-1", campaign_id=CAMPAIGN, worker_id=WORKER, types=["job"], seconds=0)),
    lambda c, _: c.workers(limit=1, cursor="1", status="active", compute_unit="u", tag=["t"]),
    lambda c, _: c.worker(WORKER),
    lambda c, _: c.worker_health(WORKER),
    lambda c, _: c.workers_health(),
    lambda c, _: c.set_status(WORKER, "active"),
    lambda c, _: c.reset_worker(WORKER),
    lambda c, _: c.drain_worker(WORKER),
    lambda c, _: c.undrain_worker(WORKER),
    lambda c, _: c.check_worker(WORKER),
    lambda c, _: c.remove_worker(WORKER, force=True),
    lambda c, _: c.health(),
    lambda c, _: c.monitoring_stats(),
    lambda c, _: c.redis_address(),
    lambda c, _: c.reset(),
    lambda c, _: c.openapi(),
    lambda c, _: c.register(models.RegisterRequest(device_name="d", capabilities=[])),
    lambda c, _: c.heartbeat(WORKER, models.HeartbeatRequest()),
    lambda c, _: c.claim(WORKER, models.ClaimRequest()),
    lambda c, _: c.result(JOB, {}),
    lambda c, _: c.release(JOB, models.ReleaseRequest(worker_id=WORKER, attempt=1)),
    lambda c, _: c.goodbye(WORKER, models.GoodbyeRequest()),
]


class Recorder(Client):
    """Sends nothing, and keeps what it would have sent."""

    def __init__(self):
        super().__init__("http://nowhere", patience_s=0)
        self.sent = []

    async def upload_state(self, *_args):
        return {"is_kept": True}

    async def _request(self, method, path, query, **_more):
        self.sent.append((method, f"/{path}", set(query or {})))
        raise OSError


async def sent_by(call, folder):
    client = Recorder()
    with contextlib.suppress(BenchfleetError):
        await call(client, folder)
    [sent] = client.sent
    return sent


def template_of(method, path):
    """The path of the document that a path is an instance of."""
    fitting = [
        known
        for known_method, known in OPERATIONS
        if known_method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path)
    ]
    return min(fitting, key=lambda known: known.count("{"))


async def test_every_operation_has_a_method_that_knows_each_of_its_parameters(tmp_path, monkeypatch):
    monkeypatch.setattr(modelfiles, "PATIENCE_S", 0.0)
    await asyncio.to_thread((tmp_path / "a.onnx").write_bytes, b"a model")
    sent: dict[tuple[str, str], set[str]] = {}
    for call in CALLS:
        method, path, names = await sent_by(call, tmp_path)
        sent.setdefault((method, template_of(method, path)), set()).update(names)
    assert OPERATIONS.keys() - sent.keys() == NO_METHOD.keys()
    for operation, names in sent.items():
        assert OPERATIONS[operation] - SENT_OTHERWISE.get(operation, set()) == names, operation


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        (CampaignFilters, "/campaigns"),
        (JobFilters, "/jobs"),
        (WorkerFilters, "/workers"),
        (ResultFilters, "/results/all"),
    ],
)
def test_filters_are_typed_by_the_names_that_the_api_has(filters, path):
    assert set(filters.__annotations__) == OPERATIONS["GET", path] - {"limit", "cursor", "format"}


def public(kind):
    return {name: value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")}


ASYNCHRONOUS_ALONE = {"stream": "what it yields is read by awaiting"}
SYNCHRONOUS_ALONE = {"close": "there is no `async with` that would close it"}


@pytest.mark.parametrize(("facade", "behind"), [(SyncClient, Client), (SyncCampaign, Campaign)])
def test_the_facade_has_every_method_with_the_same_signature(facade, behind):
    ours, theirs = public(facade), public(behind)
    assert ours.keys() - theirs.keys() <= SYNCHRONOUS_ALONE.keys()
    assert theirs.keys() - ours.keys() <= ASYNCHRONOUS_ALONE.keys()
    for name in ours.keys() & theirs.keys() - {"campaign_of"}:
        assert inspect.signature(ours[name]) == inspect.signature(theirs[name]), name
        assert ours[name].__doc__, name
        assert not inspect.iscoroutinefunction(vars(facade)[name]), name


def test_the_clients_are_made_alike():
    ours, theirs = inspect.signature(SyncClient), inspect.signature(Client)
    assert ours.parameters == theirs.parameters
