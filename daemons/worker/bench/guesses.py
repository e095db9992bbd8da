"""What can be said of a model's inputs from their names, types and shapes, and what is tried for the rest. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeGuard

from daemons.worker.bench.dimensions import (
    DEFAULTS,
    Dim,
    Open,
    image_axes,
    is_picture,
    role_of_name,
    role_of_place,
    terms,
    value_of,
    variations,
)
from daemons.worker.bench.meanings import is_sample_rate
from daemons.worker.bench.values import FLOATS, INTEGERS, KINDS
from daemons.worker.engines.base import EngineError

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
    is_settled: bool = False
    """Whether the job says the shape, so that no dimensions mean a scalar and not "any shape"."""
    has_values: bool = False
    """Whether the job says the values."""
    usual_range: tuple[float, float] | None = None
    """Of its values where the job says none: those of a picture reach from 0 to 255."""


class Guess(NamedTuple):
    """All that was not given."""

    sizes: Mapping[str, int]
    style: str = "random"
    rankless: tuple[int, ...] = ()


def with_metadata(spec: Spec, metadata: Mapping[str, str], fixed: Mapping[str, int]) -> Spec:
    """The input with the shape that the metadata holds under its name, but for the sizes that the job says."""
    shape = shape_in_text(metadata.get(spec.name, ""), spec.shape)
    if shape is None:
        return spec
    return spec._replace(shape=tuple(fixed.get(key_of(spec, axis), size) for axis, size in enumerate(shape)))


def shape_in_text(text: str, declared_shape: tuple[Dim, ...]) -> tuple[int, ...] | None:
    """``1,3,640,640`` in any brackets, if it is a shape for these dimensions."""
    if not re.fullmatch(r"[\s\[({]*\d+(?:\s*[,x]\s*\d+)*[\s\])},]*", text):
        return None
    numbers = tuple(int(number) for number in re.findall(r"\d+", text))
    fits = len(numbers) == len(declared_shape) and all(
        not isinstance(dim, int) or dim == number for dim, number in zip(declared_shape, numbers, strict=True)
    )
    return numbers if fits and declared_shape else None


def declared(spec: Spec) -> str:
    """An input's type and shape as the model has them."""
    return f"{spec.type} [{', '.join('?' if dim is None else str(dim) for dim in spec.shape)}]"


def element_of(spec: Spec) -> str:
    """The element type of an input's tensors. EngineError for types that no value can be made for."""
    match = _TYPE.fullmatch(spec.type)
    if match is None or match["element"] not in KINDS:
        raise EngineError(
            f"The input {spec.name} has the type {spec.type}; inputs can be made for tensors, sequences of tensors "
            f"and optional tensors of {', '.join(sorted(KINDS))}."
        )
    return match["element"]


def open_dimensions(
    specs: Sequence[Spec], known: Mapping[str, int], fixed: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Open]:
    """Every dimension that needs a size, by name, with what it seems to be. The first input that names one decides.

    `known` holds likely sizes, `fixed` those that need no guess.
    """
    found: dict[str, Open] = {}
    hears = any(is_sample_rate(spec.name) for spec in specs)
    for spec in specs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, int) or key_of(spec, axis) in fixed:
                continue
            for name in terms(key_of(spec, axis)):
                found.setdefault(name, guessed(name, spec, axis, {**known, **fixed}, hears=hears))
    return {name: one for name, one in found.items() if name not in fixed}


def key_of(spec: Spec, axis: int) -> str:
    """The name of a dimension that has none."""
    dim = spec.shape[axis]
    return dim if is_name(dim) else f"{spec.name}[{axis}]"


def is_name(dim: Dim) -> TypeGuard[str]:
    """Whether a dimension has a name of its own: exporters write ``?`` for any."""
    return isinstance(dim, str) and dim not in {"", "?", "-1", "None"}


def guessed(name: str, spec: Spec, axis: int, known: Mapping[str, int], *, hears: bool) -> Open:
    """Role and first size of one open dimension."""
    telling = role_of_name(name) if is_name(spec.shape[axis]) else None
    place = role_of_place(spec.name, spec.shape, axis, integers=element_of(spec) in INTEGERS, hears=hears)
    role = place if telling is None or (telling == "sequence" and place == "audio") else telling
    if name in known:
        return Open(role, known[name])
    if role in {"height", "width"}:
        return Open(role, known.get(role) or other_side(spec, known) or DEFAULTS[role])
    return Open(role, DEFAULTS[role])


def other_side(spec: Spec, known: Mapping[str, int]) -> int | None:
    """The side of a picture that is known, if one is: most are squares."""
    if not is_picture(spec.shape):
        return None
    sides = [size_at(spec, axis, known) for axis in image_axes(spec.shape)]
    return next((side for side in sides if side is not None), None)


def size_at(spec: Spec, axis: int, known: Mapping[str, int]) -> int | None:
    """The size of a dimension, if the model or `known` tells it."""
    dim = spec.shape[axis]
    return dim if isinstance(dim, int) else known.get(key_of(spec, axis))


def is_doubtful(specs: Sequence[Spec], opens: Mapping[str, Open]) -> bool:
    """Whether a model could refuse what was guessed: sizes, unknown ranks, or short lists of numbers."""
    return bool(opens) or any(is_rankless(spec) or is_wrapped(spec) for spec in specs) or has_short_lists(specs)


def is_rankless(spec: Spec) -> bool:
    """Whether an input may be of any shape."""
    return not spec.shape and not spec.is_settled


def has_short_lists(specs: Sequence[Spec]) -> bool:
    """Whether an input may hold axes, indices, a shape, scales or a count beside what the model works on."""
    return any(not spec.has_values and may_be_setting(element_of(spec), spec.shape, len(specs)) for spec in specs)


def may_be_setting(element: str, shape: Sequence[Dim], inputs: int) -> bool:
    """Whether this is a number or a few that steer a model; an only input of floats is its data."""
    return len(shape) <= 1 and (element in INTEGERS or (element in FLOATS and inputs > 1))


def is_wrapped(spec: Spec) -> bool:
    """Whether an input is a sequence or an optional."""
    return not spec.type.startswith("tensor(")


def all_guesses(specs: Sequence[Spec], opens: Mapping[str, Open], fixed: Mapping[str, int]) -> Iterator[Guess]:
    """Everything that is tried, the likeliest first; `fixed` sizes are the same in all."""
    sizes = [{**one, **fixed} for one in variations(opens)]
    styles = _STYLES if has_short_lists(specs) else _STYLES[:1]
    ranks = _RANKLESS if any(is_rankless(spec) for spec in specs) else _RANKLESS[:1]
    yield Guess(sizes[0])
    yield from (Guess(sizes[0], style) for style in styles[1:])
    yield from (Guess(sizes[0], style, rank) for rank in ranks[1:] for style in styles)
    yield from (Guess(one, style) for one in sizes[1:] for style in styles[:1])
    yield from (Guess(one, style) for style in styles[1:] for one in sizes[1:])


def shape_of(spec: Spec, guess: Guess) -> tuple[int, ...]:
    """The input's shape under a guess."""
    if is_rankless(spec):
        return guess.rankless
    return tuple(
        dim if isinstance(dim, int) else value_of(key_of(spec, axis), guess.sizes)
        for axis, dim in enumerate(spec.shape)
    )
