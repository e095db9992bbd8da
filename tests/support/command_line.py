"""`benchfleet` as a person calls it, in this process, for an orchestrator with quick devices that runs in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import structlog

from daemons.cli import main
from daemons.runtime import logs
from tests.support.orchestrator import orchestrating
from tests.support.processes import Api, environment
from tests.support.quick import quick_workers
from tests.support.store import fresh_store


class Ended(NamedTuple):
    """How a command has ended."""

    status: int
    out: str
    err: str


def run(*arguments: str, **environ: str) -> Ended:
    """The command, run to its end as from a shell whose streams are pipes."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.object(sys, "argv", ["benchfleet", *arguments]),
        mock.patch.dict("os.environ", environment(**environ), clear=True),
        mock.patch("structlog.configure"),  # the logs of this process are the tests'
        mock.patch.object(logs, "_route_standard_logging"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Ended(status, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]


class Fleet:
    """An orchestrator with devices, and what one asks it with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.api = Api(url)

    def __call__(self, *arguments: str, **environ: str) -> Ended:
        """A command that is given to this orchestrator."""
        return run(*arguments, BENCHFLEET_URL=self.url, **environ)


@contextlib.contextmanager
def running_fleet(valkey_url: str, folder: Path, *names: str) -> Iterator[Fleet]:
    """An orchestrator in a thread, with one quick device for each of the names. What it logs is nobody's output."""
    folder.mkdir(parents=True, exist_ok=True)
    before, was_configured = structlog.get_config(), structlog.is_configured()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        with _serving(valkey_url, folder, names) as url:
            yield Fleet(url)
    finally:
        structlog.configure(**before) if was_configured else structlog.reset_defaults()


@contextlib.contextmanager
def _serving(valkey_url: str, folder: Path, names: Sequence[str]) -> Iterator[str]:
    """The address of the orchestrator."""
    url: Future[str] = Future()
    stop: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.set_result((loop, stopping))
        async with (
            fresh_store(valkey_url) as store,
            orchestrating(store, folder / "outputs") as api,
            quick_workers(api.url, folder / "devices", len(names), names=names),
        ):
            while (await api("GET", "/workers")).document["count"] < len(names):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            url.set_result(api.url)
            await stopping.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if not url.done():
                url.set_exception(error)
            raise

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield url.result(timeout=60)
    finally:
        loop, stopping = stop.result(timeout=60)
        with contextlib.suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(stopping.set)
        thread.join(timeout=60)
        assert not thread.is_alive()
