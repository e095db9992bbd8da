"""The thread behind the synchronous client: interruptions, closing, and misuse. No server is needed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from daemons.client import SyncClient
from daemons.client.portal import Portal
from daemons.core.errors import OrchestratorUnavailable


@pytest.fixture
def portal():
    portal = Portal()
    yield portal
    portal.close()


async def numbers(told, last=3):
    try:
        for number in range(last):
            yield number
        await asyncio.Event().wait()
    finally:
        told.append("ended")


def test_what_is_returned_and_what_is_raised_arrive(portal):
    async def answer(value):
        await asyncio.sleep(0)
        return value or 1 // value

    assert portal.call(answer(5)) == 5
    with pytest.raises(ZeroDivisionError):
        portal.call(answer(0))


def test_it_works_where_a_loop_runs_already(portal):
    async def in_a_notebook():
        return list(zip(range(3), portal.iterate(numbers([])), strict=False))

    assert asyncio.run(in_a_notebook()) == [(0, 0), (1, 1), (2, 2)]


def test_whoever_ends_early_ends_what_makes_the_items(portal):
    told = []
    items = portal.iterate(numbers(told))
    assert next(items) == 0
    items.close()
    assert told == ["ended"]


def interrupt_when(event):
    """Ctrl-C for the main thread, once the event is set."""

    def wait_and_send():
        event.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait_and_send).start()


def test_an_interrupted_call_is_cancelled_and_the_portal_stays_usable(portal):
    waiting, told = threading.Event(), []

    async def endless():
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            told.append("put in order")

    interrupt_when(waiting)
    with pytest.raises(KeyboardInterrupt):
        portal.call(endless())
    assert told == ["put in order"]
    assert portal.call(asyncio.sleep(0, "usable")) == "usable"


def test_an_interrupted_iteration_ends_what_makes_the_items(portal):
    told, waiting = [], threading.Event()

    async def endless():
        try:
            yield 1
            waiting.set()
            await asyncio.Event().wait()
        finally:
            told.append("ended")

    interrupt_when(waiting)
    with pytest.raises(KeyboardInterrupt):
        list(portal.iterate(endless()))
    assert told == ["ended"]


def test_closing_ends_what_other_threads_wait_for(portal):
    waiting, raised = threading.Event(), []

    async def endless():
        waiting.set()
        await asyncio.Event().wait()

    def wait():
        with pytest.raises(RuntimeError, match="closed meanwhile"):
            portal.call(endless())
        raised.append(True)

    other = threading.Thread(target=wait)
    other.start()
    waiting.wait()
    portal.close()
    other.join()
    assert raised == [True]


def test_closing_ends_what_is_iterated_over(portal):
    told = []
    items = portal.iterate(numbers(told))
    assert next(items) == 0
    portal.close()
    assert told == ["ended"]
    items.close()


def test_what_is_closed_says_so_and_is_closed_twice(portal):
    portal.close()
    portal.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        portal.call(asyncio.sleep(0))


def test_it_does_not_wait_for_itself(portal):
    async def calls_back():
        return portal.call(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="can't wait for itself"):
        portal.call(calls_back())


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "benchfleet-client"]


def test_no_thread_is_left_when_a_client_is_closed_or_forgotten():
    before = threads()
    with SyncClient("http://127.0.0.1:9", patience_s=0) as client:
        assert len(threads()) == len(before) + 1
        with pytest.raises(OrchestratorUnavailable, match="is it running there"):
            client.workers()
    assert threads() == before
    forgotten = SyncClient("http://127.0.0.1:9")
    del forgotten
    gc.collect()
    assert threads() == before


def test_a_campaign_and_another_patience_keep_the_connection_open():
    campaign = SyncClient("http://127.0.0.1:9").with_patience(0).campaign_of("campaign-1")
    gc.collect()
    for ask in (
        campaign.document,
        lambda: campaign.wait(patience_s=0),
        lambda: next(iter(campaign.follow(patience_s=0))),
    ):
        with pytest.raises(OrchestratorUnavailable):
            ask()


def test_a_program_that_forgets_to_close_ends_without_a_word():
    code = "from daemons.client import SyncClient; client = SyncClient('http://127.0.0.1:9')"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("", "")
