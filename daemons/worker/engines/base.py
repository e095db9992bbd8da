"""What an engine is: the small interface behind which a runtime loads models and runs them.

An engine is a class, named by an entry point of the group `benchfleet.engines`::

    [project.entry-points."benchfleet.engines"]
    myruntime = "mypackage.engine:MyEngine"

It is imported in the measuring process alone, never in the worker daemon, and made there without arguments. What goes
wrong is raised as `EngineError` with a sentence for the row's remark; anything else counts as a bug of the engine.
"""

from __future__ import annotations

import abc
from typing import Any, Final, NamedTuple

GROUP: Final = "benchfleet.engines"


class EngineError(Exception):
    """The model can't be loaded or run; the text says why, and what would help."""


class ProviderAbsent(EngineError):
    """The compute unit's own provider is not there, or did not take the model: no figure may come of it."""


class Facts(NamedTuple):
    """What really runs, read back after loading."""

    providers: tuple[str, ...]
    """Execution providers of the loaded model, in the engine's order."""
    provider_share: float | None
    """Share of the graph's nodes that the unit's own provider took; None where the engine doesn't tell."""
    threads: int
    """Threads inside one operator."""


class Inputs(NamedTuple):
    """What a run is fed with, made before the clock starts."""

    feed: Any
    """In the engine's own form."""
    shapes: str
    """For people, such as ``data: 1x3x224x224 float32``; symbols are resolved."""


class LoadedModel(abc.ABC):
    """A model on its compute unit, ready to run."""

    first_run_ns: int | None = None
    """How long the model's very first run took, where `inputs` needed one to see that the model takes them."""

    @abc.abstractmethod
    def facts(self) -> Facts:
        """What really runs."""

    @abc.abstractmethod
    def inputs(self, seed: int) -> Inputs:
        """Inputs that the model takes. The same seed gives the same bytes. EngineError lists what can't be guessed."""

    @abc.abstractmethod
    def run(self, feed: Any) -> Any:
        """One inference, whole: the outputs are there when it returns. This call alone is timed."""

    def close(self) -> None:  # noqa: B027 (nothing to do is a good default)
        """Give back what the model holds."""


class Engine(abc.ABC):
    """A runtime that this process can use."""

    name: str
    """As it stands in the `Engine` column."""
    units: tuple[str, ...]
    """The compute units that it may serve, if the device has them."""

    @abc.abstractmethod
    def version(self) -> str:
        """The runtime's own version."""

    @abc.abstractmethod
    def load(self, path: str, unit: str, threads: int | None) -> LoadedModel:
        """The model at `path`, on `unit` and nowhere else. EngineError or ProviderAbsent if that can't be."""

    @abc.abstractmethod
    def probe(self, unit: str) -> None:
        """Really run something tiny on `unit`; EngineError or ProviderAbsent if this device doesn't have it."""

    def takes(self, file_name: str) -> bool:  # noqa: ARG002 (an engine that looks overrides this)
        """Whether models of this name are its kind."""
        return True
