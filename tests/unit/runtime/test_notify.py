"""What a service manager hears."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys

import pytest
from structlog.testing import capture_logs

from daemons.runtime.notify import MAX_STATUS, Notifier
from daemons.runtime.supervise import supervise


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd opens it, and the address that it puts into the environment."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    name = f"benchfleet-test-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address.replace("@", "\0") if request.param == "abstract" else address)
        channel.setblocking(False)
        yield channel, address


def heard(channel):
    messages = []
    while True:
        try:
            messages.append(channel.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_each_message_is_as_the_protocol_spells_it(manager):
    channel, address = manager
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": address})
    notifier.ready("serving\nMAINPID=1")
    notifier.status("x" * 10_000)
    notifier.beat()
    notifier.stopping()
    assert heard(channel) == [
        "READY=1\nSTATUS=serving MAINPID=1",
        f"STATUS={'x' * MAX_STATUS}",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_one_that_is_meant_for_this_process(environ, expected):
    assert Notifier.from_environ({"NOTIFY_SOCKET": "/run/x", **environ}, pid=77).watchdog_s == expected


async def test_the_watchdog_is_fed_at_once_and_then_for_as_long_as_the_loop_goes_on(manager):
    channel, address = manager
    async with Notifier(address, watchdog_s=0.002).feeding():
        beats = []
        while len(beats) < 4:
            await asyncio.sleep(0)
            beats += heard(channel)
    assert set(beats) == {"WATCHDOG=1"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_watchdog_is_fed_twice_within_its_time(manager, monkeypatch):
    channel, address = manager
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr("daemons.runtime.notify.asyncio.sleep", sleep)
    async with Notifier(address, watchdog_s=30.0).feeding():
        while not slept:
            await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name() != "watchdog":
                task.cancel()
    assert slept == [15.0]
    assert heard(channel) == ["WATCHDOG=1"]


async def test_draining_is_told_and_the_watchdog_fed_meanwhile(manager):
    """A long drain must not be taken for a hang."""
    channel, address = manager
    messages = []

    async def draining(stop):
        await stop.wait()
        while messages[-3:] != ["WATCHDOG=1"] * 3:
            await asyncio.sleep(0)
            messages.extend(heard(channel))

    stop = asyncio.Event()
    stop.set()
    await supervise({"d": draining}, stop, drain_timeout_s=60, notifier=Notifier(address, watchdog_s=0.002))
    assert "STOPPING=1" in messages
    assert messages.index("STOPPING=1") < len(messages) - 3


async def test_where_no_manager_listens_nothing_happens():
    notifier = Notifier.from_environ({"WATCHDOG_USEC": "1"})
    with capture_logs() as logs:
        notifier.ready()
        async with notifier.feeding():
            await asyncio.sleep(0)
    assert logs == []


def test_a_manager_that_has_gone_is_a_warning_and_no_error(tmp_path):
    with capture_logs() as logs:
        Notifier(str(tmp_path / "gone")).ready()
    assert [line["event"] for line in logs] == ["service manager not notified"]
