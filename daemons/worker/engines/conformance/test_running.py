"""Running: right outputs, with nothing of one run left over for the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemons.worker.bench.inputs import Value
from daemons.worker.engines.base import EngineError, Wish, Wishes
from daemons.worker.engines.conformance.checks import arrays_of, assert_near, copied, outputs_of
from daemons.worker.engines.conformance.conftest import Load
from daemons.worker.engines.conformance.models import ADD, OPEN, OTHERS, Model


@pytest.mark.usefixtures("only_onnx")
def test_adding_is_right(load: Load) -> None:
    """What every engine can that takes .onnx models."""
    check(load, ADD)


@pytest.mark.usefixtures("only_onnx")
@pytest.mark.parametrize("one", OTHERS, ids=lambda one: one.name)
def test_what_it_computes_is_right(load: Load, one: Model) -> None:
    """An operator or a type that it lacks may be refused, with an EngineError."""
    try:
        load(one.content).close()
    except EngineError as error:
        pytest.skip(f"the engine refuses it: {error}")
    check(load, one)


def check(load: Load, one: Model) -> None:
    """The model's outputs for seeded inputs are those that numpy computes, in the model's order."""
    model = load(one.content)
    made = model.inputs(seed=5, wishes=Wishes({name: Wish(range=(-2.0, 2.0)) for name in one.floats}))
    found, expected = outputs_of(model, made.feed), one.compute(arrays_of(made))
    assert list(found) == list(expected)
    assert_near(found, expected, model.facts().precision, made.values)


@pytest.mark.usefixtures("only_onnx")
def test_an_open_dimension_may_have_another_size_in_the_next_run(load: Load) -> None:
    """The model is the same one."""
    model = load(OPEN.content)
    for size in (2, 5, 1):
        made = model.inputs(seed=1, wishes=Wishes(batch_size=size))
        assert_near(outputs_of(model, made.feed), OPEN.compute(arrays_of(made)), model.facts().precision, made.values)


def test_the_outputs_of_one_run_are_not_changed_by_the_next(load: Load, model_path: str) -> None:
    """They are looked at after others have run."""
    model = load(model_path)
    first = outputs_of(model, model.inputs(seed=1).feed)
    kept = copied(first)
    other = model.inputs(seed=2)
    model.run(other.feed)
    outputs_of(model, other.feed)
    for name, value in first.items():
        np.testing.assert_array_equal(value, kept[name])


def test_the_same_inputs_give_the_same_outputs(load: Load, model_path: str) -> None:
    """In every run: none has anything to remember."""
    model = load(model_path)
    feed = model.inputs(seed=1).feed
    first = copied(outputs_of(model, feed))
    for _ in range(3):
        model.run(feed)
    for name, value in outputs_of(model, feed).items():
        np.testing.assert_array_equal(value, first[name])


def test_a_run_leaves_its_inputs_as_they_were(load: Load, model_path: str) -> None:
    """The next one gets the same."""
    model = load(model_path)
    made = model.inputs(seed=1)
    before = copied(arrays_of(made))
    for _ in range(2):
        model.run(made.feed)
    for name, array in arrays_of(made).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_feed_is_not_changed_by_making_another(load: Load, model_path: str) -> None:
    """Two may be there at the same time."""
    model = load(model_path)
    one = model.inputs(seed=1)
    expected = copied(outputs_of(model, one.feed))
    model.inputs(seed=2)
    for name, value in outputs_of(model, one.feed).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.usefixtures("only_onnx")
def test_it_can_be_fed_with_the_values_of_another_engine(load: Load) -> None:
    """So that outputs can be compared."""
    model = load(ADD.content)
    given = {"a": np.full((2, 3), 1.25, np.float32), "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    values = {name: Value(array, "float", array.shape, is_sequence=False) for name, array in given.items()}
    found = outputs_of(model, fed(model, values))
    assert_near(found, ADD.compute(given), model.facts().precision, values)


def fed(model: Any, values: dict[str, Value]) -> Any:
    """The feed; skips where the engine can't be fed so."""
    try:
        return model.feed(values)
    except EngineError as error:
        if "another engine's inputs" in str(error):
            pytest.skip(str(error))
        raise
