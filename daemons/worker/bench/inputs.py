"""Inputs for a model about which nothing is known but its signature.

Open dimensions are settled by what the user gave, the model's metadata, names and layout, in this order
(`daemons.worker.bench.dimensions`); values by the meaning of a name, else at random. Where something had to be guessed
that a model could refuse, the model is run with it, and other guesses follow until it accepts one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from daemons.worker.bench.dimensions import (
    DEFAULTS,
    Dim,
    Open,
    role_of_name,
    role_of_place,
    sizes_from_metadata,
    terms,
    value_of,
    variations,
)
from daemons.worker.bench.meanings import Tensor, meant_values
from daemons.worker.bench.values import FLOATS, INTEGERS, KINDS, Array, random_values
from daemons.worker.engines.base import EngineError

MAX_TRIALS: Final = 80
MAX_TRIAL_S: Final = 60.0

_TYPE: Final = re.compile(r"(?P<wrap>(?:optional\(|seq\()*)tensor\((?P<element>\w+)\)\)*")
_RANKLESS: Final = ((), (1,), (3,), (1, 128), (2, 3), (1, 3, 224, 224), (2, 3, 4))
"""Shapes that are tried for an input that names none: a runtime doesn't tell a scalar from "any shape"."""
_STYLES: Final = ("random", "ones", "zeros", "free", "counting")
"""Values that are tried for short lists of numbers, which may be indices, axes, shapes, scales or counts."""


class Spec(NamedTuple):
    """An input as a model declares it."""

    name: str
    type: str
    """Such as ``tensor(float)`` or ``seq(tensor(int64))``."""
    shape: tuple[Dim, ...]


class Value(NamedTuple):
    """What one input gets."""

    array: Array
    element: str
    shape: tuple[int, ...]
    """The tensor's own; `array` is flat where elements share a byte."""
    is_sequence: bool
    """Wanted inside a sequence of one."""


class Guess(NamedTuple):
    """All that was not given."""

    sizes: Mapping[str, int]
    style: str = "random"
    rankless: tuple[int, ...] = ()


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
        f"Its inputs are {listed}. To the first of them it said: {complaint}"
    )


def declared(spec: Spec) -> str:
    """An input's type and shape as the model has them."""
    return f"{spec.type} [{', '.join('?' if dim is None else str(dim) for dim in spec.shape)}]"


def with_given(spec: Spec, given: Mapping[str, Sequence[int]], metadata: Mapping[str, str]) -> Spec:
    """The input with the shape that the user gave it, or the metadata under its name."""
    shape = given.get(spec.name)
    if shape is None:
        shape = shape_in_text(metadata.get(spec.name, ""), spec.shape)
    elif spec.shape and len(shape) != len(spec.shape):
        raise EngineError(
            f"The shape {list(shape)} was given for the input {spec.name}, which has {len(spec.shape)} dimensions: "
            f"{declared(spec)}."
        )
    return spec if shape is None else spec._replace(shape=tuple(shape))


def shape_in_text(text: str, declared_shape: tuple[Dim, ...]) -> tuple[int, ...] | None:
    """``1,3,640,640`` in any brackets, if it is a shape for these dimensions."""
    if not re.fullmatch(r"[\s\[({]*\d+(?:\s*[,x]\s*\d+)*[\s\])},]*", text):
        return None
    numbers = tuple(int(number) for number in re.findall(r"\d+", text))
    fits = len(numbers) == len(declared_shape) and all(
        not isinstance(dim, int) or dim == number for dim, number in zip(declared_shape, numbers, strict=True)
    )
    return numbers if fits and declared_shape else None


def open_dimensions(specs: Sequence[Spec], known: Mapping[str, int]) -> dict[str, Open]:
    """Every dimension that needs a size, by name, with what it seems to be. The first input that names one decides."""
    found: dict[str, Open] = {}
    for spec in specs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, int):
                continue
            for name in terms(dim) if dim else (key_of(spec, axis),):
                found.setdefault(name, guessed(name, spec, axis, known))
    return found


