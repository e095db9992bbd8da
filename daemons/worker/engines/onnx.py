"""ONNX models through ONNX Runtime, on the execution provider that a compute unit stands for and on no other."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import onnxruntime as ort

from daemons.core.units import CPU_ONNX
from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import Fitting, Value, fitting_inputs, native_form
from daemons.worker.bench.values import KINDS
from daemons.worker.engines.base import (
    NO_WISHES,
    Engine,
    EngineError,
    Facts,
    Inputs,
    LoadedModel,
    LoadOptions,
    ProviderAbsent,
    Wishes,
)
from daemons.worker.engines.onnx_errors import sentence
from daemons.worker.engines.tiny import TINY_ONNX

CPU_PROVIDER: Final = "CPUExecutionProvider"
QUIET: Final = 4
"""Severity from which ONNX Runtime writes to stderr: fatal alone, for what is wrong comes as an exception."""
RECORD_PLACEMENT: Final = "session.record_ep_graph_assignment_info"


GRAPH_OPTIMIZATIONS: Final = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
EXECUTION_MODES: Final = {
    "sequential": ort.ExecutionMode.ORT_SEQUENTIAL,
    "parallel": ort.ExecutionMode.ORT_PARALLEL,
}


class Placement(NamedTuple):
    """What a compute unit means to ONNX Runtime."""

    provider: str
    options: Mapping[str, str]
    with_cpu: bool
    """Whether nodes that the provider doesn't know may go to the CPU, as the runtime does with shape arithmetic."""


PLACEMENTS: Final[dict[str, Placement]] = {
    CPU_ONNX: Placement(CPU_PROVIDER, {}, with_cpu=False),
}


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime as it is installed here."""

    name = "ONNX Runtime"
    units = tuple(PLACEMENTS)
    options = frozenset({"threads", "graph_optimization", "execution_mode"})
    file_types = (".onnx", ".ort")
    packages = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-migraphx", "onnxruntime-rocm")

    def version(self) -> str:
        """The runtime's version."""
        return str(ort.__version__)

    def load(self, path: str, unit: str, options: LoadOptions) -> LoadedModel:
        """The model, with its provider read back."""
        return OnnxModel(path, placement_of(unit), options)

    def probe(self, unit: str) -> None:
        """Adds two numbers on `unit`."""
        model = OnnxModel(TINY_ONNX, placement_of(unit), LoadOptions(threads=1))
        try:
            model.run(model.inputs(seed=0).feed)
        finally:
            model.close()


def placement_of(unit: str) -> Placement:
    """The provider of a unit, which must be part of the installed runtime."""
    placement = PLACEMENTS.get(unit)
    if placement is None:
        raise ProviderAbsent(f"ONNX Runtime doesn't serve {unit}; it serves {', '.join(PLACEMENTS)}.")
    if placement.provider not in ort.get_available_providers():
        raise ProviderAbsent(
            f"{unit} needs {placement.provider}, which the installed ONNX Runtime {ort.__version__} lacks; "
            f"it has {', '.join(ort.get_available_providers())}."
        )
    return placement


class OnnxModel(LoadedModel):
    """A session and how to feed it."""

    def __init__(self, model: str | bytes, placement: Placement, options: LoadOptions) -> None:
        self._model, self._placement, self._options = model, placement, options
        before = thread_count()
        self._session: Any = make_session(model, placement, options)
        self._threads = options.threads or threads_in_operator(thread_count() - before, options)
        require_provider(self._session, placement)
        self._specs = [Spec(one.name, one.type, tuple(one.shape)) for one in self._session.get_inputs()]
        self._is_native = all(
            is_native(one.type) for one in (*self._session.get_inputs(), *self._session.get_outputs())
        )

    def facts(self) -> Facts:
        """Providers, their nodes and threads as they are."""
        return Facts(tuple(self._session.get_providers()), self._nodes(), self._threads)

    def _nodes(self) -> tuple[tuple[str, int], ...]:
        """How many nodes each provider took.

        Keeping the record makes a load a few per cent slower, so where it is needed it is taken from a session of its
        own. A session with one provider has no other place for a node.
        """
        if self._session.get_providers() == [self._placement.provider]:
            return ()
        return node_counts(make_session(self._model, self._placement, self._options, record=True))

    def inputs(self, seed: int, wishes: Wishes = NO_WISHES) -> Inputs:
        """Inputs that the model takes."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        found: Fitting = fitting_inputs(self._specs, self._try, seed, metadata=metadata, wishes=wishes)
        self.first_run_ns = found.first_run_ns
        return Inputs(self.feed(found.values), found.shapes, found.values)

    def _try(self, values: dict[str, Value]) -> None:
        self.run(self.feed(values))

    def feed(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """The values in the runtime's own form."""
        form = native_form if self._is_native else runtime_form
        return {name: form(value) for name, value in values.items()}

    def run(self, feed: Any) -> Any:
        """One inference."""
        try:
            if self._is_native:
                return self._session.run(None, feed)
            return self._session.run_with_ort_values(None, feed)
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def outputs(self, feed: Any) -> dict[str, Any]:
        """What one inference gives, as numpy arrays."""
        names = [one.name for one in self._session.get_outputs()]
        plain = (value.numpy() if isinstance(value, ort.OrtValue) else value for value in self.run(feed))
        return dict(zip(names, plain, strict=True))

    def close(self) -> None:
        """Give back the session's memory."""
        self._session = None


