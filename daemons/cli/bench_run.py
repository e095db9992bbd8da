"""Carries out the measurements of a plan, one after another, each in a fresh process, exactly as a worker would."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from rich.progress import Progress, TaskID

from daemons.cli.bench_engines import runner_for
from daemons.cli.bench_files import on_disk
from daemons.cli.bench_plan import Case, Plan
from daemons.cli.tables import make_console, make_progress, shown
from daemons.core.errors import BenchfleetError
from daemons.core.models import Progress as Position
from daemons.core.results import DEVICE_COLUMNS, Outcome, Samples
from daemons.worker.bench.runner import Bench
from daemons.worker.devicelock import measuring_lock
from daemons.worker.host import device_facts

LONGEST_LABEL: Final = 24


class Result(NamedTuple):
    """One measurement that has ended, well or not."""

    case: Case
    row: dict[str, Any]
    """By the CSV's column names; what is not known is absent or None."""
    evidence: dict[str, Any]
    """The single samples and the device's conditions, where there are any, by name."""

    @property
    def is_complete(self) -> bool:
        """Whether it has figures."""
        return bool(self.row["Status"] == "Complete")


Keep = Callable[[Result], None]


async def measure_all(plan: Plan, keep: Keep) -> None:
    """Measure, and give each result to `keep` as soon as it is there.

    The device's measuring lock is held from before the first measurement until after the last, so that nothing of
    ours, such as installing a version of an engine, stands between the rounds of a comparison or beside another's. A
    subject that has failed is left out of the rounds that follow at that batch size. Cancelling ends the measuring
    process at once.
    """
    with _watching(plan.size) as watch:
        async with measuring_lock().held():
            runner = await runner_for(plan, watch.say)
            try:
                await _measure_each(plan, runner, watch, keep)
            finally:
                await runner.close()


async def _measure_each(plan: Plan, runner: Bench, watch: _Watch, keep: Keep) -> None:
    files = {model: await on_disk(model) for model in dict.fromkeys(subject.model for subject in plan.subjects)}
    device = _device()
    failed: set[tuple[int, int | None]] = set()
    for case in plan.cases():
        if (case.subject, case.batch) in failed:
            watch.skip()
            continue
        result, file = await _measured(plan, case, runner, watch), files[plan.subjects[case.subject].model]
        result.row.update(file.facts, **device)
        file.require_same()
        if not result.is_complete:
            failed.add((case.subject, case.batch))
        keep(result)


async def _measured(plan: Plan, case: Case, runner: Bench, watch: _Watch) -> Result:
    request = plan.request(case)
    watch.begin(plan.labels[case.subject])
    await runner.prepare(request)
    started = _now()
    try:
        outcome = await runner.measure(request, watch.advance)
    except OSError as error:
        raise BenchfleetError(f"no measuring process can be started: {error}") from error
    trace = {"StartedAt": started, "EndedAt": _now()}
    named = {"FileName": plan.names[case.subject], "ComputeUnits": request.compute_unit}
    row = {"Status": outcome.status.value, **named}
    return Result(case, msgspec.to_builtins(outcome.measurement) | row | trace, _evidence(outcome))


def _evidence(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if outcome.samples != Samples():
        found["Samples"] = msgspec.to_builtins(outcome.samples)
    if outcome.conditions:
        found["Conditions"] = outcome.conditions
    return found


def _device() -> dict[str, Any]:
    """The cells of this device, as a campaign's row has them."""
    facts = msgspec.to_builtins(device_facts())
    return {**{name: facts.get(name) for name in DEVICE_COLUMNS}, "DeviceName": socket.gethostname()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Watch:
    """How far the work is, for a person who waits: painted when something is said, and at no other time."""

    def __init__(self, progress: Progress, task: TaskID, size: int) -> None:
        self._progress, self._task, self._size = progress, task, size
        self._number, self._label = 0, ""

    def begin(self, label: str) -> None:
        """The next measurement is due."""
        self._number += 1
        place = f"{self._number}/{self._size} " if self._size > 1 else ""
        short = label if len(label) <= LONGEST_LABEL else f"…{label[1 - LONGEST_LABEL :]}"
        self._label = place + shown(short)
        self._paint("starting", None, None)

    def say(self, text: str) -> None:
        """What keeps the first measurement waiting."""
        self._progress.update(self._task, description=shown(text), refresh=True)

    def skip(self) -> None:
        """The next measurement is left out."""
        self._number += 1

    def advance(self, position: Position) -> None:
        """The measurement is this far."""
        self._paint(position.phase, position.done, position.total)

    def _paint(self, phase: str, done: int | None, total: int | None) -> None:
        self._progress.update(
            self._task, description=f"{self._label}: {phase}", completed=done or 0, total=total, refresh=True
        )


@contextmanager
def _watching(size: int) -> Iterator[_Watch]:
    with make_progress(make_console(to_stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("waiting for this machine's turn", total=None)
        progress.refresh()
        yield _Watch(progress, task, size)
