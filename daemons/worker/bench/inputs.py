"""Inputs for a model about which nothing is known but its signature.

Open dimensions are settled by what the user gave, the model's metadata, names and layout, in this order
(`daemons.worker.bench.dimensions`); values by the meaning of a name, else at random. Where something had to be guessed
that a model could refuse, the model is run with it, and other guesses follow until it accepts one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from daemons.worker.bench.dimensions import sizes_from_metadata
from daemons.worker.bench.guesses import (
    Guess,
    Spec,
    all_guesses,
    element_of,
    is_doubtful,
    may_be_setting,
    open_dimensions,
    shape_of,
    with_metadata,
)
from daemons.worker.bench.meanings import Tensor, is_sample_rate, meant_values
from daemons.worker.bench.refusals import refused, unfit
from daemons.worker.bench.said import Source, arrays_in, check_wishes, said_shapes, said_sizes
from daemons.worker.bench.values import KINDS, Array, random_values
from daemons.worker.bench.wanted import wished_values
from daemons.worker.engines.base import NO_WISHES, EngineError, Wish, Wishes

MAX_TRIALS: Final = 80
MAX_TRIAL_S: Final = 60.0
MAX_ELEMENTS: Final = 2**40


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
    """How long the model's very first run that succeeded took, if finding these needed one."""


Attempt = Callable[[dict[str, Value]], None]
"""Runs the model once; EngineError if it refuses."""


def fitting_inputs(
    specs: Sequence[Spec], attempt: Attempt, seed: int, *, metadata: Mapping[str, str], wishes: Wishes = NO_WISHES
) -> Fitting:
    """Inputs that the model accepts, with everything that `wishes` says.

    EngineError if there are none, or if a wish can't be met. What could be refused is tried out first, and that is what
    a wish may be: a person who has said a wrong shape is told what the model answers and what it takes.
    """
    source = source_of(specs, wishes, metadata, seed)
    opens = open_dimensions(source.specs, sizes_from_metadata(metadata), source.sizes)
    guesses = all_guesses(source.specs, opens, source.sizes)
    if not wishes.say_something and not is_doubtful(source.specs, opens):
        values = values_for(source, next(guesses))
        return Fitting(values, described(values, source), None)
    return first_accepted(source, guesses, attempt, is_open=is_doubtful(source.specs, opens))


def source_of(specs: Sequence[Spec], wishes: Wishes, metadata: Mapping[str, str], seed: int) -> Source:
    """The inputs with all that was said about them."""
    arrays = {} if wishes.arrays_path is None else arrays_in(wishes.arrays_path, specs)
    check_wishes(specs, wishes, arrays)
    shapes = said_shapes(specs, wishes, arrays)
    sizes = said_sizes(specs, shapes, wishes.batch_size)
    given = with_usual_ranges(specs, wishes.given)
    settled = [settled_spec(spec, shapes, given, metadata, sizes) for spec in specs]
    return Source(settled, specs, given, arrays, sizes, seed)


def with_usual_ranges(specs: Sequence[Spec], given: Mapping[str, Wish]) -> dict[str, Wish]:
    """What the job says, and the usual range of those inputs of whose values it says nothing."""
    wishes = {spec.name: (given.get(spec.name, Wish()), spec.usual_range) for spec in specs}
    usual = {
        name: wish._replace(range=ends)
        for name, (wish, ends) in wishes.items()
        if ends is not None and not says_values(wish)
    }
    return {**given, **usual}


def says_values(wish: Wish) -> bool:
    """Whether anything is said of an input's values."""
    return wish.value is not None or wish.range is not None


def settled_spec(
    spec: Spec,
    shapes: Mapping[str, tuple[int, ...]],
    given: Mapping[str, Wish],
    metadata: Mapping[str, str],
    sizes: Mapping[str, int],
) -> Spec:
    """The input with the shape that the job, else the metadata has for it."""
    wish = given.get(spec.name, Wish())
    has_values = says_values(wish)
    if spec.name in shapes:
        return spec._replace(shape=shapes[spec.name], is_settled=True, has_values=has_values)
    return with_metadata(spec, metadata, sizes)._replace(has_values=has_values)


