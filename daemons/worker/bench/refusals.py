"""The sentences for inputs that can't be had: what the model takes, its answer, what to write in the job. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from daemons.worker.bench.guesses import Spec, declared, is_rankless

MAX_INPUTS: Final = 24
MAX_EXAMPLES: Final = 4
MAX_NAME: Final = 100
_ANY_SHAPE: Final = (1, 128)
"""Shown for an input of any shape, where there is nothing to go by."""


def signature(specs: Sequence[Spec]) -> str:
    """Name, type and shape of each input, the first of very many."""
    shown = "; ".join(f"{shortened(spec.name)}: {declared(spec)}" for spec in specs[:MAX_INPUTS])
    return shown if len(specs) <= MAX_INPUTS else f"{shown}; and {len(specs) - MAX_INPUTS} more"


def shortened(name: str) -> str:
    """A name that leaves room for others."""
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"


def unknown_input(name: str, specs: Sequence[Spec]) -> str:
    """The sentence for a name that the model doesn't have."""
    import difflib  # noqa: PLC0415 (only for a job that fails)

    close = difflib.get_close_matches(name, [spec.name for spec in specs], n=1)
    hint = f"; did you mean {shortened(close[0])}?" if close else "."
    return f"inputs.{shortened(name)}: the model has no such input{hint} Its inputs are {signature(specs)}."


def unfit(
    inputs: Sequence[Spec], settled: Sequence[Spec], shapes: Mapping[str, tuple[int, ...]], tried: int, complaint: str
) -> str:
    """The sentence for a model that refuses every guess."""
    return (
        f"No inputs were found that the model accepts ({tried} shapes and values were tried). "
        f"Its inputs are {signature(inputs)}. Say in the job what it takes, for example {example(settled, shapes)}. "
        f"To the first it said: {complaint}"
    )


def refused(
    inputs: Sequence[Spec], settled: Sequence[Spec], shapes: Mapping[str, tuple[int, ...]], complaint: str
) -> str:
    """The sentence for a model that refuses what the job says."""
    has_more = any(is_guessed(spec) for spec in settled)
    hint = f" Say more in the job, as in {example(settled, shapes)}." if has_more else ""
    return (
        f"The model refuses the inputs that the job gives. Its inputs are {signature(inputs)}.{hint} "
        f"It said: {complaint}"
    )


def example(settled: Sequence[Spec], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What to write in a job, as JSON: the inputs that had to be guessed, with the shapes that were tried first."""
    guessed = [spec for spec in settled if is_guessed(spec)] or list(settled)
    inputs = {
        spec.name: {"shape": list(_ANY_SHAPE if is_rankless(spec) else shapes[spec.name])}
        for spec in guessed[:MAX_EXAMPLES]
    }
    return f'"inputs": {json.dumps(inputs, ensure_ascii=False)}'


def is_guessed(spec: Spec) -> bool:
    """Whether the job may say something of this input's shape that the model doesn't."""
    return is_rankless(spec) or not all(isinstance(dim, int) for dim in spec.shape)
