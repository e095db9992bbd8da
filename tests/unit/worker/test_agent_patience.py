"""Waiting well."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from structlog.testing import capture_logs

from daemons.core.errors import NotAuthenticated, NotFound, StoreUnavailable
from daemons.worker import patience
from daemons.worker.patience import Contact, backoff, first_of, unless


def test_delays_double_up_to_a_limit_and_are_jittered():
    delays = list(itertools.islice(backoff(10.0, random.Random(1)), 200))
    plain = [0.5, 1, 2, 4, 8, *[10] * 195]
    assert all(0.5 * p <= d <= 1.5 * p for p, d in zip(plain, delays, strict=True))
    assert len(set(delays)) == 200


async def test_the_first_to_end_counts_and_the_others_have_ended_too():
    ended = []

    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")
        return "slow"

    async def quick() -> str:
        return "quick"

    assert await first_of(slow(), quick()) == "quick"
    assert ended == ["slow"]


async def test_of_two_that_end_at_once_the_first_named_counts():
    async def named(name: str) -> str:
        return name

    assert await first_of(named("work"), named("bell")) == "work"


async def test_an_error_of_the_first_to_end_travels_and_cancelling_reaches_all():
    async def failing() -> None:
        raise ValueError("bug")

    ended = []

    async def waiting() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(1)
            raise

    with pytest.raises(ValueError, match="bug"):
        await first_of(failing(), waiting())
    racing = asyncio.create_task(first_of(waiting(), waiting()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert len(ended) == 3


async def test_work_is_broken_off_when_the_bell_rings():
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    assert await unless(stop, asyncio.sleep(60, "done")) is None
    assert await unless(asyncio.Event(), asyncio.sleep(0, "done")) == "done"


async def test_an_outage_is_told_once_and_its_end_once(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.001)
    failures = [StoreUnavailable("away"), NotAuthenticated("who?"), StoreUnavailable("away")]

    async def request() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    contact = Contact("http://host")
    with capture_logs() as lines:
        assert await contact.insist(request) == "answer"
        assert await contact.ask(request) == "answer"
    assert [line["event"] for line in lines] == ["orchestrator lost", "orchestrator found again"]


async def test_an_error_that_would_repeat_is_not_asked_again():
    calls = []

    async def request() -> None:
        calls.append(1)
        raise NotFound("no such worker")

    with pytest.raises(NotFound):
        await Contact("http://host").insist(request)
    assert len(calls) == 1


async def test_a_server_may_ask_for_more_time_but_not_without_end(monkeypatch):
    error = StoreUnavailable("away")
    assert patience._asked_delay_s(error, 10.0) == 0.0
    error.retry_after_s = 7
    assert patience._asked_delay_s(error, 10.0) == 7.0
    assert patience._asked_delay_s(error, 3.0) == 3.0
