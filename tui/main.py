"""Puts the dashboard together: client, links, recording, preferences; and runs it."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from daemons.client import Client
from tui.app import Dashboard, Service
from tui.desk import Desk
from tui.links.asking import ClientAsker
from tui.links.choosing import Chooser
from tui.links.follower import Follower
from tui.links.recording import Recorder, Replay, open_recording, read_recording
from tui.settings import Preferences
from tui.tidying import tidy

NO_PATIENCE_S: Final = 0.0
"""The dashboard says at once what it has lost, and comes back by itself."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    url: str
    token_file: Path | None = None
    redis: str = "auto"
    """`auto`, `none`, or an address."""
    redis_prefix: str = "benchfleet:"
    is_read_only: bool = False
    record: Path | None = None
    replay: Path | None = None
    preferences: Preferences = Preferences()


async def run(wanted: Wanted, stop: asyncio.Event | None = None) -> int:
    """The dashboard, until it is quit or told to end, by `stop` or a signal; its exit status.

    ConfigInvalid before anything is drawn.
    """
    stop = stop or _told_to_end()
    async with AsyncExitStack() as stack:
        dashboard = await (_replaying(wanted, wanted.replay) if wanted.replay else _live(wanted, stack))
        dashboard.serve(lambda: tidy(dashboard.idle_s))
        dashboard.serve(lambda: _end_with(dashboard, stop))
        status = await dashboard.run_async()
        return dashboard.return_code or status or 0


def _told_to_end() -> asyncio.Event:
    """Set by a signal, or when the terminal has gone: whatever ends it, the terminal is left as it was."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _end_with(dashboard: Dashboard, stop: asyncio.Event) -> None:
    await stop.wait()
    dashboard.exit(0)


async def _replaying(wanted: Wanted, path: Path) -> Dashboard:
    replay = Replay(read_recording(path))
    desk = Desk(path.name, time, replay.ask, can_change=False, is_replay=True)
    return Dashboard(desk, [lambda: replay.follow(desk.tell)], wanted.preferences)


async def _live(wanted: Wanted, stack: AsyncExitStack) -> Dashboard:
    client = Client(wanted.url, wanted.token_file, patience_s=NO_PATIENCE_S)
    recorder = _recorder(wanted.record, stack) if wanted.record else None
    await stack.enter_async_context(client)
    host = client.url.partition("://")[2]
    desk = Desk(host, time, ClientAsker(client), can_change=not wanted.is_read_only)
    chooser = Chooser(client, wanted.redis, wanted.redis_prefix)
    follower = Follower(chooser.open, client, desk.tell)
    services: list[Service] = [follower.follow, follower.watch_health]
    if recorder is not None:
        desk.recorded = recorder.tell
        services.append(recorder.keep)
    return Dashboard(desk, services, wanted.preferences)


def _recorder(path: Path, stack: AsyncExitStack) -> Recorder:
    return Recorder(stack.enter_context(open_recording(path)), time.monotonic)
