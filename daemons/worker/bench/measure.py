"""The phases of a measurement, in their order, over a clock, a memory and an engine that are passed in.

Nothing happens between the two readings of the clock that enclose a run but the run itself.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

from daemons.core.stats import relative_spread
from daemons.core.verdict import sample_doubts
from daemons.worker.bench.memory import Memory
from daemons.worker.bench.placement import require_placement
from daemons.worker.engines.base import Engine, EngineError, Facts, LoadedModel, LoadOptions, Wishes

Clock = Callable[[], int]
"""Nanoseconds that never go back."""

Progress = Callable[[str, int | None, int | None], None]
"""Told the phase, and how many of how many are done; never while the clock runs."""

SETTLED_RUNS: Final = 5
SETTLED_SPREAD: Final = 0.05
MAX_WARMUP_RUNS: Final = 50
MAX_WARMUP_NS: Final = 10 * 10**9
READ_CHUNK: Final = 2**16
"""Small on purpose: a freed block of 128 KB or more makes the allocator keep more of the heap from then on."""


class Extension(NamedTuple):
    """How far a run that is noisy may go on."""

    max_runs: int
    max_seconds: float


class Order(NamedTuple):
    """What to measure, and how often."""

    path: str
    unit: str
    inference_runs: int
    load_runs: int
    warmup_runs: int | None
    options: LoadOptions
    seed: int
    extension: Extension | None = None
    wishes: Wishes = Wishes()
    cold_file: bool = False
    folder: str | None = None
    """Where other files of the model lie, if there are any."""
    placement: str = "any"
    """How much of the graph the unit's own provider must have taken: `daemons.worker.bench.placement`."""
    keep_outputs: bool = False
    """Whether the outputs of one more run are wanted, made when nothing is measured any more."""


class Checked(NamedTuple):
    """What checking the outputs came to."""

    columns: Mapping[str, Any]
    """By CSV column name."""
    warnings: tuple[str, ...]


NOTHING_CHECKED: Final = Checked({}, ())


class Taken(NamedTuple):
    """What was measured: times in nanoseconds, memory in bytes."""

    loads: list[int]
    warmups: list[int]
    runs: list[int]
    first_run: int | None
    """The very first inference of the process."""
    baseline: int | None
    load_peak: int | None
    inference_peak: int | None
    peaks_are_per_phase: bool
    cpu_s: float
    wall_s: float
    facts: Facts
    shapes: str
    gpu: Mapping[str, Any] = {}
    """What was read of NVIDIA's GPU, by CSV column name, whether it was the one in use or not."""
    notes: tuple[str, ...] = ()
    """What could not be done as the order says."""
    values: Mapping[str, Any] = {}
    """What the model was fed with, by input name, where its outputs were wanted."""
    outputs: Mapping[str, Any] | None = None


class Gpu(Protocol):
    """What can be read of a GPU at the end of a phase, by CSV column name."""

    def after_load(self) -> dict[str, Any]:
        """When the model is loaded."""

    def after_runs(self) -> dict[str, Any]:
        """Right after the timed runs."""


class Instruments(NamedTuple):
    """What a measurement reads."""

    clock: Clock
    cpu_clock: Callable[[], float]
    memory: Memory
    progress: Progress
    gpu: Gpu | None = None


def real_instruments(memory: Memory, progress: Progress, gpu: Gpu | None = None) -> Instruments:
    """The clocks of this machine."""
    return Instruments(time.perf_counter_ns, time.process_time, memory, progress, gpu)


def measure(order: Order, engine: Engine, tools: Instruments) -> Taken:
    """Measure, phase by phase. Raises EngineError as the engine does."""
    notes = settle_page_cache(order)
    baseline = tools.memory.now()
    tools.progress("loading", 0, order.load_runs)
    load_phase = begin_phase(tools.memory)
    model, first_load = timed_load(order, engine, tools.clock)
    load_peak = peak_of(load_phase, tools.memory)
    gpu_loaded = tools.gpu.after_load() if tools.gpu else {}
    try:
        feed, shapes, values = model.inputs(order.seed, order.wishes)
        inference_phase = begin_phase(tools.memory)
        warmups = warm_up(model, feed, order.warmup_runs, tools)
        runs, cpu_s, wall_s = steady_runs(model, feed, order, tools)
        gpu_ran = tools.gpu.after_runs() if tools.gpu else {}
        inference_peak = peak_of(inference_phase, tools.memory)
        first_run = model.first_run_ns or next(iter(warmups or runs), None)
        facts = model.facts()
        require_placement(facts, order.unit, order.placement)
        outputs = model.outputs(feed) if order.keep_outputs else None
    finally:
        model.close()
    del model, feed
    loads = [first_load, *further_loads(order, engine, tools)]
    return Taken(
        loads=loads,
        warmups=warmups,
        runs=runs,
        first_run=first_run,
        baseline=baseline,
        load_peak=load_peak,
        inference_peak=inference_peak,
        peaks_are_per_phase=load_phase.is_fresh and inference_phase.is_fresh,
        cpu_s=cpu_s,
        wall_s=wall_s,
        facts=facts,
        shapes=shapes,
        gpu={**gpu_loaded, **gpu_ran},
        notes=notes,
        values=values if order.keep_outputs else {},
        outputs=outputs,
    )


