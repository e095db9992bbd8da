"""What a Core ML model says of its inputs and outputs, from its specification or from a compiled model's metadata.

Pure: protocol-buffer messages and JSON text in, features out; coremltools is not needed to read either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from daemons.worker.engines.base import EngineError

_ELEMENTS: Final = {"FLOAT32": "float", "DOUBLE": "double", "FLOAT16": "float16", "INT32": "int32", "INT8": "int8"}
_COLORS: Final = {"RGB": "rgb", "BGR": "rgb", "GRAYSCALE": "gray", "GRAYSCALE_FLOAT16": "gray16"}
"""Core ML → kind of picture. Whether Core ML keeps red or blue first is its own business."""

_IMAGES: Final = {"rgb": ("uint8", (3,)), "gray": ("uint8", ()), "gray16": ("float16", ())}
"""Kind of picture → element type, and the dimensions after height and width."""

_SCALARS: Final = frozenset({"int64", "double", "string"})
DICTIONARY_KEYS: Final = 4

Range = tuple[int, int]
"""Least and largest size; a negative one means that there is no limit."""


class Feature(NamedTuple):
    """One input."""

    name: str
    kind: str
    """``array``, ``scalar``, ``dictionary``, one of `IMAGES`; anything else is what coremltools can't be fed with."""
    element: str = ""
    """As in ``tensor(…)``; of a dictionary's keys, whose values are counts."""
    shape: tuple[int, ...] = ()
    """The usual one: height, width and colours of a picture."""
    ranges: tuple[Range, ...] = ()
    """Of each dimension, where the model leaves some open."""
    choices: tuple[tuple[int, ...], ...] = ()
    """All shapes that it takes, where it takes several."""

    @property
    def open_axes(self) -> frozenset[int]:
        """The dimensions that may be of another size than the usual one."""
        ranged = {axis for axis, (least, most) in enumerate(self.ranges) if least != most}
        chosen = {axis for axis in range(len(self.shape)) if len({one[axis : axis + 1] for one in self.choices}) > 1}
        return frozenset(ranged | chosen)


class Signature(NamedTuple):
    """A model as it describes itself."""

    inputs: tuple[Feature, ...]
    outputs: tuple[str, ...]
    is_stateful: bool
    """Whether a run reads and changes a state, such as the keys and values of the tokens before."""
    model_type: str
    """Such as ``mlProgram`` or ``neuralNetworkClassifier``."""


IMAGES: Final = frozenset(_IMAGES)


def signature_in_spec(spec: Any) -> Signature:
    """From a `Model` message, of its default function if it has several."""
    description = spec.description
    functions = {function.name: function for function in description.functions}
    part = functions.get(description.defaultFunctionName, next(iter(functions.values()), description))
    return Signature(
        inputs=tuple(_feature(one.name, one.type) for one in part.input),
        outputs=tuple(one.name for one in part.output),
        is_stateful=bool(part.state),
        model_type=spec.WhichOneof("Type") or "",
    )


def _feature(name: str, described: Any) -> Feature:
    kind = (described.WhichOneof("Type") or "nothing").removesuffix("Type").lower()
    if kind == "multiarray":
        return _array(name, described.multiArrayType)
    if kind == "image":
        return _image(name, described.imageType)
    if kind == "dictionary":
        return _dictionary(name, has_text=described.dictionaryType.WhichOneof("KeyType") == "stringKeyType")
    return _scalar(name, kind)


def _dictionary(name: str, *, has_text: bool) -> Feature:
    return Feature(name, "dictionary", "string" if has_text else "int64", (DICTIONARY_KEYS,))


def _scalar(name: str, kind: str) -> Feature:
    return Feature(name, "scalar", kind) if kind in _SCALARS else Feature(name, kind)


def _array(name: str, array: Any) -> Feature:
    element = _ELEMENTS.get(array.ArrayDataType.Name(array.dataType), "")
    ranges = _ranges(array.shapeRange.sizeRanges)
    choices = tuple(tuple(one.shape) for one in array.enumeratedShapes.shapes)
    return Feature(name, "array", element, _usual(tuple(array.shape), ranges, choices), ranges, choices)


