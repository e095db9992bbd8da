"""Services start together, end together, and none ends in silence."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from structlog.testing import capture_logs

from daemons.runtime.supervise import ServiceEnded, supervise

LONG_S = 60.0


class Diary:
    """Services that write down what happens to them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_serving = asyncio.Event()

    async def obedient(self, stop: asyncio.Event) -> None:
        self.is_serving.set()
        await stop.wait()
        await asyncio.sleep(0)
        self.lines.append("ended in good order")

    async def stubborn(self, _: asyncio.Event) -> None:
        self.is_serving.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.lines.append("was cut off")

    async def deserting(self, _: asyncio.Event) -> None:
        await self.is_serving.wait()

    async def failing(self, _: asyncio.Event) -> None:
        await self.is_serving.wait()
        raise ValueError("out of beer")


@pytest.fixture
async def diary():
    return Diary()


async def test_services_end_when_asked_and_none_is_cut_off(diary):
    stop = asyncio.Event()
    running = asyncio.create_task(supervise({"a": diary.obedient, "b": diary.obedient}, stop, drain_timeout_s=LONG_S))
    await diary.is_serving.wait()
    stop.set()
    assert await running == ()
    assert diary.lines == ["ended in good order"] * 2


async def test_a_stop_that_was_asked_for_before_the_start_is_kept(diary):
    stop = asyncio.Event()
    stop.set()
    assert await supervise({"a": diary.obedient}, stop, drain_timeout_s=LONG_S) == ()


async def test_an_error_travels_out_after_the_others_have_ended_in_good_order(diary):
    services = {"good": diary.obedient, "bad": diary.failing}
    with pytest.raises(ValueError, match="out of beer"):
        await supervise(services, asyncio.Event(), drain_timeout_s=LONG_S)
    assert diary.lines == ["ended in good order"]


async def test_a_service_that_returns_unasked_is_an_error_that_names_it(diary):
    services = {"good": diary.obedient, "deserter": diary.deserting}
    with pytest.raises(ServiceEnded, match="'deserter' ended without being asked to"):
        await supervise(services, asyncio.Event(), drain_timeout_s=LONG_S)
    assert diary.lines == ["ended in good order"]


async def test_a_service_that_cancels_itself_is_an_error_too(diary):
    async def giving_up(stop: asyncio.Event) -> None:
        await diary.is_serving.wait()
        raise asyncio.CancelledError

    with pytest.raises(ServiceEnded, match="'quitter'"):
        await supervise({"good": diary.obedient, "quitter": giving_up}, asyncio.Event(), drain_timeout_s=LONG_S)
    assert diary.lines == ["ended in good order"]


async def test_what_does_not_end_in_time_is_cut_off_and_named(diary):
    stop = asyncio.Event()
    stop.set()
    services = {"good": diary.obedient, "slow": diary.stubborn}
    with capture_logs() as logs:
        assert await supervise(services, stop, drain_timeout_s=0.01) == ("slow",)
    assert diary.lines == ["ended in good order", "was cut off"]
    assert [(line["event"], line["forced"]) for line in logs] == [("services cut off", False)]


async def test_a_second_error_while_stopping_is_logged_and_the_first_travels(diary):
    async def breaking_while_stopping(stop: asyncio.Event) -> None:
        diary.is_serving.set()
        await stop.wait()
        raise KeyError("later")

    services = {"first": diary.failing, "second": breaking_while_stopping}
    with capture_logs() as logs, pytest.raises(ValueError, match="out of beer"):
        await supervise(services, asyncio.Event(), drain_timeout_s=LONG_S)
    assert [(line["event"], line["service"]) for line in logs] == [("another service failed", "second")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_and_the_second_one_forces(diary, number):
    stop = asyncio.Event()
    running = asyncio.create_task(supervise({"slow": diary.stubborn}, stop, drain_timeout_s=LONG_S))
    await diary.is_serving.wait()
    os.kill(os.getpid(), number)
    await stop.wait()
    assert not running.done()
    os.kill(os.getpid(), number)
    assert await running == ("slow",)


async def test_the_first_signal_after_a_failure_does_not_force(diary):
    """Nobody has asked twice: the drain time is still due."""
    may_end = asyncio.Event()

    async def draining(stop: asyncio.Event) -> None:
        diary.is_serving.set()
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await may_end.wait()
        diary.lines.append("drained")

    services = {"draining": draining, "bad": diary.failing}
    running = asyncio.create_task(supervise(services, asyncio.Event(), drain_timeout_s=LONG_S))
    with capture_logs() as logs:
        while not logs:  # noqa: ASYNC110 (the log line is the only trace)
            await asyncio.sleep(0)
    assert logs[0]["event"] == "stop asked for"
    may_end.set()
    with pytest.raises(ValueError, match="out of beer"):
        await running
    assert diary.lines == ["drained"]


async def test_the_signals_have_their_own_effect_again_afterwards(diary):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    stop = asyncio.Event()
    stop.set()
    await supervise({"a": diary.obedient}, stop, drain_timeout_s=LONG_S)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


async def test_cancelling_it_cancels_its_services(diary):
    running = asyncio.create_task(supervise({"slow": diary.stubborn}, asyncio.Event(), drain_timeout_s=LONG_S))
    await diary.is_serving.wait()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert diary.lines == ["was cut off"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
