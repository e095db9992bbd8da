"""Does to a running fleet what a plan says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import psutil

from tests.soak.clients import Clients
from tests.soak.kept import Kept
from tests.soak.plan import Fault, Kind
from tests.soak.stack import CHILD, Stack

T = TypeVar("T")

POLL_S = 0.05


class Faults:
    """Carries out a plan. `done` counts what hit somebody, `missed` what found nobody to hit at its moment."""

    def __init__(self, stack: Stack, clients: Clients) -> None:
        self._stack = stack
        self._clients = clients
        self.done: Counter[Kind] = Counter()
        self.missed: Counter[Kind] = Counter()
        self._under_way = 0
        self._power = asyncio.Lock()

    async def carry_out(self, plan: Iterable[Fault], count: int) -> None:
        """Each fault at its time, until `count` have hit and are over; then whatever was stopped goes on."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                while self.done.total() + self._under_way >= count > self.done.total():  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)  # whether those under way hit is not known yet
                if self.done.total() >= count:
                    break
                await asyncio.sleep(max(0.0, began + fault.at_s - loop.time()))
                self._under_way += 1
                group.create_task(self._do(fault))
        self._stack.resume()

    async def _do(self, fault: Fault) -> None:
        try:
            has_hit = await _ACTIONS[fault.kind](self, fault)
        finally:
            self._under_way -= 1
        (self.done if has_hit else self.missed)[fault.kind] += 1

    async def signal_worker(self, fault: Fault, number: signal.Signals) -> bool:
        return _pick(fault, self._stack.workers).send(number)

    async def signal_orchestrator(self, fault: Fault, number: signal.Signals) -> bool:
        return _pick(fault, self._stack.orchestrators).send(number)

    async def stop_worker(self, fault: Fault) -> bool:
        return await self._stop_program(_pick(fault, self._stack.workers), fault.hold_s)

    async def stop_orchestrator(self, fault: Fault) -> bool:
        return await self._stop_program(_pick(fault, self._stack.orchestrators), fault.hold_s)

    async def _stop_program(self, program: Kept, hold_s: float) -> bool:
        pid = program.pid
        return pid is not None and await _stop_process(psutil.Process(pid), hold_s)

    async def kill_child(self, fault: Fault) -> bool:
        return (child := self._child(fault)) is not None and _kill(child)

    async def stop_child(self, fault: Fault) -> bool:
        return (child := self._child(fault)) is not None and await _stop_process(child, fault.hold_s)

    def _child(self, fault: Fault) -> psutil.Process | None:
        children = [child for worker in self._stack.workers for child in worker.descendants(CHILD)]
        return _pick(fault, children) if children else None

    async def kill_server(self, _: Fault) -> bool:
        return (server := self._stack.server_process()) is not None and _kill(server)

    async def stop_server(self, fault: Fault) -> bool:
        server = self._stack.server_process()
        return server is not None and await _stop_process(server, fault.hold_s)

    async def lose_power(self, _: Fault) -> bool:
        async with self._power:
            return await self._stack.lose_power() is not None

    async def cut_connections(self, _: Fault) -> bool:
        return self._stack.proxy.cut_all() > 0

    async def cancel_campaign(self, fault: Fault) -> bool:
        return await self._with_campaign(fault, self._clients.cancel)

    async def cancel_job(self, fault: Fault) -> bool:
        return await self._with_campaign(fault, lambda campaign: self._clients.cancel_job(f"{campaign}-job-0"))

    async def retry_campaign(self, fault: Fault) -> bool:
        failed = [one["campaign_id"] for one in await self._clients.campaigns() if one["failed_jobs"]]
        if not failed:
            return False
        return (await self._stack.insist("POST", f"/campaigns/{_pick(fault, failed)}/retry"))["status_code"] == 200

    async def _with_campaign(self, fault: Fault, action: Callable[[str], Awaitable[Any]]) -> bool:
        campaigns = await self._clients.open_campaigns()
        if not campaigns:
            return False
        await action(_pick(fault, campaigns))
        return True

    async def drain_worker(self, fault: Fault) -> bool:
        workers = (await self._stack.ask("GET", "/workers")).get("workers")
        if not workers:
            return False
        path = f"/workers/{_pick(fault, workers)['worker_id']}"
        await self._stack.insist("POST", f"{path}/drain")
        await asyncio.sleep(fault.hold_s)
        await self._stack.insist("POST", f"{path}/undrain")
        return True


_ACTIONS: dict[Kind, Callable[[Faults, Fault], Awaitable[bool]]] = {
    Kind.KILL_WORKER: lambda faults, fault: faults.signal_worker(fault, signal.SIGKILL),
    Kind.TERMINATE_WORKER: lambda faults, fault: faults.signal_worker(fault, signal.SIGTERM),
    Kind.STOP_WORKER: Faults.stop_worker,
    Kind.KILL_CHILD: Faults.kill_child,
    Kind.STOP_CHILD: Faults.stop_child,
    Kind.KILL_ORCHESTRATOR: lambda faults, fault: faults.signal_orchestrator(fault, signal.SIGKILL),
    Kind.TERMINATE_ORCHESTRATOR: lambda faults, fault: faults.signal_orchestrator(fault, signal.SIGTERM),
    Kind.STOP_ORCHESTRATOR: Faults.stop_orchestrator,
    Kind.KILL_SERVER: Faults.kill_server,
    Kind.STOP_SERVER: Faults.stop_server,
    Kind.LOSE_POWER: Faults.lose_power,
    Kind.CUT_CONNECTIONS: Faults.cut_connections,
    Kind.CANCEL_CAMPAIGN: Faults.cancel_campaign,
    Kind.CANCEL_JOB: Faults.cancel_job,
    Kind.DRAIN_WORKER: Faults.drain_worker,
    Kind.RETRY_CAMPAIGN: Faults.retry_campaign,
}


def _pick(fault: Fault, among: Sequence[T]) -> T:
    return among[int(fault.pick * len(among))]


def _kill(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        process.kill()
        return True
    return False


async def _stop_process(process: psutil.Process, hold_s: float) -> bool:
    """Stop this process, and no other that gets its number meanwhile; whether it was there."""
    with contextlib.suppress(psutil.Error):
        process.suspend()
        await asyncio.sleep(hold_s)
        with contextlib.suppress(psutil.Error):
            process.resume()
        return True
    return False
