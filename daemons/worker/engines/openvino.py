"""ONNX models and OpenVINO's own (.xml beside .bin) through OpenVINO, on the processor and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np

from daemons.worker.bench.inputs import Value, fitting_inputs
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
from daemons.worker.engines.onnx_signature import Signature, read_signature
from daemons.worker.engines.openvino_errors import sentence
from daemons.worker.engines.openvino_import import ov, why_absent
from daemons.worker.engines.openvino_tensors import array_of, element_of, names_of, own_signature, tensor
from daemons.worker.engines.tiny import TINY_ONNX

CPU_OPENVINO: Final = "CPU (OpenVINO)"
DEVICE: Final = "CPU"
ABSENT: Final = "not installed"

FULL: Final = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
"""The mode also keeps OpenVINO from quantizing activations where weights are compressed."""
NARROWER: Final = {"BF16": "bf16", "FP16": "f16"}
"""What a processor says that it computes in → what to ask for, in OpenVINO's own order of preference."""
PRECISIONS: Final = ("full", "reduced")

PRECISION_NAMES: Final = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
_NOTHING_ASKED: Final = LoadOptions()
NOT_EXECUTED: Final = frozenset({"Const", "Input", "Output"})
"""Kinds of nodes of a compiled model that no run computes."""


class OpenVinoEngine(Engine):
    """OpenVINO as it is installed here.

    Its libraries for the processor and for both kinds of files are loaded when it is made, as other runtimes' are when
    they are imported: a load is then about the model, in the first one as in the later ones. Compiled models are not
    kept: OpenVINO has no cache unless it is told a folder.
    """

    name = "OpenVINO"
    units = (CPU_OPENVINO,)
    options = frozenset({"threads", "precision"})
    file_types = (".onnx", ".xml")
    packages = ("openvino",)

    def __init__(self) -> None:
        if ov is None:
            return
        self._core: Any = ov.Core()
        self._capabilities: list[str] = self._core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        self._readers = {kind: ov.frontend.FrontEndManager().load_by_framework(kind) for kind in ("onnx", "ir")}

    def version(self) -> str:
        """The runtime's version, without its build."""
        return ABSENT if ov is None else str(ov.__version__).partition("-")[0]

    def load(self, path: str, unit: str, options: LoadOptions) -> LoadedModel:
        """The model, compiled for the processor."""
        require_unit(unit)
        self._require_format(path)
        return OpenVinoModel(self._core, path, settings(options, self._capabilities), options)

    def _require_format(self, path: str) -> None:
        """EngineError if the file is not what its name says: asked to read it, OpenVINO would try all that it knows."""
        if not os.path.isfile(path):  # noqa: PTH113 (it is part of a load that is timed)
            raise EngineError("The model's file is not there.")
        reader = self._readers["ir" if is_ir(path) else "onnx"]
        try:
            is_readable = reader.supported(path)
        except Exception as error:
            raise EngineError(sentence(error, "load")) from error
        if not is_readable:
            wanted = "OpenVINO model (.xml)" if is_ir(path) else "ONNX model"
            raise EngineError(f"The file is not an {wanted}, or it was cut off.")

    def probe(self, unit: str) -> None:
        """Adds two numbers."""
        require_unit(unit)
        model = OpenVinoModel(self._core, TINY_ONNX, settings(LoadOptions(threads=1), self._capabilities))
        try:
            model.run(model.feed({"a": Value(np.ones(2, np.float32), "float", (2,), is_sequence=False)}))
        finally:
            model.close()

    def load_reference(self, path: str) -> LoadedModel | None:
        """OpenVINO's own kind of model in full precision; an .onnx has a reference that is not OpenVINO."""
        return self.load(path, CPU_OPENVINO, LoadOptions(precision="full")) if is_ir(path) else None


def require_unit(unit: str) -> None:
    """ProviderAbsent if this engine doesn't serve `unit`, or isn't installed."""
    if unit != CPU_OPENVINO:
        raise ProviderAbsent(f"OpenVINO doesn't serve {unit}; it serves {CPU_OPENVINO}.")
    if ov is None:
        raise ProviderAbsent(
            f"{CPU_OPENVINO} needs the package openvino ({why_absent}); "
            "install it on this device: pip install 'benchfleet[openvino]'"
        )


def is_ir(path: str) -> bool:
    """Whether the file is OpenVINO's own kind of model, by its name."""
    return path.lower().endswith(".xml")


def settings(options: LoadOptions, capabilities: list[str]) -> dict[str, Any]:
    """OpenVINO's own form of the options.

    Left to itself OpenVINO computes in bfloat16 where the processor has it. Engines are compared like with like, so
    that is for a job to ask for: `precision: reduced`.
    """
    chosen: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **precision_settings(options.precision, capabilities)}
    if options.threads is not None:
        chosen["INFERENCE_NUM_THREADS"] = options.threads
    return chosen


def precision_settings(precision: str | None, capabilities: list[str]) -> dict[str, str]:
    """What to compute in. On a processor that has nothing narrower, `reduced` is float32, and the facts say so."""
    if precision not in {None, *PRECISIONS}:
        raise EngineError(f"OpenVINO knows no precision {precision!r}; it knows {', '.join(PRECISIONS)}.")
    narrower = next((hint for name, hint in NARROWER.items() if name in capabilities), None)
    if precision != "reduced" or narrower is None:
        return FULL
    return {"INFERENCE_PRECISION_HINT": narrower, "EXECUTION_MODE_HINT": "PERFORMANCE"}


