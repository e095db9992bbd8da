"""Sizes for the dimensions that a model leaves open: by the model's metadata, by name, by layout, else by trial.

Pure: names and numbers in, sizes out. Dimensions with one name get one size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeGuard

Dim = int | str | None
"""Fixed, named, or neither."""

Sizes = Mapping[str, int]
"""By the name of an open dimension; one without a name is called ``INPUT[AXIS]``."""


class Open(NamedTuple):
    """A dimension that needs a size."""

    role: str
    """What it seems to be: a key of `DEFAULTS`."""
    size: int


DEFAULTS: Final[dict[str, int]] = {
    "batch": 1,
    "count": 1,
    "past": 0,
    "sequence": 128,
    "audio": 16_000,
    "mel": 80,
    "height": 224,
    "width": 224,
    "side": 224,
    "channels": 3,
    "frames": 8,
    "features": 128,
    "unknown": 1,
}

_SQUARES: Final = (256, 299, 320, 416, 640, 512, 384, 128, 64, 32, 28)
_TEXT_LINES: Final = ((48, 320), (32, 320), (32, 100), (64, 256))


def _each(role: str, *sizes: int) -> tuple[dict[str, int], ...]:
    return tuple({role: size} for size in sizes)


ALTERNATIVES: Final[tuple[dict[str, int], ...]] = (
    *({"height": side, "width": side, "side": side} for side in _SQUARES[:6]),
    *({"height": height, "width": width} for height, width in _TEXT_LINES),
    *_each("audio", 512, 576, 1024, 32_000, 48_000, 160_000),
    *_each("sequence", 1, 16, 64, 77, 256, 512, 32, 384, 3000),
    *_each("channels", 1, 4),
    *_each("past", 1, 16, 128),
    *_each("mel", 128, 64, 40),
    *_each("features", 64, 80, 256, 512, 768, 1024),
    *_each("unknown", 128, 16, 2, 3, 4),
    *_each("frames", 16, 32, 1),
    *({"height": side, "width": side, "side": side} for side in _SQUARES[6:]),
    *_each("batch", 2, 4, 8),
    *_each("count", 2, 16),
)
"""What is tried where a model refuses the defaults, the likelier first."""

_ROLES: Final = (
    ("past", r"past|cache|mems?_len"),
    ("batch", r"batch|^bs$|^b$|^n$|^num_?(images|samples)$"),
    ("mel", r"mel|n_?freq|freq_?bins?"),
    ("audio", r"audio|wav|samples|speech|signal"),
    ("sequence", r"seq|len|tok|time|step|text|^t$|^s$|^l$|frame|pos"),
    ("height", r"height|^h$|_h$|rows"),
    ("width", r"width|^w$|_w$|cols"),
    ("side", r"^(img|image)_?size$|resolution|spatial"),
    ("channels", r"chan|^c$"),
    ("features", r"feat|hidden|embed|dim_?size|^d$"),
    ("count", r"num|count|beam|boxes|roi|head|candidates|points"),
)
_PATTERNS: Final = tuple((role, re.compile(pattern)) for role, pattern in _ROLES)
_STATE: Final = re.compile(r"state|hidden|(^|_)[hc](_?\d|_?n|_?in|_?prev)?$")
"""Inputs that carry a recurrent network's memory: layers, batch, width."""

_CHANNELS: Final = frozenset({1, 3, 4})
_SUM: Final = re.compile(r"\s+([-+])\s+")
_PLAIN: Final = re.compile(r"[\w.]+")
_PRODUCT: Final = re.compile(r"\s*(\*|//)\s*")


def role_of_name(name: str) -> str | None:
    """What a dimension of this name is; None for names that say nothing, such as ``unk__17``."""
    plain = name.lower()
    return next((role for role, pattern in _PATTERNS if pattern.search(plain)), None)


