"""The measuring process: takes one order on its channel, answers once, and ends.

It imports what it measures with and nothing more, since every library would stand in each peak of memory; and it does
so before the order comes, since it is started ahead of time. While it waits it sleeps in a read.

Protocol, one JSON document a line: ``{"ready": pid}`` from here; an order from there; ``{"progress": …}`` from here, at
most about one a second; last, from here, ``{"outcome": …}``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
from typing import Any, Final

from daemons.worker.bench.conditions import condition_warnings
from daemons.worker.bench.figures import figures, sample_warnings, samples
from daemons.worker.bench.measure import (
    NOTHING_CHECKED,
    Checked,
    Extension,
    Gpu,
    Order,
    Taken,
    measure,
    real_instruments,
)
from daemons.worker.bench.memory import own_memory
from daemons.worker.engines.base import Engine, EngineError, LoadOptions, Wish, Wishes, refuse_unknown

PR_SET_PDEATHSIG: Final = 1
PROGRESS_EVERY_S: Final = 1.0
MAX_FILE_BYTES: Final = 2**30
"""No model has a reason to make this process write more than that to one file."""
MAX_OPEN_FILES: Final = 4096


class Channel:
    """The line to the worker daemon. Nothing else is written there, whatever libraries print.

    It is used through its descriptor: the module `socket` would add half a MB to every peak.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told_at = 0.0
        self._phase = ""

    def receive(self) -> dict[str, Any] | None:
        """The order, or None if the daemon is gone."""
        with open(self._descriptor, "rb", closefd=False) as lines:
            line = lines.readline()
        order: dict[str, Any] | None = json.loads(line) if line else None
        return order

    def send(self, **document: Any) -> None:
        """One document."""
        self._write(json.dumps(document).encode() + b"\n")

    def progress(self, phase: str, done: int | None, total: int | None) -> None:
        """Tell how far the measurement is: at each new phase, and now and then inside one."""
        now = time.monotonic()
        if phase == self._phase and now - self._told_at < PROGRESS_EVERY_S:
            return
        self._phase, self._told_at = phase, now
        self._send_if_read({"progress": {"phase": phase, "done": done, "total": total}})

    def _send_if_read(self, document: dict[str, Any]) -> None:
        """One document, unless the daemon reads nothing just now: a measurement doesn't wait for its audience."""
        line, sent = json.dumps(document).encode() + b"\n", 0
        os.set_blocking(self._descriptor, False)
        with contextlib.suppress(BlockingIOError):
            sent = os.write(self._descriptor, line)
        os.set_blocking(self._descriptor, True)
        if sent:
            self._write(line[sent:])

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._descriptor, content) :]


def main(arguments: list[str]) -> None:
    """``CHANNEL PARENT ENGINE``: the channel's descriptor, the daemon's process, and the engine to have ready."""
    channel, parent, spec = Channel(int(arguments[0])), int(arguments[1]), arguments[2]
    die_with(parent)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    be_first_to_go()
    engines = prepared(spec)
    forget_imports()
    channel.send(ready=os.getpid())
    order = channel.receive()
    if order is not None:
        began_s = time.process_time()
        outcome = answer(order, engines, channel)
        channel.send(outcome=outcome | {"cpu_s": time.process_time() - began_s})
    # Ends here and now: taking the runtime down in good order would only keep the daemon waiting.
    os._exit(0)


def die_with(parent: int) -> None:
    """End this process when its parent ends, also in the middle of native code."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 (where it isn't needed it isn't in the peaks)

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    else:
        import threading  # noqa: PLC0415

        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(0)


def _end_after(parent: int) -> None:
    """Wait for the parent's end without using the processor (kqueue(2)), then end the whole group."""
    import select  # noqa: PLC0415

    if sys.platform != "linux":
        queue = select.kqueue()
        event = select.kevent(parent, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        with contextlib.suppress(ProcessLookupError):
            queue.control([event], 1)
        os.killpg(0, signal.SIGKILL)


def limit(kind: int, most: int) -> None:
    """Set a resource limit for good, as far as this process may."""
    _, hard = resource.getrlimit(kind)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))


def be_first_to_go() -> None:
    """Where memory runs out the kernel is to end this process, and not the daemon or a neighbour (proc(5))."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("1000")


def forget_imports() -> None:
    """Keep what the imports have made out of the collector's sight: each of its rounds would take 7 ms for nothing."""
    gc.collect()
    gc.freeze()


