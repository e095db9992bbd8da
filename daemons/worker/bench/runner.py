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
from collections.abc import AsyncIterator
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
from daemons.worker.environments import Environment, Environments, NotPrepared, of_version

MAX_REMARK: Final = 4000
PREPARING: Final = "preparing engine"


class Kind(NamedTuple):
    """What a measuring process is started with."""

    engine: str
    python: str | None
    """The interpreter of another environment, whose place no later one is given. None: our own."""


class Reached:
    """Passes on how far a measurement is, and remembers it."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self.position = Progress(phase="starting")

    def advance(self, position: Progress) -> None:
        """The measurement is this far."""
        self.position = position
        self._on_progress(position)


class Bench:
    """Measures one job at a time, each in a fresh process, the next of which is started ahead of time.

    `serving` tells which engines serve which units; `record` is a file in which the process is noted, so that
    `daemons.worker.bench.leftover.kill_leftover` finds it after this one was killed; `environments` have other
    versions of engines. The process that waits is of the kind that was needed last.
    """

    def __init__(
        self,
        serving: Serving = ONNX_RUNTIME_ALONE,
        record: Path | None = None,
        environments: Environments | None = None,
    ) -> None:
        self._serving = serving
        self._record = record
        self._environments = environments
        self._kind = Kind(ONNX_RUNTIME, None)
        self._waiting: Child | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def equip(self, request: BenchRequest, on_progress: OnProgress) -> None:
        """Have the version of the engine that the request needs. NotServed or NotPrepared say why there is none."""
        async with self._equipped(request, on_progress):
            pass

    async def prepare(self, request: BenchRequest | None = None) -> None:
        """Have a process waiting, its imports done: for such a request, else of the kind that was needed last.

        Where that fails, `measure` will say why.
        """
        await self._reap()
        with contextlib.suppress(ChildDied, OSError, NotServed, NotPrepared):
            if request is None:
                await self._have_waiting(self._kind)
            else:
                async with self._equipped(request, lambda _: None) as (kind, _):
                    await self._have_waiting(kind)

    async def measure(self, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        """Measure. The outcome says what became of it; OSError alone, if no process can be started, is raised.

        Its time limit is from here on, and holds for making an environment as well. Cancelling it kills the process;
        `prepare` and `close` wait for its end.
        """
        deadline, reached = asyncio.get_running_loop().time() + request.timeout_s, Reached(on_progress)
        try:
            async with contextlib.AsyncExitStack() as equipment:
                async with asyncio.timeout_at(deadline):
                    equipped = self._equipped(request, reached.advance)
                    kind, environment = await equipment.enter_async_context(equipped)
                    await self._have_waiting(kind)
                outcome = await self._watched(kind, request, reached, deadline)
                return outcome if environment is None else of_version(outcome, environment)
        except (ChildDied, NotServed, NotPrepared) as error:
            return failure(str(error))
        except TimeoutError:
            return failure(overrun(request.timeout_s, reached.position))

    @contextlib.asynccontextmanager
    async def _equipped(
        self, request: BenchRequest, on_progress: OnProgress
    ) -> AsyncIterator[tuple[Kind, Environment | None]]:
        """What to measure with, which stays as long as this lasts."""
        engine, version = self._engine_of(request), request.engine_version
        if version is None:
            yield Kind(engine, None), None
        elif self._environments is None:
            raise NotPrepared(f"no other versions of engines are kept here, so {version} can't be used")
        else:
            async with self._environments.using(version, lambda: on_progress(Progress(phase=PREPARING))) as found:
                yield Kind(engine, found.python), found

    def _engine_of(self, request: BenchRequest) -> str:
        """The engine for the request's unit, kind of model and package. NotServed says why there is none."""
        path, version = Path(request.model_path), request.engine_version
        name = request.file_name if request.model_folder is None else path.name
        package = None if version is None else version.partition("==")[0]
        return engine_for(self._serving, request.compute_unit, name, package).spec

    async def _watched(self, kind: Kind, request: BenchRequest, reached: Reached, deadline: float) -> Outcome:
        """The outcome, judged by what the device did meanwhile. The process waits already, so its start is left out."""
        before = await asyncio.to_thread(read_conditions, request.compute_unit)
        watch = ProcessorWatch()
        try:
            async with asyncio.timeout_at(deadline):
                outcome = await self._ordered(kind, request, reached.advance)
        except ChildDied as error:
            outcome = failure(str(error))
        except TimeoutError:
            outcome = failure(overrun(request.timeout_s, reached.position))
        after = await asyncio.to_thread(read_conditions, request.compute_unit)
        return judged(outcome, before, after, watch)

    async def _ordered(self, kind: Kind, request: BenchRequest, on_progress: OnProgress) -> Outcome:
        """What the waiting process answers. If it has died before it began, a new one is asked.

        When memory runs out the kernel takes a waiting process first.
        """
        waiting = self._take_waiting()
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

    async def _have_waiting(self, kind: Kind) -> None:
        """Have a process of that kind waiting; one of another kind is ended. From now on that kind is what waits."""
        child = self._take_waiting()
        if child is not None and kind != self._kind:
            self._end_soon(child)
            child = None
        self._kind = kind
        self._waiting = child or await self._started(kind)

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
    if reached.phase == PREPARING:
        return f"the engine was still being installed at the time limit of {limit} s"
    counted = "" if reached.done is None else f", {reached.done:,} of {reached.total or 'unknown'} done"
    return f"the measuring process was killed at its time limit of {limit} s, in the phase {reached.phase}{counted}"
