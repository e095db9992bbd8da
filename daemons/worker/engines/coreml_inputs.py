"""Between values as every engine has them and what coremltools takes: arrays, pictures, numbers, dictionaries.

Pure but for Pillow, which is imported where a model takes pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import Value
from daemons.worker.engines.base import EngineError
from daemons.worker.engines.coreml_features import IMAGES, Feature

_ARRAYS: Final = {
    "float": np.float32,
    "double": np.float64,
    "float16": np.float32,  # coremltools takes no half precision; Core ML narrows it
    "int32": np.int32,
    "int8": np.int8,
}
_SCALARS: Final = {"int64": int, "double": float, "string": str}
_BRIGHTNESS: Final = (0.0, 255.0)


def specs_of(features: Iterable[Feature]) -> list[Spec]:
    """The inputs as the machinery for all engines has them. EngineError for one that can't be made.

    A picture is an array of height, width and colours; a dictionary is the array of its keys.
    """
    return [_spec(feature) for feature in features]


def _spec(feature: Feature) -> Spec:
    if not feature.element:
        raise EngineError(
            f"The model's input {feature.name} is {_unknown(feature)}, which coremltools can't be fed with."
        )
    return Spec(
        name=feature.name,
        type=f"tensor({feature.element})",
        shape=tuple(None if axis in feature.open_axes else size for axis, size in enumerate(feature.shape)),
        is_settled=feature.kind == "scalar",
        usual_range=_BRIGHTNESS if feature.kind in IMAGES and feature.element == "uint8" else None,
    )


def _unknown(feature: Feature) -> str:
    return "an array of a type that is not known here" if feature.kind == "array" else f"a {feature.kind}"


def usual_shapes(features: Iterable[Feature]) -> dict[str, str]:
    """The shapes that the model itself names for inputs whose shape is open, in the form of metadata."""
    return {one.name: str(list(one.shape)) for one in features if one.open_axes}


def check_shapes(features: Iterable[Feature], values: Mapping[str, Value]) -> None:
    """EngineError for a shape that is none of those that the model names: Core ML itself may answer with a crash."""
    for feature in features:
        shape = values[feature.name].shape if feature.name in values else feature.shape
        if feature.open_axes and not _is_taken(shape, feature):
            raise EngineError(f"The input {feature.name} takes {_taken(feature)}, and not {list(shape)}.")


def _is_taken(shape: tuple[int, ...], feature: Feature) -> bool:
    if feature.choices:
        return shape in feature.choices
    return len(shape) == len(feature.ranges) and all(
        least <= size and (most < 0 or size <= most) for size, (least, most) in zip(shape, feature.ranges, strict=True)
    )


def _taken(feature: Feature) -> str:
    if feature.choices:
        return f"one of the shapes {', '.join(str(list(one)) for one in feature.choices)}"
    sizes = [str(least) if least == most else f"{least}..{most if most >= 0 else ''}" for least, most in feature.ranges]
    return f"a shape in [{', '.join(sizes)}]"


def fed(features: Iterable[Feature], values: Mapping[str, Value]) -> dict[str, Any]:
    """Values, also another engine's, as `predict` takes them. EngineError names an input that has none."""
    missing = [feature.name for feature in features if feature.name not in values]
    if missing:
        raise EngineError(f"The model's inputs {', '.join(missing)} got no values; there are {', '.join(values)}.")
    return {feature.name: _form(feature, values[feature.name]) for feature in features}


def _form(feature: Feature, value: Value) -> Any:
    if feature.kind in IMAGES:
        return _picture(feature, value.array)
    if feature.kind == "dictionary":
        return {_SCALARS[feature.element](key): 1.0 for key in value.array.reshape(-1).tolist()}
    if feature.kind == "scalar":
        if value.array.size != 1:
            raise EngineError(f"The input {feature.name} takes one {feature.element}, and not {list(value.shape)}.")
        return _SCALARS[feature.element](value.array.reshape(-1)[0])
    return np.ascontiguousarray(value.array, dtype=_ARRAYS[feature.element])


def _picture(feature: Feature, pixels: Any) -> Any:
    image = pillow_image(feature.name)
    return image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32 if feature.kind == "gray16" else np.uint8))


def pillow_image(name: str) -> Any:
    """Pillow's module of pictures. EngineError if it is missing here."""
    try:
        from PIL import Image  # noqa: PLC0415 (for models of pictures alone)
    except ImportError as error:
        raise EngineError(
            f"{name} is a picture, for which coremltools needs Pillow, and this device lacks it: "
            "install it beside benchfleet with `pip install pillow`."
        ) from error
    return Image


def as_array(value: Any) -> Any:
    """An output as an array; a dictionary's numbers in the order of its keys."""
    if isinstance(value, dict):
        return np.array([value[key] for key in sorted(value, key=str)])
    return np.array(value, dtype=object) if isinstance(value, str) else np.asarray(value)
