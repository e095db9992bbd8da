"""ONNX models through ONNX Runtime, on the execution provider that a compute unit stands for and on no other."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from typing import Any

import onnxruntime as ort

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
    Wishes,
)
from daemons.worker.engines.onnx_errors import sentence
from daemons.worker.engines.onnx_outputs import array_of
from daemons.worker.engines.onnx_session import alone, make_session
from daemons.worker.engines.onnx_units import (
    CANDIDATES,
    COREML_PROVIDER,
    CPU_PROVIDER,
    Placement,
    narrowest_type,
    placement_of,
    settled,
)
from daemons.worker.engines.tiny import TINY_ONNX


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime as it is installed here."""

    name = "ONNX Runtime"
    units = tuple(CANDIDATES)
    options = frozenset({"threads", "graph_optimization", "execution_mode", "io_binding", "precision"})
    file_types = (".onnx", ".ort")
    packages = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-migraphx", "onnxruntime-rocm")

    def version(self) -> str:
        """The runtime's version."""
        return str(ort.__version__)

    def load(self, path: str, unit: str, options: LoadOptions) -> LoadedModel:
        """The model, with its provider read back."""
        return OnnxModel(path, settled(placement_here(unit), options), options)

    def probe(self, unit: str) -> None:
        """Adds two numbers on `unit`, and nowhere else."""
        options = LoadOptions(threads=1)
        placement, settings = alone(settled(placement_here(unit), options))
        if placement.provider == COREML_PROVIDER:
            from daemons.worker.engines.onnx_coreml import require_device  # noqa: PLC0415 (on Macs alone)

            require_device(unit)
        model = OnnxModel(TINY_ONNX, placement, options, settings)
        try:
            model.run(model.inputs(seed=0).feed)
        finally:
            model.close()


def placement_here(unit: str) -> Placement:
    """The unit's provider in the installed runtime. ProviderAbsent if it has none."""
    return placement_of(unit, ort.get_available_providers(), sys.platform, str(ort.__version__))


class OnnxModel(LoadedModel):
    """A session and how to feed it. `placement` is settled; `settings` are the session's own."""

    def __init__(
        self,
        model: str | bytes,
        placement: Placement,
        options: LoadOptions,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._model, self._placement, self._options = model, placement, options
        before = thread_count()
        self._session: Any = make_session(model, placement, options, settings=settings)
        self._threads = options.threads or threads_started(thread_count() - before, placement, options)
        self._specs = [Spec(one.name, one.type, tuple(one.shape)) for one in self._session.get_inputs()]
        self._is_native = all(
            is_native(one.type) for one in (*self._session.get_inputs(), *self._session.get_outputs())
        )
        self._memory = placement.memory if options.io_binding else None
        if self._memory is not None:
            from daemons.worker.engines.onnx_binding import require_bindable  # noqa: PLC0415 (for io_binding alone)

            require_bindable(self._session)
        self._values: Mapping[str, Value] | None = None

    def facts(self) -> Facts:
        """Providers, their nodes and threads as they are."""
        providers = tuple(self._session.get_providers())
        facts = Facts(
            providers,
            threads=self._threads,
            transfer=("included" if self._memory is None else "excluded") if self._placement.transfers else None,
            precision=narrowest_type(self._placement, self._options),
            gpu=self._placement.gpu,
        )
        # A session with one provider has no other place for a node.
        return facts if providers == (self._placement.provider,) else self._proved(facts)

    def _proved(self, facts: Facts) -> Facts:
        """With what is known of where the nodes are."""
        from daemons.worker.engines.onnx_proof import Subject, proof_of  # noqa: PLC0415 (not for the CPU)

        values = self._values
        run = (
            None if values is None else lambda session: self._run_plainly(session, plain_feed(values, self._is_native))
        )
        proof = proof_of(Subject(self._model, self._placement, self._options, facts.providers, run))
        return facts._replace(providers=proof.providers, nodes=proof.nodes, notes=proof.notes)

    def inputs(self, seed: int, wishes: Wishes = NO_WISHES) -> Inputs:
        """Inputs that the model takes."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        found: Fitting = fitting_inputs(self._specs, self._try, seed, metadata=metadata, wishes=wishes)
        self.first_run_ns, self._values = found.first_run_ns, found.values
        return Inputs(self.feed(found.values), found.shapes, found.values)

    def _try(self, values: dict[str, Value]) -> None:
        self.run(self.feed(values))

    def feed(self, values: Mapping[str, Value]) -> Any:
        """The values in the runtime's own form, where the job wants them: here or in the provider's memory."""
        if self._memory is None:
            return plain_feed(values, self._is_native)
        from daemons.worker.engines.onnx_binding import Bound  # noqa: PLC0415 (for io_binding alone)

        try:
            return Bound(self._session, values, self._memory)
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def run(self, feed: Any) -> Any:
        """One inference."""
        try:
            if self._memory is not None:
                return feed.run(self._session)
            return self._run_plainly(self._session, feed)
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def _run_plainly(self, session: Any, feed: Any) -> Any:
        if self._is_native:
            return session.run(None, feed)
        return session.run_with_ort_values(None, feed)

    def outputs(self, feed: Any) -> dict[str, Any]:
        """What one inference gives, as numpy arrays."""
        names = [one.name for one in self._session.get_outputs()]
        given = self.run(feed)
        values = given if self._memory is None else feed.outputs()
        plain = (array_of(value) if isinstance(value, ort.OrtValue) else value for value in values)
        return dict(zip(names, plain, strict=True))

    def close(self) -> None:
        """Give back the session's memory."""
        self._session = self._values = None


def threads_started(started: int, placement: Placement, options: LoadOptions) -> int | None:
    """Threads inside one operator, if a session has `started` so many: the caller is one more of each of its pools.

    The parallel mode has a pool of its own for operators, which the runtime makes as large as the other. None where a
    driver has threads too, which can't be told apart.
    """
    if placement.provider != CPU_PROVIDER:
        return None
    pools = 2 if options.execution_mode == "parallel" else 1
    return max(started // pools + 1, 1)


def plain_feed(values: Mapping[str, Value], is_native: bool) -> dict[str, Any]:
    """The values as a run takes them from here."""
    form = native_form if is_native else runtime_form
    return {name: form(value) for name, value in values.items()}


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
