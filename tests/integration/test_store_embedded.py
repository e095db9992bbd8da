"""The embedded Valkey: its data survives however it or its owner ends, and no process is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemons.core.errors import AlreadyRunning, ConfigInvalid
from daemons.core.settings import HttpSettings, OrchestratorSettings, OrchestratorStorage
from daemons.orchestrator import daemon
from daemons.runtime.tether import tethered
from daemons.store import embedded as embedded_module
from daemons.store import open_store
from daemons.store.embedded import EmbeddedServer, ServerNotStarted, socket_path
from tests.support.processes import kill, orphans_come_here
from tests.support.store import Drive, comes_true

OWNER = """
import asyncio, sys
from pathlib import Path
from daemons.runtime.tether import tethered
from daemons.store.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]), tethered if sys.argv[2] == "tethered" else list)
    await server.start()
    print("pid", server.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def owning(folder: Path):
    server = EmbeddedServer(folder, wrap=list)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def submit_one(server: EmbeddedServer) -> str:
    async with open_store(server.url, "t:") as store:
        return (await Drive(store).submit())[0]


async def waiting(server: EmbeddedServer) -> list[str]:
    async with open_store(server.url, "t:") as store:
        return await Drive(store).waiting()


async def restarted(server: EmbeddedServer, dead: int) -> bool:
    return server.pid not in (dead, None) and await server._answers()


@contextlib.contextmanager
def killed_owner(folder: Path, how: str) -> Iterator[psutil.Process]:
    """The server of an owner that was killed; ended at the end, if it still runs."""
    with orphans_come_here():
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder), how], stdout=subprocess.PIPE, text=True)
        with owner:
            announced = next(line for line in owner.stdout if line.startswith("pid "))  # its log is on the same stream
            server = psutil.Process(int(announced.split()[1]))
            owner.kill()
        try:
            yield server
        finally:
            kill(server)


async def test_it_serves_this_user_alone_on_no_port_and_loses_no_acknowledged_write(tmp_path):
    async with owning(tmp_path / "v") as server:
        assert (tmp_path / "v").stat().st_mode & 0o077 == 0
        assert socket_path(tmp_path / "v").stat().st_mode & 0o077 == 0
        async with open_store(server.url, "t:") as store:
            wanted = ("appendonly", "appendfsync", "maxmemory-policy", "port")
            settings = await store.server._redis.config_get(*wanted)
            assert settings == {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory-policy": "noeviction",
                "port": "0",
            }
            facts = await store.server.facts()
            assert (facts["connected"], facts["server"], facts["append_only"]) == (True, "valkey", True)


async def test_its_data_is_there_again_after_it_was_stopped(tmp_path):
    async with owning(tmp_path) as server:
        job_id = await submit_one(server)
        pid = server.pid
    assert not psutil.pid_exists(pid)
    async with owning(tmp_path) as server:
        assert await waiting(server) == [job_id]


async def test_killed_it_is_started_again_with_its_data(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_module, "RESTART_DELAY_S", 0.01)
    async with owning(tmp_path) as server:
        stop = asyncio.Event()
        keeping = asyncio.create_task(daemon._until(stop, server.keep_alive()))
        for _ in range(2):
            job_id, pid = await submit_one(server), server.pid
            os.kill(pid, signal.SIGKILL)
            await comes_true(lambda dead=pid: restarted(server, dead), "another server")
            assert job_id in await waiting(server)
        stop.set()
        await asyncio.wait_for(keeping, 10)


async def test_keeping_it_alive_ends_when_it_is_stopped_on_purpose(tmp_path):
    async with owning(tmp_path) as server:
        keeping = asyncio.create_task(server.keep_alive())
        await asyncio.sleep(0)
        await server.stop()
        await asyncio.wait_for(keeping, 10)


async def test_one_that_outlived_its_owner_is_ended_and_its_data_kept(tmp_path):
    with killed_owner(tmp_path, "untethered") as leftover:
        assert leftover.is_running()
        async with open_store(f"unix://{socket_path(tmp_path)}", "t:") as store:
            (job_id,) = await Drive(store).submit()
        async with owning(tmp_path) as server:
            leftover.wait(timeout=10)
            assert server.pid != leftover.pid
            assert await waiting(server) == [job_id]


async def test_a_tethered_one_ends_with_an_owner_that_was_killed(tmp_path):
    with killed_owner(tmp_path, "tethered") as server:
        server.wait(timeout=10)
    async with owning(tmp_path) as again:
        assert await waiting(again) == []


async def test_a_socket_that_a_crash_left_behind_is_no_hindrance(tmp_path):
    async with owning(tmp_path) as server:
        os.kill(server.pid, signal.SIGKILL)
        await server._process.wait()
        assert socket_path(tmp_path).exists()
    async with owning(tmp_path) as server:
        assert await server._answers()


@pytest.mark.parametrize("name", ["x" * 150, "sp ace", "#h", "%41", "?q=1&r", "quo'te\"", "ünï", "a@b:c"])
async def test_any_folder_will_do(name):
    with tempfile.TemporaryDirectory(prefix="bf-") as short:  # for its socket to be inside it
        folder = Path(short) / name
        async with owning(folder) as server:
            job_id = await submit_one(server)
            assert await waiting(server) == [job_id]
            assert (folder / "valkey.log").exists()
            assert (folder / "valkey.sock").exists() == (len(name) < 100)
        assert not socket_path(folder).exists()


async def test_a_long_path_has_its_socket_in_a_folder_of_this_user_alone(tmp_path):
    folder = tmp_path / ("x" * 150)
    async with owning(folder):
        place = socket_path(folder).parent
        assert place.stat().st_mode & 0o077 == 0
        assert place.stat().st_uid == os.getuid()
    assert not place.exists()


async def test_a_socket_folder_that_others_can_write_is_not_used(tmp_path):
    folder = tmp_path / ("x" * 150)
    place = socket_path(folder).parent
    place.mkdir()
    place.chmod(0o777)
    try:
        with pytest.raises(ServerNotStarted, match="others"):
            await EmbeddedServer(folder, wrap=list).start()
    finally:
        place.rmdir()


async def test_one_that_cannot_start_says_why(tmp_path):
    (tmp_path / "appendonlydir").write_text("in the way")
    with pytest.raises(ServerNotStarted, match="appendonlydir"):
        await EmbeddedServer(tmp_path, wrap=list).start()


async def test_two_owners_of_one_data_folder_are_refused(tmp_path):
    settings = OrchestratorSettings(
        http=HttpSettings(port=0), storage=OrchestratorStorage(data_dir=str(tmp_path / "data"))
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(daemon.run(settings, on_ready=lambda _: ready.set(), stop=stop))
    await ready.wait()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        await daemon.run(settings)
    stop.set()
    await first


async def test_without_a_binary_the_sentence_says_what_to_do(tmp_path, monkeypatch):
    def missing() -> str:
        raise embedded_module.ValkeyBinaryNotFoundError("none for this system")

    monkeypatch.setattr(embedded_module, "get_binary_path", missing)
    with pytest.raises(ConfigInvalid, match="address of a Redis or Valkey server"):
        await EmbeddedServer(tmp_path, tethered).start()
