"""What an engine is: the small interface behind which a runtime loads models and runs them.

An engine is a class, named by an entry point of the group `benchfleet.engines`::

    [project.entry-points."benchfleet.engines"]
    myruntime = "mypackage.engine:MyEngine"

It is imported in the measuring process alone, never in the worker daemon, and made there without arguments. What goes
wrong is raised as `EngineError` with a sentence for the row's remark; anything else counts as a bug of the engine.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

GROUP: Final = "benchfleet.engines"


class EngineError(Exception):
    """The model can't be loaded or run; the text says why, and what would help."""


class ProviderAbsent(EngineError):
    """The compute unit's own provider is not there, or did not take the model: no figure may come of it."""


class LoadOptions(NamedTuple):
    """How a model is to be loaded; None leaves it to the engine."""

    threads: int | None = None
    """Inside one operator."""
    graph_optimization: str | None = None
    """``disabled``, ``basic``, ``extended`` or ``all``."""
    execution_mode: str | None = None
    """``sequential`` or ``parallel``: whether independent operators may run side by side."""
    io_binding: bool | None = None
    """Inputs and outputs lie on the unit's own device, so that a run moves nothing."""
    precision: str | None = None
    """``full`` computes in the types that the model is written in, ``reduced`` may compute in narrower ones."""


class Wish(NamedTuple):
    """What a job says about one input; the engine chooses the rest."""

    shape: tuple[int, ...] | None = None
    range: tuple[float, float] | None = None
    """Least and largest value of random data."""
    value: bool | int | float | str | None = None
    """One value for every element."""


class Wishes(NamedTuple):
    """What a job says about a model's inputs."""

    given: Mapping[str, Wish] = {}
    """By input name."""
    arrays_path: str | None = None
    """A .npz file of arrays by input name."""
    batch_size: int | None = None
    """Of every input whose batch the model leaves open."""

    @property
    def say_something(self) -> bool:
        """Whether anything is wished at all."""
        return bool(self.given) or self.arrays_path is not None or self.batch_size is not None


NO_WISHES: Final = Wishes()


class Facts(NamedTuple):
    """What really runs, read back after loading."""

    providers: tuple[str, ...]
    """Where nodes of the loaded model may run, in the engine's order; the unit's own provider is the first."""
    nodes: tuple[tuple[str, int], ...] = ()
    """How many of the graph's nodes each provider took; empty where the engine doesn't tell."""
    threads: int | None = None
    """Threads inside one operator."""
    transfer: str | None = None
    """``included`` or ``excluded``: whether a run moves inputs and outputs to and from the unit's own memory."""
    precision: str | None = None
    """The narrowest floating-point type that it may compute in, such as ``float32`` or ``bfloat16``; ``as written``
    where it computes in the model's own types, whatever they are; None: unknown."""
    gpu: str | None = None
    """``nvidia`` if it ran on the first of NVIDIA's GPUs that CUDA sees, whose figures then belong into the row."""
    compile_cache: str | None = None
    """Whether the cache of compiled models was ``empty`` or ``filled`` before the load; None if there is none."""
    notes: tuple[str, ...] = ()
    """What stands in the way of a proof, in sentences for the row's warnings."""

    @property
    def provider_share(self) -> float | None:
        """Share of the nodes that the unit's own provider took; None where the engine doesn't tell.

        Where there is one provider only, no node can be elsewhere.
        """
        total = sum(count for _, count in self.nodes)
        if total:
            return sum(count for name, count in self.nodes if name == self.providers[0]) / total
        return 1.0 if len(self.providers) == 1 else None


class Inputs(NamedTuple):
    """What a run is fed with, made before the clock starts."""

    feed: Any
    """In the engine's own form."""
    shapes: str
    """For people, such as ``data: 1x3x224x224 float32``; symbols are resolved."""
    values: Mapping[str, Any] = {}
    """The same by input name as `daemons.worker.bench.inputs.Value`, which any other engine can be fed with."""


class LoadedModel(abc.ABC):
    """A model on its compute unit, ready to run."""

    first_run_ns: int | None = None
    """How long the model's very first run took, where `inputs` needed one to see that the model takes them."""

    @abc.abstractmethod
    def facts(self) -> Facts:
        """What really runs."""

    @abc.abstractmethod
    def inputs(self, seed: int, wishes: Wishes = NO_WISHES) -> Inputs:
        """Inputs that the model takes. The same seed and wishes give the same bytes.

        EngineError names the wish that can't be met, or lists what can't be guessed.
        """

    @abc.abstractmethod
    def run(self, feed: Any) -> Any:
        """One inference, whole: the outputs are there when it returns. This call alone is timed."""

    def feed(self, values: Mapping[str, Any]) -> Any:  # noqa: ARG002 (for those that override it)
        """`Inputs.values` of another engine in this one's own form."""
        raise EngineError(f"{type(self).__name__} can't be fed with another engine's inputs")

    def outputs(self, feed: Any) -> dict[str, Any]:  # noqa: ARG002 (idem)
        """What one inference gives: output name → numpy array, in the model's order.

        Later runs leave the arrays alone. Elements of types that numpy lacks are numbers in one that it has.
        """
        raise EngineError(f"{type(self).__name__} doesn't hand out its outputs, so they can't be checked")

    def close(self) -> None:  # noqa: B027 (nothing to do is a good default)
        """Give back what the model holds."""


class Engine(abc.ABC):
    """A runtime that this process can use."""

    name: str
    """As it stands in the `Engine` column."""
    units: tuple[str, ...]
    """The compute units that it may serve, if the device has them."""
    options: frozenset[str] = frozenset({"threads"})
    """The fields of `LoadOptions` that it honours. A job that asks for another is refused before `load`."""
    file_types: tuple[str, ...] = (".onnx",)
    """Endings of the names of models that are its kind. A name that no engine claims goes to the unit's first."""
    packages: tuple[str, ...] = ()
    """Names of the distributions that it comes from: what a job's `engine_version` may name."""

    @abc.abstractmethod
    def version(self) -> str:
        """The runtime's own version."""

    @abc.abstractmethod
    def load(self, path: str, unit: str, options: LoadOptions) -> LoadedModel:
        """The model at `path`, on `unit` and nowhere else. EngineError or ProviderAbsent if that can't be."""

    @abc.abstractmethod
    def probe(self, unit: str) -> None:
        """Really run something tiny on `unit`; EngineError or ProviderAbsent if this device doesn't have it."""

    def example(self, folder: str) -> str | None:  # noqa: ARG002 (for those that override it)
        """Write a small model of this engine's own kind into `folder`, for probes and the conformance suite; its path.

        None: the engine takes .onnx models, of which there are enough.
        """
        return None

    def load_reference(self, path: str) -> LoadedModel | None:  # noqa: ARG002 (for those that override it)
        """The model as it is to be understood, on the CPU, to check outputs against.

        None: ONNX Runtime's CPU provider with the graph as it is written, which is right for an .onnx model.
        """
        return None


def refuse_unknown(engine: Engine, options: LoadOptions) -> None:
    """EngineError if a job asks `engine` for something that it would ignore."""
    asked = {name: value for name, value in options._asdict().items() if value is not None}
    for name, value in asked.items():
        if name not in engine.options:
            raise EngineError(f"{engine.name} has no {name} to set (asked for: {value}); leave it out of the job.")
