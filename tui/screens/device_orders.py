"""What can be done with a device, on whichever screen it is chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from daemons.core.errors import BenchfleetError
from tui.board.cells import plain
from tui.board.things import Worker
from tui.screens.base import BoardScreen
from tui.screens.confirm import ConfirmScreen

A_MOMENT_S: Final = 0.2
SMALL_FLEET: Final = 200
"""All devices of such a fleet are asked for at once; of a larger one, those that are seen are."""


class DeviceOrders(BoardScreen):
    """Drain, undrain, reset, remove: for the device that `device` names."""

    def device(self) -> Worker | None:
        """The device that is meant; None if there is none."""
        raise NotImplementedError

    def action_drain(self) -> None:
        """Let it end its job and take no more."""
        self._order("drain_worker")

    def action_undrain(self) -> None:
        """Let it take jobs again."""
        self._order("undrain_worker")

    def action_reset_worker(self) -> None:
        """Take it back into service."""
        self._order("reset_worker")

    def action_remove_worker(self) -> None:
        """Forget it, after having asked."""
        if (worker := self.device()) is not None:
            self.app.push_screen(ConfirmScreen(*_removal(worker)), lambda yes: self._remove(worker) if yes else None)

    def watch_beats(self, worker_ids: Sequence[str]) -> None:
        """Learn in the background when these devices were last heard of."""
        known = [worker_id for worker_id in worker_ids if worker_id in self.desk.board.workers]
        if known and self.desk.link.is_live and not self.desk.is_replay:
            self.work(partial(self._beats, known), "beats")

    def _order(self, method: str) -> None:
        if (worker := self.device()) is not None:
            self.attempt(self._ordered(method, worker))

    async def _ordered(self, method: str, worker: Worker) -> str:
        answer = await self.desk.order(method, worker_id=worker.worker_id)
        return f"{plain(worker.device_name)}: {answer['message']}"

    def _remove(self, worker: Worker) -> None:
        self.attempt(self._removed(worker))

    async def _removed(self, worker: Worker) -> str:
        is_gone = worker.status in ("offline", "faulty")
        answer = await self.desk.order("remove_worker", worker_id=worker.worker_id, force=not is_gone)
        return f"{plain(worker.device_name)}: {answer['message']}"

    async def _beats(self, worker_ids: Sequence[str]) -> None:
        await asyncio.sleep(A_MOMENT_S)  # what a key has brought is painted first
        try:
            if len(self.desk.board.workers) <= SMALL_FLEET:
                answers = (await self.desk.ask("workers_health"))["workers"]
            else:
                answers = [await self.desk.ask("worker_health", worker_id=worker_id) for worker_id in worker_ids]
        except BenchfleetError:
            return  # the link says what is lost; the ages that are known go on rising
        ages = {one["worker_id"]: one["seconds_since_heartbeat"] for one in answers}
        self.desk.heard({worker_id: age for worker_id, age in ages.items() if age is not None})


def _removal(worker: Worker) -> tuple[str, list[str]]:
    """The question, and what would be gone."""
    name = plain(worker.device_name)
    lost = [f"device {name} ({worker.worker_id})", "every job that waits for this device alone fails"]
    if worker.current_job:
        lost.append(f"its running job {worker.current_job} goes back to the queue")
    if worker.status not in ("offline", "faulty"):
        lost.append("it is alive, and will register again as a new device")
    return f"Remove {name}?", lost
