"""3 % of all replies are dropped, of Redis to the orchestrator and of the orchestrator to everybody: each request may
have taken effect although its sender was never told. Nothing is lost, and nothing comes twice."""

from __future__ import annotations

import asyncio
import random
import uuid

import pytest

from daemons.client import Client
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.units import CPU_ONNX
from daemons.store import open_store
from daemons.store.embedded import EmbeddedServer, socket_path
from daemons.worker.engines.tiny import TINY_ONNX
from daemons.worker.patience import Contact
from tests.soak.checker import Evidence, check
from tests.soak.harness import read_files
from tests.soak.stack import recorded
from tests.support.model_server import serving_models
from tests.support.orchestrator import orchestrating
from tests.support.proxy import Proxy
from tests.support.quick import quick_workers
from tests.support.scale import scaled, tell
from tests.support.store import comes_true, dump
from tests.support.wire import Recorder

SHARE = 0.03
SUBMITS = scaled(small=100, full=1000)
AT_ONCE = 16
WORKERS = 8
TIMEOUT_S = scaled(small=100, full=900)


@pytest.fixture
async def server(tmp_path):
    server = EmbeddedServer(tmp_path / "valkey", wrap=list)
    await server.start()
    yield server
    await server.stop()


async def submit_all(client, model_url):
    """Campaigns of one job, each sent until it is accepted; their identifiers."""
    contact, free = Contact(client.url), asyncio.Semaphore(AT_ONCE)
    campaign = CampaignRequest(model_url=model_url, jobs=[JobSpec(compute_unit=CPU_ONNX)])

    async def submit():
        key = uuid.uuid4().hex
        async with free:
            return (await contact.insist(lambda: client.submit(campaign, idempotency_key=key)))["campaign_id"]

    return await asyncio.gather(*(submit() for _ in range(SUBMITS)))


@pytest.mark.timeout(TIMEOUT_S + 20)
async def test_every_submit_makes_one_job_and_every_result_one_row(server, tmp_path):
    generator, recorder, outputs = random.Random(7), Recorder(recorded), tmp_path / "outputs"

    def drops(_):
        return generator.random() < SHARE

    async with (
        asyncio.timeout(TIMEOUT_S),
        open_store(server.url, "t:") as store,
        Proxy(socket_path(tmp_path / "valkey"), drops=drops).serving() as redis,
        open_store(f"redis://127.0.0.1:{redis.port}/0", "t:") as shaken,
        orchestrating(shaken, outputs) as api,
        Proxy(("127.0.0.1", int(api.url.rpartition(":")[2])), tap=recorder.tap, drops=drops).serving() as http,
        serving_models() as models,
        Client(http.url) as client,
    ):
        models.files["tiny.onnx"] = TINY_ONNX
        async with quick_workers(http.url, tmp_path / "workers", WORKERS):
            campaigns = await submit_all(client, models.url("tiny.onnx"))

            async def is_drained():
                return (
                    len(await asyncio.to_thread(read_files, outputs)) == len(set(campaigns))
                    and not await store.outbox.size()
                )

            await comes_true(is_drained, "every file", TIMEOUT_S)
            keys = await dump(store)
        verdict = check(
            Evidence(
                dict.fromkeys(campaigns, 1), keys, await asyncio.to_thread(read_files, outputs), recorder.exchanges
            )
        )

    assert verdict.sentences == []
    assert verdict.jobs == len(campaigns) == SUBMITS
    assert http.dropped > 0
    assert redis.dropped > 0
    tell("3 % of replies dropped", submits=SUBMITS, rows=verdict.jobs, dropped=(http.dropped, redis.dropped))
