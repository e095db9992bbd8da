"""A daemon as a group of named services that start together and end together.

Each service is a coroutine function that takes the stop event, works until it is set, then comes to an end of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog

from daemons.runtime.notify import Notifier

log = structlog.get_logger(__name__)

Service = Callable[[asyncio.Event], Awaitable[None]]

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class ServiceEnded(RuntimeError):
    """A service returned although nobody had asked it to: a daemon without it would live on half dead."""


async def supervise(
    services: Mapping[str, Service],
    stop: asyncio.Event,
    *,
    drain_timeout_s: float,
    notifier: Notifier | None = None,
) -> tuple[str, ...]:
    """Run all services until `stop` is set, by the caller, a service or a signal, and until all have then ended.

    SIGTERM or SIGINT sets `stop`; a second one cuts off what still runs, a third has the effect it had before. A
    service that raises, or returns unasked (ServiceEnded), makes the others stop in good order; the first such error
    travels out. Services that still run `drain_timeout_s` after `stop` are cancelled, and their names returned.
    `notifier` is fed meanwhile, also while draining, and told of the stop; to tell it "ready" is a service's affair.
    """
    notifier = notifier or Notifier()
    force = asyncio.Event()
    failures: list[Exception] = []
    with _stopped_by_signals(stop, force):
        async with notifier.feeding(), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_run(name, service, stop, failures), name=name) for name, service in services.items()
            ]
            await stop.wait()
            notifier.stopping()
            cut_off = await _drain(tasks, force, drain_timeout_s)
    if failures:
        raise failures[0]
    return cut_off


async def _run(name: str, service: Service, stop: asyncio.Event, failures: list[Exception]) -> None:
    try:
        await service(stop)
    except Exception as error:
        # The first travels out of `supervise`, after the others have stopped; of the later ones this is the only trace.
        if failures:
            log.exception("another service failed", service=name)
        failures.append(error)
    finally:
        if not stop.is_set() and not failures:
            failures.append(ServiceEnded(f"the service {name!r} ended without being asked to"))
        stop.set()


async def _drain(tasks: Sequence[asyncio.Task[None]], force: asyncio.Event, timeout_s: float) -> tuple[str, ...]:
    """Wait for the services to end, cancel those that don't, and name them."""
    forced, ended = asyncio.create_task(force.wait()), asyncio.create_task(asyncio.wait(tasks))
    try:
        await asyncio.wait((forced, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        forced.cancel()
        ended.cancel()
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel()
    names = tuple(task.get_name() for task in late)
    if names:
        log.warning("services cut off", services=names, forced=force.is_set(), drain_timeout_s=timeout_s)
    return names


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event, force: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    asked = False

    def take(number: signal.Signals) -> None:
        nonlocal asked
        if not asked:
            log.info("stop asked for", signal=number.name)
            asked = True
            stop.set()
        else:
            force.set()
            _give_back(former, loop)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, take, number)
    try:
        yield
    finally:
        _give_back(former, loop)


def _give_back(former: Mapping[signal.Signals, Any], loop: asyncio.AbstractEventLoop) -> None:
    """The signals have the effect again that they had before: asyncio by itself would set Python's default for it."""
    for number, effect in former.items():
        if loop.remove_signal_handler(number):
            signal.signal(number, effect)