class Phase(NamedTuple):
    """How a phase's peak of memory can be told."""

    is_fresh: bool
    """Whether the system has begun a new peak."""
    before: int | None
    """The peak when the phase began."""


def begin_phase(memory: Memory) -> Phase:
    """Begin a phase with a peak of its own, where the system allows that."""
    return Phase(memory.begin_phase(), memory.peak())


def peak_of(phase: Phase, memory: Memory) -> int | None:
    """The peak of the phase; None if all that is known is that it was no higher than what came before it."""
    peak = memory.peak()
    is_its_own = phase.is_fresh or (peak or 0) > (phase.before or 0)
    return peak if is_its_own else None


def settle_page_cache(order: Order) -> tuple[str, ...]:
    """Have the model in the page cache or, if the order says so, out of it. What could not be done, in sentences."""
    if not order.cold_file:
        warm_page_cache(order.folder or order.path)
        return ()
    from daemons.worker.bench.coldfile import cool  # noqa: PLC0415 (few orders ask for it)

    return cool(_files_of(order.folder or order.path))


def warm_page_cache(path: str) -> None:
    """Read the model once, so that the first load of every device finds it in memory; a package is a folder of files.

    EngineError if it can't be read.
    """
    try:
        for file in _files_of(path):
            _read(file)
    except OSError as error:
        raise EngineError(f"The model can't be read: {error.strerror} ({error.filename}).") from error


def _read(file: str) -> None:
    with open(file, "rb", buffering=0) as content:  # noqa: PTH123 (unbuffered, and no path is needed)
        while content.read(READ_CHUNK):
            pass


def _files_of(path: str) -> Iterator[str]:
    if not os.path.isdir(path):  # noqa: PTH112 (pathlib would stand in every peak)
        yield path
    for folder, _, names in os.walk(path):
        yield from (f"{folder}/{name}" for name in names)


def timed_load(order: Order, engine: Engine, clock: Clock) -> tuple[LoadedModel, int]:
    """The loaded model, and how long that took."""
    with collector_off():
        begin = clock()
        model = engine.load(order.path, order.unit, order.options)
        return model, clock() - begin


def further_loads(order: Order, engine: Engine, tools: Instruments) -> Iterator[int]:
    """The loads after the first. They come last: the heap that they leave would raise the peak of the runs."""
    for done in range(1, order.load_runs):
        tools.progress("loading again", done, order.load_runs)
        model, took = timed_load(order, engine, tools.clock)
        model.close()
        del model
        yield took


def warm_up(model: LoadedModel, feed: Any, wanted: int | None, tools: Instruments) -> list[int]:
    """Run until the runs have settled, or as often as `wanted`; how long each took, the very first run included."""
    tools.progress("warming up", 0, wanted)
    taken: list[int] = []
    began = tools.clock()
    with collector_off():
        while not is_warm(taken, tools.clock() - began, wanted):
            taken.append(timed_run(model, feed, tools.clock))
    return taken


def is_warm(taken: list[int], elapsed_ns: int, wanted: int | None) -> bool:
    """Whether the timed runs may begin."""
    if wanted is not None:
        return len(taken) >= wanted
    if not taken:
        return False
    if len(taken) >= MAX_WARMUP_RUNS or elapsed_ns >= MAX_WARMUP_NS:
        return True
    last = taken[-SETTLED_RUNS:]
    spread = relative_spread(last)
    return len(last) == SETTLED_RUNS and spread is not None and spread < SETTLED_SPREAD


def steady_runs(model: LoadedModel, feed: Any, order: Order, tools: Instruments) -> tuple[list[int], float, float]:
    """The runs that were ordered, and more while they are noisy and the order lets them go on."""
    runs, cpu_s, wall_s = timed_runs(model, feed, order.inference_runs, tools)
    while order.extension is not None and may_go_on(runs, wall_s, order.extension):
        count = min(order.inference_runs, order.extension.max_runs - len(runs))
        more, more_cpu_s, more_wall_s = timed_runs(model, feed, count, tools)
        runs, cpu_s, wall_s = [*runs, *more], cpu_s + more_cpu_s, wall_s + more_wall_s
    return runs, cpu_s, wall_s


def may_go_on(runs: list[int], elapsed_s: float, limits: Extension) -> bool:
    """Whether the samples are in doubt and the limits not yet reached."""
    if len(runs) >= limits.max_runs or elapsed_s >= limits.max_seconds:
        return False
    return bool(sample_doubts([run / 1e6 for run in runs]))


def timed_runs(model: LoadedModel, feed: Any, count: int, tools: Instruments) -> tuple[list[int], float, float]:
    """Exactly `count` runs: how long each took, and the processor and wall seconds of them together."""
    tools.progress("measuring", 0, count)
    taken: list[int] = []
    with collector_off():
        cpu_began, began = tools.cpu_clock(), tools.clock()
        for done in range(count):
            taken.append(timed_run(model, feed, tools.clock))
            tools.progress("measuring", done + 1, count)
        return taken, tools.cpu_clock() - cpu_began, (tools.clock() - began) / 1e9


def timed_run(model: LoadedModel, feed: Any, clock: Clock) -> int:
    """How long one inference took. Its outputs are let go of after the clock is read."""
    run = model.run
    begin = clock()
    outputs = run(feed)
    took = clock() - begin
    del outputs
    return took


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect garbage now, and not inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