class OpenVinoModel(LoadedModel):
    """A compiled model, one request that runs it, and how to feed it."""

    def __init__(
        self, core: Any, model: str | bytes, chosen: Mapping[str, Any], asked: LoadOptions = _NOTHING_ASKED
    ) -> None:
        self._path, self._asked = model, asked
        try:
            self._compiled: Any = core.compile_model(core.read_model(model), DEVICE, dict(chosen))
            self._request: Any = self._compiled.create_infer_request()
        except Exception as error:
            raise EngineError(sentence(error, "load")) from error
        # Words are copied in any case; asked for views of them OpenVINO only complains, with every run.
        self._gives_views = "string" not in map(element_of, self._compiled.outputs)
        # A model that remembers (ReadValue, Assign) would go on from its last run, each longer than the one before.
        self._remembers = bool(self._request.query_state())

    def facts(self) -> Facts:
        """Device, nodes, threads and precision, as the compiled model reports them."""
        threads = int(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        precision = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        providers = tuple(f"OpenVINO {device}" for device in self._compiled.get_property("EXECUTION_DEVICES"))
        return Facts(
            providers,
            nodes=((providers[0], executed_nodes(self._compiled)),),
            threads=threads,
            precision=PRECISION_NAMES.get(precision, precision),
            notes=tuple(self._notes(threads, precision)),
        )

    def _notes(self, threads: int, precision: str) -> Iterator[str]:
        """What is not as the job or the model says."""
        if self._asked.threads is not None and threads != self._asked.threads:
            yield f"OpenVINO runs in {threads} threads, not {self._asked.threads}: it takes no more than it finds cores"
        if self._asked.precision == "reduced" and precision == "f32":
            yield "OpenVINO knows no reduced precision on this processor: it computes in float32"
        if any(
            port.element_type.get_type_name() == "f64" for port in (*self._compiled.inputs, *self._compiled.outputs)
        ):
            yield f"OpenVINO computes the model's float64 in {PRECISION_NAMES.get(precision, precision)}"

    @cached_property
    def _signature(self) -> Signature:
        """For an .onnx what the file says, so that the inputs are those that any other engine gets.

        OpenVINO forgets the names of dimensions, by which sizes are chosen. Read after the load, whose time it is not.
        """
        if isinstance(self._path, str) and not is_ir(self._path):
            return read_signature(self._path)
        return own_signature(self._compiled)

    @cached_property
    def _places(self) -> dict[str, int]:
        """Input name → its place among the compiled model's."""
        return places([one.name for one in self._signature.inputs], [names_of(port) for port in self._compiled.inputs])

    def inputs(self, seed: int, wishes: Wishes = NO_WISHES) -> Inputs:
        """Inputs that the model takes."""
        told = self._signature
        found = fitting_inputs(told.inputs, self._try, seed, metadata=told.metadata, wishes=wishes)
        self.first_run_ns = found.first_run_ns
        return Inputs(self.feed(found.values), found.shapes, found.values)

    def _try(self, values: dict[str, Value]) -> None:
        """Run in a way that tells: with one thread, `infer` gives empty outputs where something goes wrong."""
        feed = self.feed(values)
        try:
            self._request.start_async(feed)
            self._request.wait()
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def feed(self, values: Mapping[str, Value]) -> dict[int, Any]:
        """The values as OpenVINO's tensors over the same memory, by the place of the input."""
        feed = {self._places[name]: tensor(name, value) for name, value in values.items() if name in self._places}
        lacking = [name for name, place in self._places.items() if place not in feed]
        if lacking:
            # OpenVINO would run all the same, with whatever is in its memory.
            raise EngineError(f"Inputs of the model have no values: {', '.join(lacking)}.")
        return feed

    def run(self, feed: Any) -> Any:
        """One inference. Nothing is copied on the way in or out, as with ONNX Runtime; the next run overwrites it."""
        try:
            if self._remembers:
                self._request.reset_state()
            return self._request.infer(feed, share_outputs=self._gives_views)
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def outputs(self, feed: Any) -> dict[str, Any]:
        """What one inference gives, as arrays of their own; types that numpy lacks are widened."""
        self.run(feed)
        tensors = [self._request.get_output_tensor(place) for place in range(len(self._compiled.outputs))]
        return dict(zip(self._signature.outputs, map(array_of, tensors), strict=True))

    def close(self) -> None:
        """Give back the model's memory."""
        self._request = self._compiled = None


def places(inputs: list[str], ports: list[set[str]]) -> dict[str, int]:
    """The port of each input that OpenVINO has kept: those of no influence are gone.

    An input that is handed on unchanged has the output's name alone; such ports are the other inputs in their order.
    """
    found = {name: place for name in inputs for place, names in enumerate(ports) if name in names}
    nameless = [place for place in range(len(ports)) if place not in found.values()]
    left = [name for name in inputs if name not in found]
    if nameless and len(nameless) != len(left):
        raise EngineError(f"OpenVINO has lost the names of inputs: which of {', '.join(left)} are left can't be told.")
    return found | dict(zip(left, nameless, strict=False))


def executed_nodes(compiled: Any) -> int:
    """How many nodes a run computes: constants, inputs and outputs are none."""
    kinds = (str(node.get_rt_info()["layerType"].value) for node in compiled.get_runtime_model().get_ops())
    return sum(kind not in NOT_EXECUTED for kind in kinds)
