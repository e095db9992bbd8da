"""Options: what an engine says it honours it does, and what it would ignore is refused."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

from daemons.worker.engines.base import Engine, EngineError, LoadedModel, LoadOptions, refuse_unknown
from daemons.worker.engines.conformance.checks import outputs_of, refusal
from daemons.worker.engines.conformance.conftest import Load
from daemons.worker.engines.conformance.subjects import Subject, engine_of

VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "threads": (1,),
    "graph_optimization": ("disabled", "basic", "extended", "all"),
    "execution_mode": ("sequential", "parallel"),
    "precision": ("full", "reduced"),
}
"""What a job may say, but for `io_binding`, which some units have no use for."""


@pytest.mark.parametrize("option", VALUES)
def test_an_option_that_it_declares_can_be_set(load: Load, engine: Engine, model_path: str, option: str) -> None:
    """To one of its values at least; what a unit can't do of it is refused with a sentence."""
    if option not in engine.options:
        pytest.skip(f"the engine has no {option} to set")
    refusals = {}
    for value in VALUES[option]:
        try:
            model = load(model_path, **{option: value})
        except EngineError as error:
            refusals[value] = str(error)
        else:
            model.run(model.inputs(seed=0).feed)
    assert len(refusals) < len(VALUES[option]), f"every value of {option} is refused: {refusals}"


@pytest.mark.parametrize("option", [*VALUES, "io_binding"])
def test_an_option_that_it_does_not_declare_is_refused(plugin: Subject, option: str) -> None:
    """Before a load; the sentence names it."""
    engine = engine_of(plugin.point)
    if option in engine.options:
        pytest.skip(f"the engine has {option}")
    asked = LoadOptions(**{option: VALUES.get(option, (True,))[0]})
    assert option in refusal(lambda: refuse_unknown(engine, asked), f"{option} of an engine that has none")


@pytest.mark.parametrize("option", ["graph_optimization", "execution_mode", "precision"])
def test_a_value_that_there_is_not_is_refused(load: Load, engine: Engine, model_path: str, option: str) -> None:
    """Not taken for the default."""
    if option not in engine.options:
        pytest.skip(f"the engine has no {option} to set")
    refusal(lambda: load(model_path, **{option: "conformance"}), f"{option} 'conformance'")


def test_io_binding_leaves_the_transfer_out_and_the_outputs_as_they_are(
    load: Load, engine: Engine, model_path: str
) -> None:
    """Or is refused with a sentence, where a unit has no memory of its own."""
    if "io_binding" not in engine.options:
        pytest.skip("the engine has no io_binding to set")
    try:
        bound = load(model_path, io_binding=True)
    except EngineError as error:
        pytest.skip(f"the unit refuses it: {error}")
    expected = run_once(load(model_path))
    for name, value in run_once(bound).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-6)
    assert bound.facts().transfer == "excluded"


def run_once(model: LoadedModel) -> dict[str, Any]:
    """The outputs for seeded inputs, after a run as it is timed."""
    feed = model.inputs(seed=3).feed
    model.run(feed)
    return outputs_of(model, feed)
