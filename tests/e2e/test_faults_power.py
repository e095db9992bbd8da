"""The machine of Redis loses its power under load: whatever was acknowledged has reached the disk.

`tests.soak.planted` shows that the same is found out where the server syncs later.
"""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from daemons.core.errors import BenchfleetError
from daemons.store import open_store
from daemons.store.embedded import EmbeddedServer
from tests.support import preload
from tests.support.scale import scaled, tell
from tests.support.store import Drive

JOBS = scaled(small=400, full=10_000)
AT_ONCE = 16
LOSSES = 3

pytestmark = pytest.mark.skipif(preload.why_not() is not None, reason=str(preload.why_not()))


@pytest.fixture
async def server(tmp_path):
    library, note = preload.build(preload.SYNCED_SIZE, tmp_path), tmp_path / "synced"
    variables = [f"{name}={value}" for name, value in preload.noting_syncs(library, note).items()]
    server = EmbeddedServer(tmp_path / "valkey", wrap=lambda command: ["env", *variables, *command])
    await server.start()
    yield server, note
    await server.stop()


async def keep_busy(drive, name, accepted, ended):
    """Submit and finish jobs until the server is gone; note what was acknowledged, and nothing else."""
    try:
        worker = await drive.worker(name)
        while True:
            (job_id,) = await drive.submit()
            accepted.append(job_id)
            job = await drive.take(worker)
            await drive.finish(job.job_id, worker, job.attempt)
            ended.append(job.job_id)
    except BenchfleetError:
        return


async def lose_power(server, note):
    """Kill the server in mid-work, cut its file, start it again; how many bytes were lost."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server._process.wait()
    lost = preload.lose_what_was_not_synced(note)
    await server.start()
    return lost


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost(server, tmp_path):
    server, note = server
    accepted, ended, cut = [], [], []
    for loss in range(LOSSES):
        wanted = len(ended) + JOBS // LOSSES
        async with open_store(server.url, "t:") as store, asyncio.TaskGroup() as group:
            drive = Drive(store)
            for place in range(AT_ONCE):
                group.create_task(keep_busy(drive, f"{loss}-{place}", accepted, ended))
            while len(ended) < wanted:  # noqa: ASYNC110 (lists ring no bell)
                await asyncio.sleep(0.001)
            cut.append(await lose_power(server, note))

    async with open_store(server.url, "t:") as store:
        drive = Drive(store)
        states = [await drive.status(job_id) for job_id in ended]
        known = [await drive.job(job_id) for job_id in accepted]
    assert set(states) == {"complete"}
    assert len(known) == len(accepted) >= JOBS
    tell(f"power lost {LOSSES} times", acknowledged=len(accepted) + len(ended), lost=0, bytes_cut=cut)
