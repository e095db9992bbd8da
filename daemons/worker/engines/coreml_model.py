"""A Core ML model through coremltools, loaded for one compute unit.

It is imported where Core ML is, and before a model comes: coremltools takes a second to import, which is no load.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from coremltools import ComputeUnit
from coremltools.models import CompiledMLModel, MLModel

from daemons.core.units import GPU_COREML, NEURAL_ENGINE_COREML
from daemons.worker.bench.inputs import Fitting, Value, fitting_inputs
from daemons.worker.engines.base import NO_WISHES, EngineError, Facts, Inputs, LoadedModel, Wishes
from daemons.worker.engines.coreml_errors import sentence
from daemons.worker.engines.coreml_features import Signature, signature_in_metadata, signature_in_spec
from daemons.worker.engines.coreml_inputs import as_array, check_shapes, fed, specs_of, usual_shapes
from daemons.worker.engines.coreml_plan import COMPUTE_UNITS, CPU, NEURAL_ENGINE, OWN_DEVICE, planned_devices

COMPILED: Final = ".mlmodelc"
CPU_ONLY: Final = "CPU_ONLY"

NO_PLAN: Final = (
    "Core ML made no compute plan for this model (macOS makes plans from 14.4 on), so nothing tells on which device "
    "it ran"
)


class Feed(NamedTuple):
    """What a run is given."""

    data: dict[str, Any]
    state: Any = None
    """Of a model that has one."""


class CoreMlModel(LoadedModel):
    """A model and how to feed it.

    A model with a state gets a fresh one with its inputs; the timed runs go on with it, one after the other, as those
    of an application do. What is compared with a reference begins with a fresh one.
    """

    def __init__(self, path: str, unit: str | None, precision: str | None = None) -> None:
        """`unit` None: on the CPU alone."""
        self._path, self._unit = path, unit
        self._model: Any = opened(path, COMPUTE_UNITS[unit] if unit else CPU_ONLY, hints_for(unit, precision))
        self._signature = signature_of(self._model, path)
        require_precision(unit, precision, self._signature)

    def facts(self) -> Facts:
        """Where Core ML's plan has the model's operations."""
        if self._unit is None:
            return Facts((CPU,))
        own = OWN_DEVICE[self._unit]
        precision = "float16" if own == NEURAL_ENGINE else None
        plan = planned_devices(compiled_path(self._model, self._path), self._unit)
        if plan is None:
            return Facts((own, CPU), precision=precision, notes=(NO_PLAN,))
        devices = tuple(dict.fromkeys((own, CPU, *plan)))
        return Facts(devices, tuple((one, plan[one]) for one in devices if one in plan), precision=precision)

    def inputs(self, seed: int, wishes: Wishes = NO_WISHES) -> Inputs:
        """Inputs that the model takes, of the shapes that it names as usual where it leaves them open."""
        features = self._signature.inputs
        found: Fitting = fitting_inputs(
            specs_of(features), self._try, seed, metadata=usual_shapes(features), wishes=wishes
        )
        self.first_run_ns = found.first_run_ns
        return Inputs(self.feed(found.values), found.shapes, found.values)

    def _try(self, values: dict[str, Value]) -> None:
        check_shapes(self._signature.inputs, values)
        self.run(self.feed(values))

    def feed(self, values: Mapping[str, Value]) -> Feed:
        """The values in coremltools' own form, with a fresh state."""
        return Feed(fed(self._signature.inputs, values), self._fresh_state())

    def _fresh_state(self) -> Any:
        if not self._signature.is_stateful:
            return None
        try:
            return self._model.make_state()
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def run(self, feed: Feed) -> Any:
        """One inference. Turning arrays into Core ML's own and back is part of it, as coremltools does both inside."""
        try:
            return self._model.predict(feed.data, state=feed.state)
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error

    def outputs(self, feed: Feed) -> dict[str, Any]:
        """What one inference gives, from a fresh state on."""
        found = self.run(feed._replace(state=self._fresh_state()))
        return {name: as_array(found[name]) for name in self._signature.outputs if name in found}

    def close(self) -> None:
        """Let go of the model, with which coremltools deletes what it compiled."""
        self._model = None


def opened(path: str, compute_units: str, hints: dict[str, Any] | None) -> Any:
    """What coremltools makes of the model, compiling it unless it is compiled. EngineError says why there is none."""
    kind = CompiledMLModel if is_compiled(path) else MLModel
    try:
        with warnings.catch_warnings():
            # A model that can't be loaded is warned of; here that is looked for, and raised.
            warnings.simplefilter("ignore", RuntimeWarning)
            model = kind(path, compute_units=ComputeUnit[compute_units], optimization_hints=hints)
    except Exception as error:
        raise EngineError(sentence(error, "load")) from error
    if kind is MLModel:
        require_loaded(model)
    return model


def require_loaded(model: Any) -> None:
    """EngineError if Core ML did not take the model, which coremltools only warns of."""
    if model.__proxy__ is not None:
        return
    error = model._framework_error  # noqa: SLF001 (nothing public keeps Core ML's words)
    if error is not None:
        raise EngineError(sentence(error, "load")) from error
    raise EngineError(
        f"The model is of Core ML's specification version {spec_of(model).specificationVersion}, which this macOS "
        "doesn't know yet; update macOS on this device."
    )


def spec_of(model: Any) -> Any:
    """The specification itself: the public way copies it, weights and all, which would stand in the load's peak."""
    return model._spec  # noqa: SLF001


def signature_of(model: Any, path: str) -> Signature:
    """What the model says of itself. A compiled one has no specification that can be read, but a file beside it."""
    if not is_compiled(path):
        return signature_in_spec(spec_of(model))
    try:
        with open(f"{path}/metadata.json", "rb") as file:  # noqa: PTH123 (pathlib would stand in every peak)
            return signature_in_metadata(file.read())
    except OSError as error:
        raise EngineError(
            "The compiled model has no metadata.json, so its inputs are not known; "
            "send the .mlpackage or .mlmodel that it was compiled from."
        ) from error


def is_compiled(path: str) -> bool:
    """Whether it is a folder that Core ML loads as it is."""
    return path.lower().rstrip("/").endswith(COMPILED)


def compiled_path(model: Any, path: str) -> str:
    """Where the compiled model is, for as long as `model` is there."""
    return path if is_compiled(path) else str(model.get_compiled_model_path())


def hints_for(unit: str | None, precision: str | None) -> dict[str, Any] | None:
    """What coremltools is told about precision. EngineError for what Core ML doesn't offer."""
    if precision == "full" and unit == NEURAL_ENGINE_COREML:
        raise EngineError(
            "The Neural Engine computes in float16, whatever the model is written in: `precision: full` can't be had "
            f"on {unit}."
        )
    if precision == "reduced" and unit == GPU_COREML:
        return {"allowLowPrecisionAccumulationOnGPU": True}
    return None


def require_precision(unit: str | None, precision: str | None, signature: Signature) -> None:
    """EngineError if the job asks for the model's own types and the model is of a kind that has none."""
    if precision == "full" and unit == GPU_COREML and signature.model_type != "mlProgram":
        raise EngineError(
            f"Core ML chooses the precision of a model of the kind {signature.model_type} by itself, and keeps to "
            "written types for ML programs alone: `precision: full` can't be had with it."
        )
