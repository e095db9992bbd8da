"""What the options of `benchfleet bench` take, and the sentence that one gets for anything else."""

from __future__ import annotations

import contextlib
import math
import os
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import click

from daemons.cli.bench_plan import BATCH, INSTALLED, ShapeText
from daemons.core.errors import InvalidInput
from daemons.core.requirement import requirement
from daemons.core.units import CPU_ONNX, is_unit_name
from daemons.worker.kinds import CORE_ML_FOLDERS, OPENVINO, WEIGHTS, ending_of

MAX_SIZE: Final = 2**31
MAX_DIMENSIONS: Final = 32
MAX_BATCH: Final = 65_536
MAX_BATCHES: Final = 64
INTEGERS: Final = range(-(2**63), 2**64)
"""What a tensor can hold, signed or not."""
STDOUT: Final = "-"


class ModelFile(click.ParamType[Path]):
    """A file to measure, the folder that a Core ML model is, or an .xml whose .bin is beside it; else says why not."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, of what can be read."""
        path = Path(value)
        if path.is_dir() and ending_of(path.name) in CORE_ML_FOLDERS:
            return self._readable(path, param, ctx)
        if path.is_dir():
            self.fail(f"{value} is a folder: name the file in it", param, ctx)
        if not path.is_file() and re.match(r"[a-z][a-z0-9+.-]*://", str(value), re.IGNORECASE):
            self.fail(f"{value} is a URL: a campaign takes URLs, this takes files; download it first", param, ctx)
        if not path.is_file():
            self.fail(f"there is no file {value}", param, ctx)
        if ending_of(path.name) == OPENVINO and not path.with_suffix(WEIGHTS).is_file():
            missing = path.with_suffix(WEIGHTS).name
            self.fail(f"beside {value} there is no {missing}, which holds its weights", param, ctx)
        return self._readable(path, param, ctx)

    def _readable(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not os.access(path, os.R_OK):
            self.fail(f"{path} can't be read by this user", param, ctx)
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError:
            self.fail(f"the name of {str(path)!r} is not UTF-8: rename the file or its folder", param, ctx)
        return path


class Shape(click.ParamType[tuple[str, ShapeText]]):
    """``NAME=1x3x224x224``."""

    name = "NAME=1x3x224x224"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ShapeText]:
        """Name and sizes, of which some may be `BATCH`."""
        if isinstance(value, tuple):
            return value
        name, _, text = str(value).rpartition("=")
        if not name or not re.fullmatch(rf"(\d+|{BATCH})(x(\d+|{BATCH}))*|scalar", text):
            self.fail(
                f"{value!r} is no shape of an input: write NAME=1x3x224x224, with {BATCH} for the size that --batch "
                "is at, or NAME=scalar",
                param,
                ctx,
            )
        sizes = () if text == "scalar" else tuple(size if size == BATCH else int(size) for size in text.split("x"))
        if len(sizes) > MAX_DIMENSIONS or any(isinstance(size, int) and size > MAX_SIZE for size in sizes):
            self.fail(f"{value!r} is over {MAX_DIMENSIONS} dimensions or {MAX_SIZE:,} in one of them", param, ctx)
        return name, sizes


class Range(click.ParamType[tuple[str, list[float]]]):
    """``NAME=0:1``."""

    name = "NAME=0:1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, list[float]]:
        """Name, least and largest value."""
        if isinstance(value, tuple):
            return value
        name, _, text = str(value).rpartition("=")
        try:
            low, high = (float(end) for end in text.split(":"))
        except ValueError:
            name, low, high = "", 0.0, 0.0
        if not name or not (math.isfinite(low) and math.isfinite(high)):
            self.fail(f"{value!r} is no range of an input's values: write NAME=0:1, NAME=-1:1 or the like", param, ctx)
        if low > high:
            self.fail(f"{value!r} begins above its end: write NAME={high:g}:{low:g}", param, ctx)
        return name, [low, high]


class Value(click.ParamType[tuple[str, Any]]):
    """``NAME=5``."""

    name = "NAME=5"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Name, and a boolean, a number or a text."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is no value for an input: write NAME=5, NAME=0.5, NAME=true or NAME=text", param, ctx)
        found = _as_value(text)
        if isinstance(found, int) and found not in INTEGERS:
            self.fail(f"{text} is more than 64 bits hold", param, ctx)
        return name, found


def _as_value(text: str) -> bool | int | float | str:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else text  # JSON, which carries it, has no infinity
    return text


class Batches(click.ParamType[tuple[int, ...]]):
    """``1,4,16``."""

    name = "1,4,16"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The sizes, in the order given."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d+(,\d+)*", str(value)):
            self.fail(f"{value!r} is no list of batch sizes: write --batch 8, or --batch 1,4,16", param, ctx)
        sizes = tuple(int(size) for size in str(value).split(","))
        if not all(1 <= size <= MAX_BATCH for size in sizes) or len(sizes) > MAX_BATCHES:
            self.fail(f"batch sizes are from 1 to {MAX_BATCH:,}, {MAX_BATCHES} of them at most", param, ctx)
        if len(set(sizes)) < len(sizes):
            self.fail(f"{value!r} names a size twice", param, ctx)
        return sizes


class NpzFile(ModelFile):
    """Numpy arrays by name, as `numpy.savez` writes them."""

    name = "FILE.npz"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, of a file that may be one."""
        path = super().convert(value, param, ctx)
        if not zipfile.is_zipfile(path):
            self.fail(f"{value} is no .npz file: numpy.savez('inputs.npz', NAME=array) writes one", param, ctx)
        return path


class CsvFile(click.ParamType[str]):
    """A file that can be written, or ``-``. Found out before anything is measured."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path as given."""
        path = Path(value)
        if value == STDOUT:
            return STDOUT
        if path.is_dir():
            self.fail(f"{value} is a folder: name a file in it", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"this user can't write into the folder {path.parent}", param, ctx)
        return str(value)


class UnitName(click.ParamType[str]):
    """A compute unit, by the form of its name: which ones there are is the engines' business."""

    name = "UNIT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name."""
        if not is_unit_name(value):
            self.fail(
                f"{value!r} is no compute unit: one looks like {CPU_ONNX!r}; `benchfleet info` lists those here",
                param,
                ctx,
            )
        return str(value)


class EngineVersion(click.ParamType[str | None]):
    """``onnxruntime==1.20.*``, or the word for the one that is here."""

    name = "PACKAGE==VERSION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """The requirement, or None for the one that is here."""
        if value == INSTALLED:
            return None
        try:
            return str(requirement(str(value)))
        except InvalidInput as error:
            self.fail(f"{error}; {INSTALLED!r} is the one that is here", param, ctx)
