"""Inputs: made from a seed and from what a job wishes, the same on every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import fitting_inputs
from daemons.worker.engines.base import Wish, Wishes
from daemons.worker.engines.conformance.checks import arrays_of, bytes_of, refusal
from daemons.worker.engines.conformance.conftest import Load
from daemons.worker.engines.conformance.models import ADD, OPEN


def test_the_same_seed_gives_the_same_bytes(load: Load, model_path: str) -> None:
    """In one process and in another."""
    first, again = load(model_path).inputs(seed=7), load(model_path).inputs(seed=7)
    assert bytes_of(first) == bytes_of(again)
    assert first.shapes == again.shapes


def test_another_seed_gives_other_bytes(load: Load, model_path: str) -> None:
    """A seed that changes nothing is none."""
    model = load(model_path)
    assert bytes_of(model.inputs(seed=1)) != bytes_of(model.inputs(seed=2))


def test_shapes_are_told_for_people(load: Load, model_path: str) -> None:
    """With the name of each input."""
    made = load(model_path).inputs(seed=0)
    assert all(name in made.shapes for name in arrays_of(made))


def test_floats_are_numbers_and_not_all_zero(load: Load, model_path: str) -> None:
    """Zeros take short cuts on some hardware."""
    for array in arrays_of(load(model_path).inputs(seed=0)).values():
        if array.dtype.kind == "f":
            assert np.isfinite(array).all()
            assert array.any()


@pytest.mark.usefixtures("only_onnx")
def test_an_onnx_model_gets_the_inputs_that_other_engines_give_it(load: Load) -> None:
    """Engines are compared on the same inputs: `daemons.worker.bench.inputs.fitting_inputs` makes them."""
    for one, specs in ((ADD, [spec("a", 2, 3), spec("b", 2, 3)]), (OPEN, [spec("x", "batch", 4)])):
        expected = fitting_inputs(specs, accept, 3, metadata={}).values
        found = load(one.content).inputs(seed=3)
        assert bytes_of(found) == {name: value.array.tobytes() for name, value in expected.items()}
        assert [value.shape for value in found.values.values()] == [value.shape for value in expected.values()]


def spec(name: str, *shape: int | str) -> Spec:
    """An input of floats."""
    return Spec(name, "tensor(float)", shape)


def accept(_values: Any) -> None:
    """As a model does that takes anything."""


@pytest.mark.usefixtures("only_onnx")
@pytest.mark.parametrize(
    ("wishes", "fits"),
    [
        (Wishes({"x": Wish(shape=(3, 4))}), lambda x: x.shape == (3, 4)),
        (Wishes({"x": Wish(value=2.5)}), lambda x: (x == 2.5).all()),
        (Wishes({"x": Wish(range=(5.0, 6.0))}), lambda x: x.min() >= 5 and x.max() <= 6 and np.ptp(x) > 0),
        (Wishes(batch_size=5), lambda x: x.shape == (5, 4)),
        (Wishes({"x": Wish(value=1.5)}, batch_size=2), lambda x: x.shape == (2, 4) and (x == 1.5).all()),
    ],
    ids=["shape", "value", "range", "batch_size", "value and batch_size"],
)
def test_a_wish_is_met(load: Load, wishes: Wishes, fits: Any) -> None:
    """By what the model is fed with, and not only in words."""
    model = load(OPEN.content)
    made = model.inputs(seed=1, wishes=wishes)
    assert fits(arrays_of(made)["x"])
    assert model.inputs(seed=1, wishes=wishes).shapes == made.shapes
    model.run(made.feed)


@pytest.mark.usefixtures("only_onnx")
def test_arrays_from_a_file_are_taken(load: Load, tmp_path: Path) -> None:
    """A .npz by input name."""
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.savez(tmp_path / "inputs.npz", x=array)
    made = load(OPEN.content).inputs(seed=1, wishes=Wishes(arrays_path=str(tmp_path / "inputs.npz")))
    np.testing.assert_array_equal(arrays_of(made)["x"], array)


@pytest.mark.usefixtures("only_onnx")
@pytest.mark.parametrize(
    "wishes",
    [Wishes({"nonsense": Wish(value=1)}), Wishes({"x": Wish(shape=(2, 5))}), Wishes({"x": Wish(value="text")})],
    ids=["unknown name", "wrong shape", "wrong kind"],
)
def test_a_wish_that_can_not_be_met_is_refused_with_a_sentence(load: Load, wishes: Wishes) -> None:
    """Never ignored: the job would measure something else than it says."""
    model = load(OPEN.content)
    text = refusal(lambda: model.inputs(seed=1, wishes=wishes), "a wish that can't be met")
    assert any(name in text for name in wishes.given), f"the sentence must name the input: {text!r}"


def test_a_name_that_no_model_has_is_refused(load: Load, model_path: str) -> None:
    """For engines of every kind."""
    model = load(model_path)
    wishes = Wishes({"conformance_no_such_input": Wish(value=1)})
    refusal(lambda: model.inputs(seed=1, wishes=wishes), "a wish for an input that there isn't")
