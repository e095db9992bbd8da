"""Inputs for a model about which nothing is known but its signature.

Open dimensions are settled by what the user gave, the model's metadata, names and layout, in this order
(`daemons.worker.bench.dimensions`); values by the meaning of a name, else at random. Where something had to be guessed
that a model could refuse, the model is run with it, and other guesses follow until it accepts one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from daemons.worker.bench.dimensions import sizes_from_metadata
from daemons.worker.bench.guesses import (
    Guess,
    Spec,
    all_guesses,
    declared,
    element_of,
    is_doubtful,
    may_be_setting,
    open_dimensions,
    shape_of,
    with_given,
)
from daemons.worker.bench.meanings import Tensor, is_sample_rate, meant_values
from daemons.worker.bench.values import KINDS, Array, random_values
from daemons.worker.engines.base import EngineError

MAX_TRIALS: Final = 80
MAX_TRIAL_S: Final = 60.0


class Value(NamedTuple):
    """What one input gets."""

    array: Array
    element: str
    shape: tuple[int, ...]
    """The tensor's own; `array` is flat where elements share a byte."""
    is_sequence: bool
    """Wanted inside a sequence of one."""


class Fitting(NamedTuple):
    """Inputs that the model takes."""

    values: dict[str, Value]
    shapes: str
    first_run_ns: int | None
    """How long the model's very first run took, if finding these needed one and the first guess was right."""


Attempt = Callable[[dict[str, Value]], None]
"""Runs the model once; EngineError if it refuses."""


def fitting_inputs(
    specs: Sequence[Spec],
    attempt: Attempt,
    seed: int,
    *,
    metadata: Mapping[str, str],
    given: Mapping[str, Sequence[int]],
) -> Fitting:
    """Inputs that the model accepts; `given` holds whole shapes by input name. EngineError if there are none."""
    settled = [with_given(spec, given, metadata) for spec in specs]
    opens = open_dimensions(settled, sizes_from_metadata(metadata))
    guesses = all_guesses(settled, opens)
    if not is_doubtful(settled, opens):
        values = values_for(settled, next(guesses), seed)
        return Fitting(values, described(values), None)
    return first_accepted(settled, guesses, attempt, seed)


def first_accepted(specs: Sequence[Spec], guesses: Iterator[Guess], attempt: Attempt, seed: int) -> Fitting:
    """The first guess that the model runs with."""
    deadline = time.monotonic() + MAX_TRIAL_S
    complaint, tried = "", 0
    for guess in guesses:
        values = values_for(specs, guess, seed)
        began = time.perf_counter_ns()
        try:
            attempt(values)
        except EngineError as refusal:
            tried += 1
            complaint = complaint or f"{refusal} (with {described(values)})"
        else:
            took = time.perf_counter_ns() - began
            return Fitting(values, described(values), took if not tried else None)
        if tried >= MAX_TRIALS or time.monotonic() > deadline:
            break
    raise EngineError(unfit(specs, tried, complaint))


def unfit(specs: Sequence[Spec], tried: int, complaint: str) -> str:
    """The sentence for a model that refuses every guess."""
    listed = "; ".join(f"{spec.name}: {declared(spec)}" for spec in specs)
    return (
        f"No inputs were found that the model accepts ({tried} shapes and values were tried). "
        f"Its inputs are {listed}. To the first it said: {complaint}"
    )


def values_for(specs: Sequence[Spec], guess: Guess, seed: int) -> dict[str, Value]:
    """A value for each input."""
    tensors = {spec.name: Tensor(spec.name, element_of(spec), shape_of(spec, guess)) for spec in specs}
    return {
        spec.name: Value(
            array_for(tensors[spec.name], tensors, guess, seed, stream),
            tensors[spec.name].element,
            tensors[spec.name].shape,
            "seq(" in spec.type,
        )
        for stream, spec in enumerate(specs)
    }


def array_for(tensor: Tensor, all_tensors: Mapping[str, Tensor], guess: Guess, seed: int, stream: int) -> Array:
    """The values of one input."""
    if (
        guess.style != "random"
        and not is_sample_rate(tensor.name)
        and may_be_setting(tensor.element, tensor.shape, len(all_tensors))
    ):
        return styled(tensor, guess.style)
    meant = meant_values(tensor, all_tensors)
    return random_values(KINDS[tensor.element], tensor.shape, seed, stream) if meant is None else meant


def styled(tensor: Tensor, style: str) -> Array:
    """A short list of numbers: all ones, all zeros, "whatever fits" as Reshape writes it, or a count from 0."""
    values = np.ones(tensor.shape, dtype=KINDS[tensor.element].dtype)
    if style == "zeros":
        values[...] = 0
    elif style == "free" and values.dtype.kind == "i":
        values.reshape(-1)[:1] = -1
    elif style == "counting":
        values.reshape(-1)[...] = np.arange(values.size)
    return values


def described(values: Mapping[str, Value]) -> str:
    """The inputs' shapes for people."""
    return "; ".join(f"{name}: {written(value)}" for name, value in values.items())


def written(value: Value) -> str:
    """Such as ``1x3x224x224 float32``."""
    element = {"float": "float32", "double": "float64"}.get(value.element, value.element)
    shape = "x".join(str(size) for size in value.shape) or "scalar"
    return f"a sequence of one {shape} {element}" if value.is_sequence else f"{shape} {element}"


def native_form(value: Value) -> Any:
    """What numpy-minded runtimes take: an array, or a list of one for a sequence."""
    return [value.array] if value.is_sequence else value.array
