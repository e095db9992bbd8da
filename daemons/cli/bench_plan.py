"""What `benchfleet bench` will measure, and in which order. Pure: nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from daemons.core.models import BenchRequest, InputSpec

BATCH: Final = "N"
"""Stands in a `--shape` for the batch size that `--batch` is at."""

ShapeText = tuple[int | str, ...]


class Case(NamedTuple):
    """One measurement: which model, at which batch size, in which round of a comparison."""

    model: int
    batch: int | None
    round: int


class Plan(NamedTuple):
    """All that the command line asked for. A single `batches` of None leaves the batch size to the model."""

    models: tuple[Path, ...]
    labels: tuple[str, ...]
    batches: tuple[int | None, ...]
    rounds: int
    shapes: dict[str, ShapeText]
    template: BenchRequest
    """The request of every measurement, but for the model, the batch size and the shapes that depend on it."""

    @property
    def is_comparison(self) -> bool:
        """Whether there is something to compare with."""
        return len(self.models) > 1

    @property
    def is_single(self) -> bool:
        """Whether there will be one measurement and no more."""
        return not self.is_comparison and len(self.batches) == 1

    @property
    def size(self) -> int:
        """Number of measurements."""
        return len(self.models) * len(self.batches) * self.rounds

    def cases(self) -> Iterator[Case]:
        """Every measurement in its order: A B, B A, A B, … at each batch size."""
        there = range(len(self.models))
        for batch in self.batches:
            for round_ in range(self.rounds):
                for model in there if round_ % 2 == 0 else reversed(there):
                    yield Case(model, batch, round_)

    def request(self, case: Case) -> BenchRequest:
        """What the measuring process is told."""
        return msgspec.structs.replace(
            self.template,
            model_path=str(self.models[case.model].absolute()),
            file_name=self.labels[case.model],
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


def labels_of(models: Sequence[Path]) -> tuple[str, ...]:
    """A name for each model, all different: its file name, with folders where two share it, a number where it is one.

    ``a/m.onnx`` and ``b/m.onnx`` are told apart by their folders; the second of a file given twice ends in ``#2``.
    """
    places = [model.absolute() for model in models]
    names: list[str] = []
    for place in places:
        others = [other for other in places if other != place]
        name = _shortest_tail(place, others)
        again = names.count(name) + sum(used.startswith(f"{name} #") for used in names)
        names.append(f"{name} #{again + 1}" if again else name)
    return tuple(names)


def _shortest_tail(place: Path, others: Sequence[Path]) -> str:
    """As much of the end of a path as no other path shares."""
    for length in range(1, len(place.parts)):
        tail = place.parts[-length:]
        if all(other.parts[-length:] != tail for other in others):
            return "/".join(tail)
    return str(place)
