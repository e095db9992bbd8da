"""What `benchfleet bench` will measure, and in which order. Pure: nothing is measured here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from daemons.core.models import BenchRequest, InputSpec

BATCH: Final = "N"
"""Stands in a `--shape` for the batch size that `--batch` is at."""

INSTALLED: Final = "installed"
"""Stands in an `--engine-version` for the one that is here."""

ShapeText = tuple[int | str, ...]


class Subject(NamedTuple):
    """What is measured, and compared with others: a model on a unit with a version of its engine."""

    model: Path
    unit: str
    version: str | None = None
    """As it was asked for, such as ``onnxruntime==1.20.*``; None is the one that is here."""


class Case(NamedTuple):
    """One measurement: of which subject, at which batch size, in which round of a comparison."""

    subject: int
    batch: int | None
    round: int


class Plan(NamedTuple):
    """All that the command line asked for. A single `batches` of None leaves the batch size to the model."""

    subjects: tuple[Subject, ...]
    names: tuple[str, ...]
    """What each subject's model is called in its row."""
    labels: tuple[str, ...]
    """What each subject is called beside the others, all different."""
    kind: str
    """What tells the subjects apart, such as ``model`` or ``unit, version``."""
    pairs: tuple[tuple[int, int], ...]
    """Which subjects are compared, base and head."""
    batches: tuple[int | None, ...]
    rounds: int
    shapes: dict[str, ShapeText]
    template: BenchRequest
    """The request of every measurement, but for the subject, the batch size and the shapes that depend on it."""

    @property
    def is_comparison(self) -> bool:
        """Whether there is something to compare with."""
        return len(self.subjects) > 1

    @property
    def is_single(self) -> bool:
        """Whether there will be one measurement and no more."""
        return not self.is_comparison and len(self.batches) == 1

    @property
    def size(self) -> int:
        """Number of measurements."""
        return len(self.subjects) * len(self.batches) * self.rounds

    def cases(self) -> Iterator[Case]:
        """Every measurement in its order: A B, B A, A B, … at each batch size."""
        there = range(len(self.subjects))
        for batch in self.batches:
            for round_ in range(self.rounds):
                for subject in there if round_ % 2 == 0 else reversed(there):
                    yield Case(subject, batch, round_)

    def request(self, case: Case) -> BenchRequest:
        """What the measuring process is told."""
        subject = self.subjects[case.subject]
        return msgspec.structs.replace(
            self.template,
            model_path=str(subject.model.absolute()),
            file_name=subject.model.name,
            compute_unit=subject.unit,
            engine_version=subject.version,
            batch_size=case.batch,
            inputs=_with_shapes(self.template.inputs, self.shapes, case.batch),
        )


def _with_shapes(inputs: dict[str, InputSpec], shapes: dict[str, ShapeText], batch: int | None) -> dict[str, InputSpec]:
    settled: dict[str, Any] = {
        name: [batch if size == BATCH else size for size in shape] for name, shape in shapes.items()
    }
    changed = {
        name: msgspec.structs.replace(inputs.get(name, InputSpec()), shape=shape) for name, shape in settled.items()
    }
    return inputs | changed


class Named(NamedTuple):
    """Subjects, and how to speak of them: see `Plan`."""

    subjects: tuple[Subject, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    kind: str
    pairs: tuple[tuple[int, int], ...]


def subjects_of(models: Sequence[Path], units: Sequence[str], versions: Sequence[str | None]) -> Named:
    """Every model on every unit with every version. They are told apart by what differs, and by nothing else."""
    names = model_names(models)
    apart = {"model": len(models) > 1, "unit": len(units) > 1, "version": len(versions) > 1}
    parts = [kind for kind, differs in apart.items() if differs] or ["model"]
    subjects: list[Subject] = []
    called: list[str] = []
    labels: list[str] = []
    for model, name in zip(models, names, strict=True):
        for unit in units:
            for version in versions:
                texts = {"model": name, "unit": unit, "version": version or INSTALLED}
                subjects.append(Subject(model, unit, version))
                called.append(name)
                labels.append(numbered(", ".join(texts[part] for part in parts), labels))
    pairs = tuple(pairs_among(len(models), len(units), len(versions)))
    return Named(tuple(subjects), tuple(called), tuple(labels), ", ".join(parts), pairs)


def pairs_among(*sizes: int) -> Iterator[tuple[int, int]]:
    """What is compared of everything that differs in so many models, units and versions, counted in this order.

    Each is compared with those that differ from it in one thing alone, which is the first of its kind there: what two
    differences do together tells of neither.
    """
    places = list(itertools.product(*map(range, sizes)))
    for head, place in enumerate(places):
        for axis in range(len(sizes)):
            base = (*place[:axis], 0, *place[axis + 1 :])
            if base != place:
                yield places.index(base), head


def model_names(models: Sequence[Path]) -> tuple[str, ...]:
    """A name for each model, all different: its file name, with folders where two share it, a number where it is one.

    ``a/m.onnx`` and ``b/m.onnx`` are told apart by their folders; the second of a file given twice ends in ``#2``.
    """
    places = [model.absolute() for model in models]
    names: list[str] = []
    for place in places:
        names.append(numbered(_shortest_tail(place, [other for other in places if other != place]), names))
    return tuple(names)


def numbered(name: str, used: Sequence[str]) -> str:
    """The name, with a number at its end if it is `used` already."""
    again = used.count(name) + sum(other.startswith(f"{name} #") for other in used)
    return f"{name} #{again + 1}" if again else name


def _shortest_tail(place: Path, others: Sequence[Path]) -> str:
    """As much of the end of a path as no other path shares."""
    for length in range(1, len(place.parts)):
        tail = place.parts[-length:]
        if all(other.parts[-length:] != tail for other in others):
            return "/".join(tail)
    return str(place)
