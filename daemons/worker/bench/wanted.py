"""Values that a job asks for: one for every element, or random ones in a range; checked against the element type."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np

from daemons.worker.bench import narrow
from daemons.worker.bench.values import CHUNK, KINDS, Array, mixed, random_bits
from daemons.worker.engines.base import EngineError, Wish

COMPLEX: Final = frozenset({"complex64", "complex128"})
WHOLE: Final = frozenset({*narrow.SMALL_INTEGERS, "int8", "int16", "int32", "int64"}) | frozenset(
    {"uint8", "uint16", "uint32", "uint64"}
)
_UNIT: Final = 2.0**-53
_SEED_MASK: Final = 2**64 - 1


def check_wish(name: str, element: str, wish: Wish) -> None:
    """EngineError if the input `name` can't hold what is wished for it."""
    if wish.value is not None and wish.range is not None:
        raise EngineError(f"inputs.{name}: has a value and a range; a value is for every element, so leave one out.")
    if wish.value is not None:
        checked_value(name, element, wish.value)
    if wish.range is not None:
        checked_range(name, element, wish.range)


def wished_values(name: str, element: str, shape: tuple[int, ...], wish: Wish, seed: int, stream: int) -> Array | None:
    """The elements that are wished for an input; None if nothing is. Raises as `check_wish` does."""
    if wish.value is not None:
        value = checked_value(name, element, wish.value)
        return in_pieces(element, shape, lambda first, last: np.full(last - first, value))
    if wish.range is None:
        return None
    low, high = checked_range(name, element, wish.range)
    begin = mixed((seed & _SEED_MASK) + 1) ^ mixed(stream + 1)
    return in_pieces(
        element, shape, lambda first, last: numbers_in(random_bits(begin, first, last), element, low, high)
    )


def in_pieces(element: str, shape: tuple[int, ...], numbers: Any) -> Array:
    """An array of `shape` in the type's own form, made of pieces so that it needs next to no memory beyond its own."""
    kind, count = KINDS[element], math.prod(shape)
    out = np.empty(-(-count // kind.per_byte), dtype=kind.dtype)
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        out[first // kind.per_byte : -(-last // kind.per_byte)] = stored(numbers(first, last), element)
    return out if kind.per_byte > 1 else out.reshape(shape)


def stored(numbers: Array, element: str) -> Array:
    """Numbers as elements of a type that can hold them."""
    kind = KINDS[element]
    return numbers.astype(kind.dtype, order="C") if kind.native else narrow.narrowed(numbers, element)


def numbers_in(bits: Array, element: str, low: Any, high: Any) -> Array:
    """Evenly spread over a range, both ends included, from 64 random bits each."""
    if element in WHOLE or element == "bool":
        return whole_numbers_in(bits, low, high)
    if element in COMPLEX:
        return floats_in(bits, low, high) + 1j * floats_in(bits << np.uint64(32), low, high)
    numbers = floats_in(bits, low, high)
    smallest = float(np.finfo(KINDS[element].dtype).tiny) if KINDS[element].dtype in (np.float16, np.float32) else 0.0
    # Denormals would take other paths through some hardware, and nobody asks for them with a range around zero.
    return np.where((np.abs(numbers) < smallest) & (low <= 0 <= high), 0.0, numbers)


def floats_in(bits: Array, low: float, high: float) -> Array:
    """In a form that doesn't overflow where the range is as wide as the type."""
    share = (bits >> np.uint64(11)).astype(np.float64) * _UNIT
    return low * (1 - share) + high * share


def whole_numbers_in(bits: Array, low: int, high: int) -> Array:
    """64-bit integers; unsigned if `low` is not negative."""
    count = high - low + 1
    offsets = bits if count > _SEED_MASK else bits % np.uint64(count)
    numbers: Array = offsets + np.uint64(low & _SEED_MASK)
    return numbers if low >= 0 else numbers.view(np.int64)


def checked_value(name: str, element: str, value: Any) -> Any:
    """The value, which the type can hold; EngineError otherwise."""
    if element == "string" or isinstance(value, str):
        if element != "string" or not isinstance(value, str):
            raise misfit(name, "value", value, element)
        return np.array(value, dtype=object)
    if element == "bool" or isinstance(value, bool):
        if element != "bool" or not isinstance(value, bool):
            raise misfit(name, "value", value, element)
        return value
    if element in WHOLE and value != int(value):
        raise misfit(name, "value", value, element)
    least, most = limits(element)
    if not least <= value <= most:
        raise EngineError(f"inputs.{name}.value: is {value}, and {element} holds {spelt(least)} to {spelt(most)}.")
    return int(value) if element in WHOLE else float(value)


def checked_range(name: str, element: str, ends: tuple[float, float]) -> tuple[Any, Any]:
    """Both ends as the type has them; EngineError if they are no range of it."""
    low, high = ends
    if element == "string":
        raise EngineError(f"inputs.{name}.range: the input holds text, which has no range; give it a value.")
    if not low <= high:
        raise EngineError(f"inputs.{name}.range: begins at {low} and ends at {high}; write the smaller number first.")
    least, most = limits(element)
    # An end that JSON carried as a float may be the rounded largest 64-bit number.
    if not (float(least) <= low and high <= float(most)):
        raise EngineError(f"inputs.{name}.range: is {list(ends)}, and {element} holds {spelt(least)} to {spelt(most)}.")
    if element not in WHOLE and element != "bool":
        return low, high
    inside = max(math.ceil(low), int(least)), min(math.floor(high), int(most))
    if inside[0] > inside[1]:
        raise EngineError(
            f"inputs.{name}.range: there is no whole number in {list(ends)}, and {element} holds no other."
        )
    return inside


def limits(element: str) -> tuple[Any, Any]:
    """The least and the largest number of a type; of a complex one, of each of its parts."""
    kind = KINDS[element]
    if element == "bool":
        return 0, 1
    if not kind.native:
        return narrow.limits_of(element)
    if element in WHOLE:
        whole = np.iinfo(kind.dtype)
        return int(whole.min), int(whole.max)
    info = np.finfo(kind.dtype)
    return float(info.min), float(info.max)


def misfit(name: str, field: str, value: Any, element: str) -> EngineError:
    """The error for a value of the wrong kind."""
    kinds = {"string": 'text, such as "abc"', "bool": "true or false"}
    wanted = kinds.get(element, "a whole number" if element in WHOLE else "a number")
    found = json.dumps(value)
    shown = found if len(found) <= 60 else f"{found[:60]}…"
    return EngineError(f"inputs.{name}.{field}: is {shown}, and the input's type {element} takes {wanted}.")


def spelt(limit: float) -> str:
    """A limit for people."""
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
