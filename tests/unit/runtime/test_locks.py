"""One holder at a time, whoever it is and however it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemons.core.errors import AlreadyRunning
from daemons.runtime.locks import FileLock

HOLDER = """
import sys, time
from pathlib import Path
from daemons.runtime.locks import FileLock
with FileLock(Path(sys.argv[1])).held_now():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A real process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_holder_is_told_who_the_first_is(tmp_path, holder):
    expected = (
        rf"^{re.escape(str(tmp_path))} is in use by process {holder.pid}, which has held it since \d{{4}}-.*; end it"
    )
    with pytest.raises(AlreadyRunning, match=expected), FileLock(tmp_path / "lock").held_now():
        pass


def test_a_holder_that_is_killed_lets_go(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with FileLock(tmp_path / "lock").held_now():
        assert f'"pid": {os.getpid()}' in (tmp_path / "lock").read_text()


async def test_waiting_takes_the_lock_when_its_holder_ends_and_keeps_no_one_waiting_meanwhile(tmp_path, holder):
    waiting = asyncio.create_task(_hold_once(tmp_path / "lock"))
    for _ in range(5):  # the loop goes on
        await asyncio.sleep(0)
    assert not waiting.done()
    holder.stdin.close()
    await asyncio.wait_for(waiting, 10)


async def test_two_locks_exclude_each_other_inside_one_process(tmp_path):
    lock = FileLock(tmp_path / "lock")
    inside = 0

    async def enter():
        nonlocal inside
        async with lock.held():
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.wait_for(asyncio.gather(*(enter() for _ in range(5))), 20)
    async with lock.held():
        with pytest.raises(AlreadyRunning), FileLock(tmp_path / "lock").held_now():
            pass


async def test_those_who_share_it_hold_it_together_and_whoever_wants_it_alone_waits_for_them_all(tmp_path):
    lock, order = FileLock(tmp_path / "lock"), []

    async def alone():
        async with lock.held():
            order.append("alone")

    async with lock.shared():
        async with lock.shared():
            order.append("together")
            waiting = asyncio.create_task(alone())
            await asyncio.sleep(0)
        with pytest.raises(AlreadyRunning), lock.held_now():
            pass
        order.append("still shared")
    await asyncio.wait_for(waiting, 20)
    assert order == ["together", "still shared", "alone"]


async def test_a_wait_can_be_cancelled_and_leaves_no_descriptor(tmp_path, holder):
    before = count_descriptors()
    waiting = asyncio.create_task(_hold_once(tmp_path / "lock"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert count_descriptors() == before


def test_a_file_that_says_nothing_of_its_holder_makes_a_sentence_all_the_same(tmp_path, holder):
    (tmp_path / "lock").write_text("[]")
    with pytest.raises(AlreadyRunning, match="is in use by another process"), FileLock(tmp_path / "lock").held_now():
        pass


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    with FileLock(tmp_path / "new" / "lock").held_now():
        assert (tmp_path / "new").stat().st_mode & 0o077 == 0


async def _hold_once(path):
    async with FileLock(path).held():
        pass


def count_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))