def _image(name: str, image: Any) -> Feature:
    sizes = image.imageSizeRange
    ranges = _ranges([sizes.heightRange, sizes.widthRange]) if image.HasField("imageSizeRange") else ()
    choices = tuple((one.height, one.width) for one in image.enumeratedSizes.sizes)
    shape = (image.height, image.width) if image.height and image.width else ()
    return picture(name, image.ColorSpace.Name(image.colorSpace), shape, ranges, choices)


def _ranges(sizes: Iterable[Any]) -> tuple[Range, ...]:
    return tuple((one.lowerBound, one.upperBound) for one in sizes)


def _usual(shape: tuple[int, ...], ranges: tuple[Range, ...], choices: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """The shape that Core ML itself takes for the default: that which is named, else the first, else the least."""
    return shape or (choices[0] if choices else tuple(least for least, _ in ranges))


def picture(
    name: str, color: str, shape: tuple[int, ...], ranges: tuple[Range, ...], choices: tuple[tuple[int, ...], ...]
) -> Feature:
    """A picture's feature; shapes and ranges are of height and width."""
    kind = _COLORS.get(color)
    if kind is None:
        return Feature(name, f"image of the colour space {color}")
    element, rest = _IMAGES[kind]
    shapes = tuple((*one, *rest) for one in choices)
    whole = (*_usual(shape, ranges, choices), *rest)
    return Feature(name, kind, element, whole, (*ranges, *((size, size) for size in rest)) if ranges else (), shapes)


# A compiled model, which has a JSON file where others have a specification


def signature_in_metadata(text: str | bytes) -> Signature:
    """From the content of a compiled model's ``metadata.json``. EngineError if that can't be understood."""
    try:
        model = json.loads(text)[0]
        part = _default_function(model)
        return Signature(
            inputs=tuple(_feature_of(one) for one in part["inputSchema"]),
            outputs=tuple(one["name"] for one in part["outputSchema"]),
            is_stateful=bool(part.get("stateSchema")),
            model_type=model.get("modelType", {}).get("name", "").removeprefix("MLModelType_"),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineError(
            "The compiled model's metadata.json can't be understood, so its inputs are not known "
            f"({type(error).__name__}: {error}); send the .mlpackage or .mlmodel that it was compiled from."
        ) from error


def _default_function(model: Mapping[str, Any]) -> Mapping[str, Any]:
    functions = {one["name"]: one for one in model.get("functions", ())}
    found: Mapping[str, Any] = functions.get(model.get("defaultFunctionName"), next(iter(functions.values()), model))
    return found


def _feature_of(entry: Mapping[str, Any]) -> Feature:
    """An entry of a schema, whose numbers are texts: ``"shape": "[1, 10]"``."""
    name, kind = entry["name"], entry["type"].lower()
    if kind == "multiarray":
        ranges, choices = _pairs(entry, "shapeRange"), _shapes(entry, "enumeratedShapes")
        shape = _usual(tuple(json.loads(entry["shape"])), ranges, choices)
        return Feature(name, "array", _ELEMENTS.get(entry["dataType"].upper(), ""), shape, ranges, choices)
    if kind == "image":
        return _image_of(name, entry)
    if kind == "dictionary":
        return _dictionary(name, has_text=entry["keyType"] == "String")
    return _scalar(name, kind)


def _image_of(name: str, entry: Mapping[str, Any]) -> Feature:
    color = entry["colorspace"].upper().replace("GRAYSCALE16HALF", "GRAYSCALE_FLOAT16")
    # Width comes before height in both of these.
    ranges = _pairs(entry, "sizeRange")[::-1]
    choices = tuple(size[::-1] for size in _shapes(entry, "enumeratedSizes"))
    return picture(name, color, (int(entry["height"]), int(entry["width"])), ranges, choices)


def _pairs(entry: Mapping[str, Any], key: str) -> tuple[Range, ...]:
    return tuple((least, most) for least, most in json.loads(entry.get(key, "[]")))


def _shapes(entry: Mapping[str, Any], key: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one) for one in json.loads(entry.get(key, "[]")))