def key_of(spec: Spec, axis: int) -> str:
    """The name of a dimension that has none."""
    dim = spec.shape[axis]
    return dim if isinstance(dim, str) and dim else f"{spec.name}[{axis}]"


def guessed(name: str, spec: Spec, axis: int, known: Mapping[str, int]) -> Open:
    """Role and first size of one open dimension."""
    telling = role_of_name(name) if spec.shape[axis] else None
    place = role_of_place(spec.name, spec.shape, axis, integers=element_of(spec) in INTEGERS)
    role = telling or place
    if name in known:
        return Open(role, known[name])
    if place == "image" and role == "image":
        side = "height" if axis % len(spec.shape) == min(image_pair(spec)) else "width"
        return Open(role, known.get(side, square(spec) or DEFAULTS["image"]))
    return Open(role, DEFAULTS[role])


def image_pair(spec: Spec) -> tuple[int, ...]:
    """The axes that this input's picture lies in."""
    return tuple(
        axis for axis in range(len(spec.shape)) if role_of_place(spec.name, spec.shape, axis, integers=False) == "image"
    )


def square(spec: Spec) -> int | None:
    """The other side of a picture, where the model fixes one."""
    fixed = [dim for axis in image_pair(spec) if isinstance(dim := spec.shape[axis], int)]
    return fixed[0] if len(fixed) == 1 else None


def is_doubtful(specs: Sequence[Spec], opens: Mapping[str, Open]) -> bool:
    """Whether a model could refuse what was guessed: sizes, unknown ranks, or short lists of numbers."""
    return bool(opens) or any(not spec.shape or is_wrapped(spec) for spec in specs) or has_short_lists(specs)


def has_short_lists(specs: Sequence[Spec]) -> bool:
    """Whether an input may hold axes, indices, a shape, scales or a count beside what the model works on."""
    return any(may_be_setting(element_of(spec), spec.shape, len(specs)) for spec in specs)


def may_be_setting(element: str, shape: Sequence[Dim], inputs: int) -> bool:
    """Whether this is a number or a few that steer a model; an only input of floats is its data."""
    return len(shape) <= 1 and (element in INTEGERS or (element in FLOATS and inputs > 1))


def is_wrapped(spec: Spec) -> bool:
    """Whether an input is a sequence or an optional."""
    return not spec.type.startswith("tensor(")


def all_guesses(specs: Sequence[Spec], opens: Mapping[str, Open]) -> Iterator[Guess]:
    """Everything that is tried, the likeliest first."""
    sizes = list(variations(opens))
    styles = _STYLES if has_short_lists(specs) else _STYLES[:1]
    ranks = _RANKLESS if any(not spec.shape for spec in specs) else _RANKLESS[:1]
    yield Guess(sizes[0])
    yield from (Guess(sizes[0], style) for style in styles[1:])
    yield from (Guess(sizes[0], style, rank) for rank in ranks[1:] for style in styles)
    yield from (Guess(one, style) for one in sizes[1:] for style in styles[:1])
    yield from (Guess(one, style) for style in styles[1:] for one in sizes[1:])


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
    if guess.style != "random" and may_be_setting(tensor.element, tensor.shape, len(all_tensors)):
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


def element_of(spec: Spec) -> str:
    """The element type of an input's tensors. EngineError for types that no value can be made for."""
    match = _TYPE.fullmatch(spec.type)
    if match is None or match["element"] not in KINDS:
        raise EngineError(
            f"The input {spec.name} has the type {spec.type}; inputs can be made for tensors, sequences of tensors "
            f"and optional tensors of {', '.join(sorted(KINDS))}."
        )
    return match["element"]


def shape_of(spec: Spec, guess: Guess) -> tuple[int, ...]:
    """The input's shape under a guess."""
    if not spec.shape:
        return guess.rankless
    return tuple(
        dim if isinstance(dim, int) else value_of(key_of(spec, axis), guess.sizes)
        for axis, dim in enumerate(spec.shape)
    )


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
