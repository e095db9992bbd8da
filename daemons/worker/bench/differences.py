"""How far apart two outputs are, element by element. Pure arithmetic over numpy arrays.

Of the elements that both have as finite numbers: the largest absolute difference; the largest relative one; and the
peak signal-to-noise ratio, 20·log10(peak / root mean square of the differences), where the peak is the range of the
reference's values (their largest magnitude, if they are all the same; 1, if they are all zero).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RELATIVE_TO: Final = 1e-3
"""A relative difference is over the reference's magnitude, or over this share of its largest one where that is more."""
STEPS_OF_QUANTIZED: Final = 1
"""How far 8-bit integers may be off: they are quantized numbers, and a tie may be rounded either way."""
CHUNK: Final = 1 << 20
"""Elements that are compared at a time, so that outputs need little memory beyond their own."""


class Tolerance(NamedTuple):
    """No element may be further off than both shares together."""

    of_largest: float
    """Of the largest magnitude in the reference's output."""
    of_element: float
    """Of the element's own magnitude there."""

    def __str__(self) -> str:
        return f"{self.of_largest:g} of the largest value and {self.of_element:g} of each"


class Difference(NamedTuple):
    """Between an output and the reference's."""

    absolute: float
    """Infinite, if they can't be compared."""
    relative: float
    psnr: float
    """In dB; infinite, if they are identical."""
    agrees: bool
    why: str = ""
    """Why they can't be compared, for people."""


SAME: Final = Difference(0.0, 0.0, math.inf, agrees=True)


def apart(why: str) -> Difference:
    """Between outputs that can't be compared."""
    return Difference(math.inf, math.inf, -math.inf, agrees=False, why=why)


def difference(value: Any, reference: Any, tolerance: Tolerance) -> Difference:
    """Between outputs, which may be tensors, or sequences and maps of them: the worst of their parts."""
    ours, theirs = parts_of(value), parts_of(reference)
    if len(ours) != len(theirs):
        return apart(f"it has {len(ours)} parts, and the reference's has {len(theirs)}")
    return worst([array_difference(*pair, tolerance) for pair in zip(ours, theirs, strict=True)])


def worst(found: list[Difference]) -> Difference:
    """All of them together; none are the same."""
    if not found:
        return SAME
    return Difference(
        absolute=max(one.absolute for one in found),
        relative=max(one.relative for one in found),
        psnr=min(one.psnr for one in found),
        agrees=all(one.agrees for one in found),
        why=next((one.why for one in found if one.why), ""),
    )


def parts_of(value: Any) -> list[Array]:
    """An output as arrays: one for a tensor, several for a sequence or a map, none for an absent optional."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [part for key in sorted(value, key=str) for part in parts_of(value[key])]
    if isinstance(value, list | tuple):
        return [part for item in value for part in parts_of(item)]
    return [np.asarray(value)]


def array_difference(value: Array, reference: Array, tolerance: Tolerance) -> Difference:
    """Between two arrays. Text, truth values and integers of more than 8 bits must be the same."""
    if value.shape != reference.shape:
        return apart(f"its shape is {list(value.shape)}, and the reference's is {list(reference.shape)}")
    if is_text(value) or is_text(reference):
        return SAME if np.array_equal(value, reference) else apart("it holds other words than the reference's")
    if is_exact(value) and is_exact(reference):
        return integer_difference(value, reference)
    if any(not comparable(ours, theirs) for ours, theirs in chunks(value, reference)):
        return apart("it has a NaN or an infinity where the reference's has none, or the other way round")
    return number_difference(value, reference, tolerance)


def is_text(array: Array) -> bool:
    """Whether the elements are words."""
    return array.dtype.kind in "OSU"


def is_exact(array: Array) -> bool:
    """Whether the elements are integers or truth values."""
    return array.dtype.kind in "biu"


def integer_difference(value: Array, reference: Array) -> Difference:
    """Between integers, which may be unlike where their nearest floating-point numbers are the same."""
    if np.array_equal(value, reference):
        return SAME
    found = number_difference(value, reference, Tolerance(0, 0))
    is_quantized = {value.dtype.name, reference.dtype.name} <= {"int8", "uint8"}
    return found._replace(
        absolute=max(found.absolute, 1.0), agrees=is_quantized and found.absolute <= STEPS_OF_QUANTIZED
    )


def number_difference(value: Array, reference: Array, tolerance: Tolerance) -> Difference:
    """Between the finite elements of arrays of one shape."""
    scale = scale_of(value, reference)
    absolute, relative, squares, agrees = 0.0, 0.0, 0.0, True
    for ours, theirs in finite_chunks(value, reference):
        with np.errstate(over="ignore"):  # numbers at both ends of a type are infinitely far apart
            off, size = np.abs(ours - theirs), np.abs(theirs)
            absolute = max(absolute, float(off.max()))
            relative = max(relative, float((off / np.maximum(size, scale.floor)).max()))
            squares += float(np.square(off / scale.peak).sum())
        most = tolerance.of_largest * scale.largest + tolerance.of_element * size
        agrees = agrees and bool((off <= most).all())
    noise = math.sqrt(squares / max(scale.elements, 1))
    return Difference(absolute, relative, -20 * math.log10(noise) if noise else math.inf, agrees)


class Scale(NamedTuple):
    """What differences are seen against."""

    largest: float
    floor: float
    """The least magnitude that a relative difference is over."""
    peak: float
    """Of the signal."""
    elements: int


def scale_of(value: Array, reference: Array) -> Scale:
    """Of the reference's elements, where both have finite numbers."""
    least, most, count = math.inf, -math.inf, 0
    for _, theirs in finite_chunks(value, reference):
        least, most, count = min(least, float(theirs.min())), max(most, float(theirs.max())), count + theirs.size
    if not count:
        return Scale(0.0, 1.0, 1.0, 0)
    largest = max(abs(least), abs(most))
    return Scale(largest, RELATIVE_TO * largest or 1.0, (most - least) or largest or 1.0, count)


def finite_chunks(value: Array, reference: Array) -> Iterator[tuple[Array, Array]]:
    """The elements that are finite in both, where there are any."""
    for ours, theirs in chunks(value, reference):
        both = np.isfinite(ours) & np.isfinite(theirs)
        if both.any():
            yield ours[both], theirs[both]


def comparable(ours: Array, theirs: Array) -> bool:
    """Whether both have the same infinities, and NaNs in the same places."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    return bool((both | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all())


def chunks(value: Array, reference: Array) -> Iterator[tuple[Array, Array]]:
    """The elements of both in double precision, some at a time; the parts of complex numbers one after the other."""
    ours, theirs = value.reshape(-1), reference.reshape(-1)
    for first in range(0, ours.size, CHUNK):
        yield wide(ours[first : first + CHUNK]), wide(theirs[first : first + CHUNK])


def wide(array: Array) -> Array:
    """Elements in a type in which differences are exact enough."""
    if array.dtype.kind == "c":
        return array.astype(np.complex128).view(np.float64)
    return array.astype(np.float64)