def prepared(spec: str) -> dict[str, Engine]:
    """The engine to have ready. Where it can't be made, the order will find that out again and say so."""
    try:
        return {spec: make_engine(spec)}
    except Exception:  # noqa: BLE001 (somebody else's code)
        return {}


def make_engine(spec: str) -> Engine:
    """The engine that ``module:class`` names."""
    module, _, name = spec.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)()
    return engine


def answer(request: dict[str, Any], engines: dict[str, Engine], channel: Channel) -> dict[str, Any]:
    """The outcome of an order. Whatever goes wrong is an outcome too."""
    try:
        if request.get("memory_limit_bytes"):
            limit(resource.RLIMIT_DATA, request["memory_limit_bytes"])
        engine = engines.get(request["engine"]) or make_engine(request["engine"])
        return measured(request, engine, channel)
    except EngineError as error:
        return failed(str(error))
    except MemoryError:
        return failed(f"out of memory{_limit_named(request)}")
    except Exception as error:  # noqa: BLE001 (the edge of this process: a bug of an engine is an outcome)
        return failed(f"{request['engine']} raised {type(error).__name__}: {error}")


def measured(request: dict[str, Any], engine: Engine, channel: Channel) -> dict[str, Any]:
    """The outcome of a measurement that went well."""
    warnings = condition_warnings()
    order = Order(
        path=request["model_path"],
        unit=request["compute_unit"],
        inference_runs=request["num_inference_runs"],
        load_runs=request["num_load_runs"],
        warmup_runs=request["warmup_runs"],
        options=load_options(request),
        seed=request["seed"],
        extension=Extension(**request["extend"]) if request["extend"] else None,
        wishes=wishes_of(request),
        cold_file=request["cold_file"],
        folder=request["model_folder"],
        placement=request["placement"],
        keep_outputs=request["check_outputs"],
    )
    refuse_unknown(engine, order.options)
    taken = measure(order, engine, real_instruments(own_memory(), channel.progress, gpu_of(order.unit)))
    checked = check(order, engine, taken, channel) if taken.outputs is not None else NOTHING_CHECKED
    columns = {
        **figures(taken),
        **checked.columns,
        "Engine": engine.name,
        "EngineVersion": engine.version(),
        "PlacementPolicy": order.placement,
        "Warnings": [*warnings, *taken.notes, *taken.facts.notes, *sample_warnings(taken), *checked.warnings],
    }
    return {"status": "Complete", "figures": columns, "samples": samples(taken)}


def gpu_of(unit: str) -> Gpu | None:
    """The GPU whose figures may belong to the measurement. On other units nothing is imported for it."""
    if not unit.startswith("GPU"):
        return None
    from daemons.worker.bench.nvidia import gpu_for  # noqa: PLC0415

    return gpu_for(unit)


def check(order: Order, engine: Engine, taken: Taken, channel: Channel) -> Checked:
    """The outputs against the reference's, after everything was measured: what that imports is in no figure."""
    from daemons.worker.bench.agreement import check_outputs  # noqa: PLC0415

    channel.progress("checking outputs", None, None)
    return check_outputs(order.path, engine, taken.facts.precision, taken.values, taken.outputs or {})


def load_options(request: dict[str, Any]) -> LoadOptions:
    """What the order says about loading."""
    return LoadOptions(
        threads=request["threads"],
        graph_optimization=request["graph_optimization"],
        execution_mode=request["execution_mode"],
        io_binding=request["io_binding"] or None,
        precision=request["precision"],
    )


def wishes_of(request: dict[str, Any]) -> Wishes:
    """What the order says about inputs."""
    given = {
        name: Wish(
            shape=None if said.get("shape") is None else tuple(said["shape"]),
            range=None if said.get("range") is None else tuple(said["range"]),
            value=said.get("value"),
        )
        for name, said in request["inputs"].items()
    }
    return Wishes(given, request["inputs_path"], request["batch_size"])


def failed(remark: str) -> dict[str, Any]:
    """The outcome without figures."""
    return {"status": "Failed", "figures": {"Remark": remark[:4000]}}


def _limit_named(request: dict[str, Any]) -> str:
    most = request.get("memory_limit_bytes")
    return f": the limit for a measurement is {most / 2**20:.0f} MB" if most else ""


if __name__ == "__main__":
    main(sys.argv[1:])
