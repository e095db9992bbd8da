"""What a job says about inputs and options, checked as far as that goes without the model. Pure.

The worker holds the rest against the model (`daemons.worker.bench.said`): names, types, dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from daemons.core.errors import InvalidInput
from daemons.core.models import InputSpec, JobSpec
from daemons.core.requirement import requirement
from daemons.core.urls import check_model_url
from daemons.core.validation import MAX_MISTAKES, Mistake, show, spell

MAX_ELEMENTS: Final = 2**40
MAX_TEXT: Final = 10_000
LEAST_INTEGER: Final = -(2**63)
MOST_INTEGER: Final = 2**64 - 1


def check_jobs(jobs: Sequence[JobSpec], where: tuple[str, ...] = ("jobs",)) -> None:
    """InvalidInput that names each place, such as ``jobs[0].inputs.x.range``, where the jobs can't be meant so.

    `where` is the list's own place.
    """
    found = list(islice(mistakes_in(jobs, where), MAX_MISTAKES))
    if found:
        texts = tuple(str(mistake) for mistake in found)
        raise InvalidInput("; ".join(texts[:3]), field=spell(found[0].path), mistakes=texts)


def mistakes_in(jobs: Sequence[JobSpec], where: tuple[str, ...] = ("jobs",)) -> Iterator[Mistake]:
    """Everything that is wrong, in the order of the jobs."""
    for index, job in enumerate(jobs):
        for name, wish in job.inputs.items():
            yield from _in_input(wish, (*where, index, "inputs", name))
        yield from _in_url(job, (*where, index, "inputs_url"))
        yield from _in_extension(job, (*where, index, "extend", "max_runs"))
        yield from _in_engine_version(job, (*where, index, "engine_version"))


def _in_input(wish: InputSpec, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    if not path[-1]:
        yield Mistake(path[:-1], "has an input without a name")
    if wish.range is not None and wish.value is not None:
        yield Mistake(path, "has a value and a range; a value is for every element, so leave one out")
    yield from _in_shape(wish.shape, (*path, "shape"))
    yield from _in_range(wish.range, (*path, "range"))
    yield from _in_value(wish.value, (*path, "value"))


def _in_shape(shape: list[int] | None, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    if shape is not None and math.prod(shape) > MAX_ELEMENTS:
        yield Mistake(path, f"may have at most {MAX_ELEMENTS:,} elements in all, and has {math.prod(shape):,}")


def _in_range(ends: list[float] | None, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    if ends is None:
        return
    if not all(math.isfinite(end) for end in ends):
        yield Mistake(path, f"must hold finite numbers, and is {show(ends)}")
    elif ends[0] > ends[1]:
        yield Mistake(path, f"must begin with the smaller number, and is {show(ends)}")


def _in_value(value: Any, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        yield Mistake(path, f"must be at most {MAX_TEXT:,} characters long, and has {len(value):,}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Mistake(path, f"must be a finite number, and is {show(value)}")
    elif isinstance(value, int) and not LEAST_INTEGER <= value <= MOST_INTEGER:
        yield Mistake(path, f"must be a number that 64 bits hold, and is {show(value)}")


def _in_url(job: JobSpec, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    if job.inputs_url is None:
        return
    try:
        check_model_url(job.inputs_url)
    except InvalidInput as error:
        yield Mistake(path, str(error).removeprefix(f"{error.field}: "))


def _in_extension(job: JobSpec, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    if job.extend is not None and job.extend.max_runs < job.num_inference_runs:
        yield Mistake(
            path,
            f"counts the runs in all, so it must be at least num_inference_runs ({job.num_inference_runs:,}), "
            f"and is {job.extend.max_runs:,}",
        )


def _in_engine_version(job: JobSpec, path: tuple[str | int, ...]) -> Iterator[Mistake]:
    """The pattern of the field lets versions through that nobody could publish."""
    if job.engine_version is None:
        return
    try:
        requirement(job.engine_version)
    except InvalidInput as error:
        yield Mistake(path, str(error))
