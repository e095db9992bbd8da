"""What several tests of the suite ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemons.worker.bench.agreement import tolerance_of
from daemons.worker.bench.differences import difference
from daemons.worker.bench.inputs import Value
from daemons.worker.engines.base import EngineError, Inputs, LoadedModel
from daemons.worker.engines.conformance.models import Arrays


def refusal(attempt: Callable[[], Any], what: str) -> str:
    """The sentence with which `attempt` is refused. Fails for any other exception, and for none."""
    try:
        attempt()
    except EngineError as error:
        text = str(error)
    except Exception as error:  # noqa: BLE001 (that is what is tested)
        pytest.fail(f"{what} must be refused with an EngineError, not with {type(error).__name__}: {error}")
    else:
        pytest.fail(f"{what} must be refused with an EngineError, and was not")
    assert " " in text.strip(), f"{what} must be refused with a sentence, not with {text!r}"
    assert "\n" not in text.strip(), f"the sentence for {what} must be one line: {text!r}"
    return text


def assert_discreet(text: str, folder: Path) -> None:
    """Where a device keeps its models is nobody's business."""
    assert str(folder) not in text, f"the sentence tells a path of this device: {text!r}"


def outputs_of(model: LoadedModel, feed: Any) -> dict[str, Any]:
    """What one inference gives; skips where the engine doesn't hand it out."""
    try:
        found = model.outputs(feed)
    except EngineError as error:
        if "hand out its outputs" in str(error):
            pytest.skip(str(error))
        raise
    assert isinstance(found, dict)
    assert all(isinstance(value, np.ndarray) for value in found.values()), "outputs must be numpy arrays"
    return found


def copied(outputs: Arrays) -> dict[str, Any]:
    """As they are now, whatever becomes of their memory."""
    return {name: np.array(value) for name, value in outputs.items()}


def arrays_of(made: Inputs) -> dict[str, Any]:
    """The arrays that the inputs were made of, by name."""
    assert made.values, "Inputs.values must hold what the model is fed with, by input name"
    assert all(isinstance(value, Value) for value in made.values.values())
    return {name: value.array for name, value in made.values.items()}


def bytes_of(made: Inputs) -> dict[str, bytes]:
    """The same as bytes."""
    return {name: np.asarray(array).tobytes() for name, array in arrays_of(made).items()}


def assert_near(found: Arrays, expected: Arrays, precision: str | None, elements: Mapping[str, Value]) -> None:
    """Within the tolerance of what the engine says it computes in, and of the inputs."""
    tolerance = tolerance_of(precision, {value.element for value in elements.values()})
    for name, array in expected.items():
        one = difference(found[name], array, tolerance)
        assert one.agrees, f"{name} is {found[name]!r} and must be {array!r} within {tolerance} ({one.why})"