def threads_in_operator(started: int, options: LoadOptions) -> int:
    """Threads inside one operator, if a session has `started` so many: the caller is one more of each of its pools.

    The parallel mode has a pool of its own for operators, which the runtime makes as large as the other.
    """
    pools = 2 if options.execution_mode == "parallel" else 1
    return max(started // pools + 1, 1)


def session_options(wanted: LoadOptions, *, record: bool) -> Any:
    """The runtime's own form of the options. How many operators may run side by side is left to the runtime."""
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = wanted.threads or 0
    if wanted.graph_optimization is not None:
        options.graph_optimization_level = choice("graph_optimization", wanted, GRAPH_OPTIMIZATIONS)
    if wanted.execution_mode is not None:
        options.execution_mode = choice("execution_mode", wanted, EXECUTION_MODES)
    if record:
        options.add_session_config_entry(RECORD_PLACEMENT, "1")
    return options


def choice(name: str, wanted: LoadOptions, known: Mapping[str, Any]) -> Any:
    """What the runtime calls an option's value."""
    value = getattr(wanted, name)
    if value not in known:
        raise EngineError(f"ONNX Runtime knows no {name} {value!r}; it knows {', '.join(known)}.")
    return known[value]


def make_session(model: str | bytes, placement: Placement, wanted: LoadOptions, *, record: bool = False) -> Any:
    """A session on the placement's provider. EngineError says in a sentence why there can be none."""
    options = session_options(wanted, record=record)
    providers: list[Any] = [(placement.provider, dict(placement.options))]
    if placement.with_cpu:
        providers.append(CPU_PROVIDER)
    try:
        # Without enable_fallback=0 a failing provider is exchanged for the CPU, with a line on stdout.
        return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception as error:
        raise EngineError(sentence(error, "load")) from error


def require_provider(session: Any, placement: Placement) -> None:
    """The provider must be among those that the session reports: the runtime only warns when it left one out."""
    if placement.provider not in session.get_providers():
        raise ProviderAbsent(
            f"ONNX Runtime left out {placement.provider} and would run on {', '.join(session.get_providers())}; "
            "its driver or device is missing."
        )


def node_counts(session: Any) -> tuple[tuple[str, int], ...]:
    """Nodes of each provider, from a session that kept the record; empty where the runtime keeps none."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return ()
    counts: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    return tuple(counts.items())


def is_native(type_name: str) -> bool:
    """Whether values of this type go in and out as numpy arrays."""
    element = type_name.rsplit("tensor(", 1)[-1].rstrip(")")
    return element not in KINDS or KINDS[element].native


def runtime_form(value: Value) -> Any:
    """A tensor in the runtime's own box, for types that numpy lacks. Inputs beside it must come in the same form."""
    kind = KINDS[value.element]
    if value.is_sequence or value.element == "string":
        raise EngineError(f"ONNX Runtime's Python interface takes no {value.element} beside types that numpy lacks.")
    if kind.native:
        return ort.OrtValue.ortvalue_from_numpy(value.array)
    if kind.per_byte > 1:
        return packed_form(value)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(value.array, kind.code)


def packed_form(value: Value) -> Any:
    """A tensor whose elements share bytes: the runtime makes it, the bytes are copied in."""
    box = ort.OrtValue.ortvalue_from_shape_and_type(list(value.shape), KINDS[value.element].code)
    ctypes.memmove(box.data_ptr(), value.array.ctypes.data, value.array.nbytes)
    return box


def thread_count() -> int:
    """Threads of this process now."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 (it is part of a load that is timed)
    except OSError:
        import psutil  # noqa: PLC0415 (only where there is no /proc)

        return psutil.Process().num_threads()
