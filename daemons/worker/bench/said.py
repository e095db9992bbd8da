"""What a job says about inputs, held against what the model declares: names, types, shapes and the batch. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from daemons.worker.bench.arrays import Given, read_arrays
from daemons.worker.bench.guesses import Spec, declared, element_of, is_name, key_of, open_dimensions
from daemons.worker.bench.refusals import signature, unknown_input
from daemons.worker.bench.wanted import check_wish
from daemons.worker.engines.base import EngineError, Wish, Wishes


class Source(NamedTuple):
    """All that values are made from, but for what is guessed."""

    specs: Sequence[Spec]
    """The inputs, with the shapes that were said."""
    declared: Sequence[Spec]
    """The inputs as the model has them."""
    given: Mapping[str, Wish]
    arrays: Mapping[str, Given]
    sizes: Mapping[str, int]
    """Of dimensions, by name, where they follow from what was said."""
    seed: int


def arrays_in(path: str, specs: Sequence[Spec]) -> dict[str, Given]:
    """The arrays of a .npz file, each for one of the inputs."""
    return read_arrays(path, {spec.name: element_of(spec) for spec in specs})


def check_wishes(specs: Sequence[Spec], wishes: Wishes, arrays: Mapping[str, Given]) -> None:
    """EngineError for a name that the model doesn't have, said twice over, or with values that its type can't hold."""
    by_name = {spec.name: spec for spec in specs}
    for name, wish in wishes.given.items():
        if name not in by_name:
            raise EngineError(unknown_input(name, specs))
        if name in arrays:
            raise EngineError(f"The input {name} is in the file of input arrays and in `inputs`; take it out of one.")
        check_wish(name, element_of(by_name[name]), wish)


def said_shapes(specs: Sequence[Spec], wishes: Wishes, arrays: Mapping[str, Given]) -> dict[str, tuple[int, ...]]:
    """Whole shapes by input name; EngineError for one that contradicts the model."""
    shapes: dict[str, tuple[int, ...]] = {}
    for spec in specs:
        wish = wishes.given.get(spec.name, Wish())
        if spec.name in arrays:
            shapes[spec.name] = agreeing(arrays[spec.name].shape, spec, f"The array {spec.name} in the file has")
        elif wish.shape is not None:
            shapes[spec.name] = agreeing(wish.shape, spec, f"inputs.{spec.name}.shape: is")
    return shapes


def agreeing(shape: tuple[int, ...], spec: Spec, who: str) -> tuple[int, ...]:
    """The shape, if the model's own allows it. A runtime doesn't tell a scalar from "any shape"."""
    fits = len(shape) == len(spec.shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(spec.shape, shape, strict=True)
    )
    if spec.shape and not fits:
        raise EngineError(f"{who} {list(shape)}, and the model's input is {spec.name}: {declared(spec)}.")
    return shape


def said_sizes(specs: Sequence[Spec], shapes: Mapping[str, tuple[int, ...]], batch_size: int | None) -> dict[str, int]:
    """Sizes of open dimensions, by name, that follow from the shapes and the batch size."""
    sizes: dict[str, int] = {}
    for spec in specs:
        for dim, size in zip(spec.shape, shapes.get(spec.name, ()), strict=False):
            if is_name(dim):
                sizes.setdefault(dim, size)
    return sizes if batch_size is None else sizes | batch_sizes(specs, shapes, batch_size)


def batch_sizes(specs: Sequence[Spec], shapes: Mapping[str, tuple[int, ...]], batch_size: int) -> dict[str, int]:
    """The batch size, by the names of the dimensions that it is the size of; EngineError if it can't be."""
    roles = {name: one.role for name, one in open_dimensions(specs, {}).items()}
    sizes = {key: batch_size for spec in specs for axis in batch_axes(spec, roles) for key in [key_of(spec, axis)]}
    check_fixed(specs, shapes, roles, batch_size)
    for spec in specs:
        check_said(spec, shapes, roles, batch_size)
    return sizes


def batch_axes(spec: Spec, roles: Mapping[str, str]) -> list[int]:
    """Where an input's open batch is."""
    return [
        axis
        for axis, dim in enumerate(spec.shape)
        if not isinstance(dim, int) and roles.get(key_of(spec, axis)) == "batch"
    ]


def check_fixed(
    specs: Sequence[Spec], shapes: Mapping[str, tuple[int, ...]], roles: Mapping[str, str], batch_size: int
) -> None:
    """EngineError if the batch is open in no input that has data, and isn't the wanted size by itself."""
    with_data = [spec for spec in specs if len(spec.shape) > 1] or [spec for spec in specs if spec.shape]
    if any(batch_axes(spec, roles) for spec in with_data):
        return
    first = {spec.shape[0] for spec in with_data} | {shapes[spec.name][0] for spec in specs if shapes.get(spec.name)}
    if first != {batch_size}:
        raise EngineError(
            f"batch_size: is {batch_size}, but the model leaves no batch open; its inputs are {signature(specs)}. "
            "Leave batch_size out, or export the model with an open batch dimension."
        )


def check_said(spec: Spec, shapes: Mapping[str, tuple[int, ...]], roles: Mapping[str, str], batch_size: int) -> None:
    """EngineError if an input's shape was said with another batch."""
    for axis in batch_axes(spec, roles) if spec.name in shapes else ():
        if shapes[spec.name][axis] != batch_size:
            raise EngineError(
                f"batch_size: is {batch_size}, but the shape given for {spec.name} is {list(shapes[spec.name])}, "
                f"whose batch is {shapes[spec.name][axis]}; leave one of them out."
            )