def first_accepted(source: Source, guesses: Iterator[Guess], attempt: Attempt, *, is_open: bool) -> Fitting:
    """The first guess that the model runs with."""
    deadline = time.monotonic() + MAX_TRIAL_S
    complaint, tried = "", 0
    shapes: dict[str, tuple[int, ...]] = {}
    for guess in guesses:
        values = values_for(source, guess)
        shapes = shapes or {name: value.shape for name, value in values.items()}
        began = time.perf_counter_ns()
        try:
            attempt(values)
        except EngineError as refusal:
            tried += 1
            complaint = complaint or f"{refusal} (with {described(values, source)})"
        else:
            return Fitting(values, described(values, source), time.perf_counter_ns() - began)
        if tried >= MAX_TRIALS or time.monotonic() > deadline:
            break
    if is_open:
        raise EngineError(unfit(source.declared, source.specs, shapes, tried, complaint))
    raise EngineError(refused(source.declared, source.specs, shapes, complaint))


def values_for(source: Source, guess: Guess) -> dict[str, Value]:
    """A value for each input."""
    tensors = {spec.name: Tensor(spec.name, element_of(spec), checked_shape(spec, guess)) for spec in source.specs}
    return {
        spec.name: Value(
            array_for(tensors[spec.name], tensors, guess, source, stream),
            tensors[spec.name].element,
            tensors[spec.name].shape,
            "seq(" in spec.type,
        )
        for stream, spec in enumerate(source.specs)
    }


def checked_shape(spec: Spec, guess: Guess) -> tuple[int, ...]:
    """The input's shape under a guess, which a computer can hold."""
    shape = shape_of(spec, guess)
    if math.prod(shape) > MAX_ELEMENTS:
        raise EngineError(
            f"The input {spec.name} would have {math.prod(shape):,} elements ({list(shape)}); "
            f"at most {MAX_ELEMENTS:,} are made."
        )
    return shape


def array_for(tensor: Tensor, all_tensors: Mapping[str, Tensor], guess: Guess, source: Source, stream: int) -> Array:
    """The values of one input."""
    if tensor.name in source.arrays:
        return source.arrays[tensor.name].array
    wish = source.given.get(tensor.name, Wish())
    wished = wished_values(tensor.name, tensor.element, tensor.shape, wish, source.seed, stream)
    return chosen(tensor, all_tensors, guess, source.seed, stream) if wished is None else wished


def chosen(tensor: Tensor, all_tensors: Mapping[str, Tensor], guess: Guess, seed: int, stream: int) -> Array:
    """The values of an input of whose values nothing was said."""
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


def described(values: Mapping[str, Value], source: Source) -> str:
    """The inputs' shapes for people, and which values were said."""
    return "; ".join(f"{name}: {written(value)}{origin(name, source)}" for name, value in values.items())


def origin(name: str, source: Source) -> str:
    """Where the values are from, if not from us."""
    wish = source.given.get(name, Wish())
    if name in source.arrays:
        return " from the file"
    if wish.range is not None:
        return f" in {wish.range[0]:g}..{wish.range[1]:g}"
    return "" if wish.value is None else f" = {json.dumps(wish.value, ensure_ascii=False)[:40]}"


def written(value: Value) -> str:
    """Such as ``1x3x224x224 float32``."""
    element = {"float": "float32", "double": "float64"}.get(value.element, value.element)
    shape = "x".join(str(size) for size in value.shape) or "scalar"
    return f"a sequence of one {shape} {element}" if value.is_sequence else f"{shape} {element}"


def native_form(value: Value) -> Any:
    """What numpy-minded runtimes take: an array, or a list of one for a sequence."""
    return [value.array] if value.is_sequence else value.array