def role_of_place(input_name: str, shape: tuple[Dim, ...], axis: int, *, integers: bool, hears: bool = False) -> str:
    """What a dimension without a telling name is, by its place among the others; `hears` if the model takes sound."""
    rank = len(shape)
    if is_picture(shape) and axis in image_axes(shape):
        return "height" if axis == image_axes(shape)[0] else "width"
    if rank >= 4 and axis == channel_axis(shape):
        return "channels"
    if rank == 3 and _STATE.search(input_name.lower()):
        return "batch" if axis == 1 else "count"
    is_sound = not integers and rank <= 2 and (hears or role_of_name(input_name) == "audio")
    if is_sound and axis == rank - 1:
        return "audio"
    if axis == 0:
        return "batch"
    if rank in {2, 3}:
        return "sequence" if integers or axis == 1 or isinstance(shape[1], int) else "features"
    return "frames" if rank == 5 else "unknown"


def channel_axis(shape: tuple[Dim, ...]) -> int:
    """Where the channels of a picture are: a size of 1, 3 or 4 says it, else they come before height and width."""
    last = len(shape) - 1
    usual = last - 2
    if shape[1] in _CHANNELS or shape[usual] in _CHANNELS:
        return 1 if shape[1] in _CHANNELS else usual
    return last if shape[last] in _CHANNELS else 1


def image_axes(shape: tuple[Dim, ...]) -> tuple[int, int]:
    """Where height and width are."""
    last = len(shape) - 1
    channels_last = shape[last] in _CHANNELS and shape[last - 2] not in _CHANNELS
    channels_last = channels_last and (len(shape) < 4 or shape[1] not in _CHANNELS)
    return (last - 2, last - 1) if channels_last else (last - 1, last)


def is_picture(shape: tuple[Dim, ...]) -> bool:
    """Whether these are the dimensions of a picture: four or five, or three without a batch."""
    if len(shape) != 3:
        return len(shape) >= 4
    fixed = [axis for axis, dim in enumerate(shape) if isinstance(dim, int)]
    return fixed in ([0], [2]) and shape[fixed[0]] in {3, 4}


def terms(name: str) -> tuple[str, ...]:
    """The names inside an expression such as ``past_length + 1``; the name itself if it is none."""
    parts = [part.strip() for piece in _SUM.split(name)[::2] for part in _PRODUCT.split(piece)[::2]]
    if not all(_PLAIN.fullmatch(part) for part in parts):
        return (name,)
    return tuple(part for part in parts if not part.isdigit())


def value_of(name: str, sizes: Sizes) -> int:
    """The size that `name` has: its own, or that of the sum or product that it spells out."""
    if name in sizes:
        return sizes[name]
    signs = _SUM.split(name)
    total = _product(signs[0], sizes)
    for sign, piece in zip(signs[1::2], signs[2::2], strict=True):
        total += _product(piece, sizes) * (1 if sign == "+" else -1)
    return max(total, 0)


def _product(text: str, sizes: Sizes) -> int:
    pieces = _PRODUCT.split(text)
    total = _number(pieces[0], sizes)
    for sign, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        factor = _number(piece, sizes)
        total = total * factor if sign == "*" else total // max(factor, 1)
    return total


def _number(text: str, sizes: Sizes) -> int:
    plain = text.strip()
    return int(plain) if plain.isdigit() else sizes[plain]


def sizes_from_metadata(metadata: Mapping[str, str]) -> dict[str, int]:
    """Sizes that the model's own metadata names: ``imgsz`` as detectors write it, and any key with a whole number."""
    found: dict[str, int] = {}
    for key, text in metadata.items():
        value = _parsed(text)
        if _is_size(value):
            found[key] = value
        if key.lower() in {"imgsz", "image_size", "input_size"}:
            found |= _image_sizes(value)
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1_000_000


def _image_sizes(value: Any) -> dict[str, int]:
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2 or not all(_is_size(one) for one in pair):
        return {}
    return {"height": pair[0], "width": pair[1]}


def variations(opens: Mapping[str, Open]) -> Iterator[dict[str, int]]:
    """Sizes for all open dimensions: first what they seem to be, then others, one role at a time, then all alike."""
    first = {name: one.size for name, one in opens.items()}
    yield first
    roles = {one.role for one in opens.values()}
    for other in ALTERNATIVES:
        if not roles.isdisjoint(other):
            yield {name: other.get(one.role, one.size) for name, one in opens.items()}
    for size in (1, 2, 3, 4, 8, 16, 32, 64) if opens else ():
        yield dict.fromkeys(opens, size)
