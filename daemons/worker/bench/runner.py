"""Hands the measuring process its order, and makes an outcome of whatever becomes of it.

Used by the worker daemon and by `benchfleet bench`::

    bench = Bench()
    await bench.prepare()                                # a process waits, its imports done
    outcome = await bench.measure(request, on_progress)  # never raises for what a model does
    await bench.close()

Nothing here imports numpy or a runtime.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psutil

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, Progress
from daemons.core.results import Measurement, Outcome, Samples
from daemons.worker.bench.judging import ProcessorWatch, judged
from daemons.worker.bench.leftover import write_note
from daemons.worker.bench.process import Child, ChildDied, OnProgress, start_child
from daemons.worker.bench.readings import read_conditions
from daemons.worker.engines.serving import ONNX_RUNTIME, ONNX_RUNTIME_ALONE, NotServed, Serving, engine_for

MAX_REMARK: Final = 4000


class Kind(NamedTuple):
    """What a measuring process is started with."""

    engine: str
    python: str | None


class Bench:
    """Measures one job at a time, each in a fresh process, the next of which is started ahead of time.

    `serving` tells which engines serve which units; `record` is a file in which the process is noted, so that
    `daemons.worker.bench.leftover.kill_leftover` finds it after this one was killed. The process that waits is of the
    kind that was needed last.
    """

    def __init__(self, serving: Serving = ONNX_RUNTIME_ALONE, record: Path | None = None) -> None:
        self._serving = serving
        self._record = record
        self._kind = Kind(ONNX_RUNTIME, None)
        self._waiting: Child | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Have a process waiting, its imports done. Where that fails, `measure` will say why."""
        await self._reap()
        self._waiting = self._take_waiting()
        if self._waiting is None:
            with contextlib.suppress(ChildDied, OSError):
                self._waiting = await self._started(self._kind)

    async def measure(self, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        """Measure. The outcome says what became of it; OSError alone, if no process can be started, is raised.

        Its time limit is from here on. Cancelling it kills the process; `prepare` and `close` wait for its end.
        """
        before = await asyncio.to_thread(read_conditions, request.compute_unit)
        watch = ProcessorWatch()
        outcome = await self._measured(request, on_progress)
        after = await asyncio.to_thread(read_conditions, request.compute_unit)
        return judged(outcome, before, after, watch)

    async def _measured(self, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        reached = Progress(phase="starting")

        def advance(progress: Progress) -> None:
            nonlocal reached
            reached = progress
            on_progress(progress)

        try:
            kind = Kind(self._engine_of(request), request.python)
            async with asyncio.timeout(request.timeout_s):
                return await self._ordered(kind, request, advance)
        except (ChildDied, NotServed) as error:
            return failure(str(error))
        except TimeoutError:
            return failure(overrun(request.timeout_s, reached))

    def _engine_of(self, request: BenchRequest) -> str:
        """The engine for the request's unit and kind of model. NotServed says why there is none."""
        path = Path(request.model_path)
        name = request.file_name if request.model_folder is None else path.name
        return engine_for(self._serving, request.compute_unit, name).spec

    async def _ordered(self, kind: Kind, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        """What the waiting process answers, if it is of that kind. If it has died before it began, a new one is asked.

        When memory runs out the kernel takes a waiting process first.
        """
        waiting = self._take_waiting_of(kind)
        try:
            if waiting is not None:
                return await self._answered(waiting, kind, request, on_progress)
        except ChildDied:
            if waiting is None or waiting.has_begun:
                raise
        return await self._answered(await self._started(kind), kind, request, on_progress)

    async def _answered(self, child: Child, kind: Kind, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        try:
            return as_outcome(await child.order(document(request, kind.engine), on_progress))
        finally:
            self._end_soon(child)

    async def close(self) -> None:
        """End whatever process there is."""
        child = self._take_waiting()
        if child is not None:
            self._end_soon(child)
        await self._reap()

    def _take_waiting_of(self, kind: Kind) -> Child | None:
        """The process that waits, if it is there and of that kind; from now on that kind is what waits."""
        child = self._take_waiting()
        if child is not None and kind != self._kind:
            self._end_soon(child)
            child = None
        self._kind = kind
        return child

    def _take_waiting(self) -> Child | None:
        """The process that waits, if it is still there."""
        child, self._waiting = self._waiting, None
        if child is None or child.is_alive:
            return child
        self._end_soon(child)
        return None

    async def _started(self, kind: Kind) -> Child:
        child = await start_child(kind.engine, python=kind.python)
        try:
            if self._record is not None:
                await asyncio.to_thread(write_note, self._record, child.pid)
            await child.until_ready()
        except BaseException:
            self._end_soon(child)
            raise
        return child

    def _end_soon(self, child: Child) -> None:
        """Kill it now, without keeping the caller waiting for its end."""
        child.kill()
        task = asyncio.create_task(child.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _reap(self) -> None:
        if self._ending:
            await asyncio.wait(set(self._ending))


def document(request: BenchRequest, engine: str) -> dict[str, Any]:
    """The order as the measuring process reads it."""
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return {"engine": engine, **fields, "memory_limit_bytes": memory_limit(request)}


def memory_limit(request: BenchRequest) -> int | None:
    """The bytes that a measurement may use: on a CPU the whole machine's memory, where the request doesn't tell.

    A model of a few bytes may ask for more than there is, and is to fail with a sentence before the kernel ends
    processes of its own choice. A GPU's driver maps more than there is without using it, so there is no limit then.
    """
    is_cpu = request.compute_unit.startswith("CPU")
    return request.memory_limit_bytes or (psutil.virtual_memory().total if is_cpu else None)


def as_outcome(answer: dict[str, Any]) -> Outcome:
    """The child's answer as an outcome; ChildDied if it isn't one."""
    try:
        return Outcome(
            status=ReportStatus(answer["status"]),
            measurement=msgspec.convert(answer["figures"], Measurement),
            samples=msgspec.convert(answer.get("samples", {}), Samples),
            conditions={"own": {"cpu_s": answer.get("cpu_s")}},
        )
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise ChildDied(f"the measuring process answered with something else than an outcome ({error})") from error


def failure(remark: str) -> Outcome:
    """An outcome without figures."""
    return Outcome(status=ReportStatus.FAILED, measurement=Measurement(remark=remark[:MAX_REMARK]))


def overrun(timeout_s: float, reached: Progress) -> str:
    """The remark of a measurement that took too long."""
    limit = f"{timeout_s:.0f}" if timeout_s >= 100 else f"{timeout_s:.3g}"
    counted = "" if reached.done is None else f", {reached.done:,} of {reached.total or 'unknown'} done"
    return f"the measuring process was killed at its time limit of {limit} s, in the phase {reached.phase}{counted}"
