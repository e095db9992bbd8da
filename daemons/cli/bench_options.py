"""The options of `benchfleet bench`, and the plan that they make together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from daemons.cli.bench_plan import BATCH, INSTALLED, Plan, ShapeText, subjects_of
from daemons.cli.bench_values import Batches, CsvFile, EngineVersion, NpzFile, Range, Shape, UnitName, Value
from daemons.core.models import MAX_RUNS, BenchRequest, Extend, InputSpec
from daemons.core.units import CPU_ONNX
from daemons.worker.kinds import OPENVINO, ending_of

MAX_EXTENSION_S: Final = 86_400
DEFAULT_ROUNDS: Final = 4
MB: Final = 2**20
MAX_LIMIT_MB: Final = 2**30

Command = TypeVar("Command", bound=Callable[..., Any])


_HOW_OFTEN: Final = (
    click.option(
        "--runs",
        "num_inference_runs",
        type=click.IntRange(1, MAX_RUNS),
        default=10,
        metavar="N",
        show_default=True,
        help="Timed runs.",
    ),
    click.option(
        "--loads",
        "num_load_runs",
        type=click.IntRange(1, 1000),
        default=5,
        metavar="N",
        show_default=True,
        help="Loads in all.",
    ),
    click.option(
        "--warmup",
        "warmup_runs",
        type=click.IntRange(0, 10_000),
        metavar="N",
        help="Warm-up runs. Default: until the runs have settled.",
    ),
    click.option(
        "--extend-runs",
        type=click.IntRange(1, MAX_RUNS),
        metavar="N",
        help="A noisy measurement goes on, up to N runs in all.",
    ),
    click.option(
        "--extend-seconds",
        type=click.FloatRange(0, MAX_EXTENSION_S, min_open=True),
        metavar="S",
        help="A noisy measurement goes on, up to S seconds of runs in all. Default with --extend-runs: 60.",
    ),
    click.option(
        "--rounds",
        type=click.IntRange(2, 1000),
        metavar="N",
        help=f"Rounds of a comparison; each measures everything once. Default: {DEFAULT_ROUNDS}.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0, 604_800, min_open=True),
        default=3600.0,
        metavar="S",
        show_default=True,
        help="Seconds at most for each measurement.",
    ),
)

_HOW: Final = (
    click.option(
        "--unit",
        "units",
        type=UnitName(),
        multiple=True,
        default=(CPU_ONNX,),
        show_default=CPU_ONNX,
        help="Compute unit to use. Repeatable: they are compared.",
    ),
    click.option(
        "--engine-version",
        "versions",
        type=EngineVersion(),
        metavar=EngineVersion.name,
        multiple=True,
        help=f"Version of the engine, installed once and kept; {INSTALLED!r} is the one that is here. "
        "Repeatable: they are compared.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Threads inside one operator. Default: the engine's choice.",
    ),
    click.option(
        "--graph-optimization",
        type=click.Choice(["disabled", "basic", "extended", "all"]),
        help="How far the engine may rewrite the graph. Default: the engine's choice.",
    ),
    click.option(
        "--execution-mode",
        type=click.Choice(["sequential", "parallel"]),
        help="Whether independent operators may run side by side. Default: the engine's choice.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["full", "reduced"]),
        help="full: in the types of the model; reduced: in narrower ones, if they are faster. Default: the engine's.",
    ),
    click.option(
        "--placement",
        type=click.Choice(["majority", "strict", "any"]),
        default="majority",
        show_default=True,
        help="How much of the graph must have run on the unit: at least half of the nodes, all, or any number.",
    ),
    click.option(
        "--io-binding",
        is_flag=True,
        help="Inputs and outputs lie on the unit's own device, so that no run moves them.",
    ),
    click.option(
        "--check-outputs", is_flag=True, help="Compare the outputs with the CPU reference's, and report how far off."
    ),
    click.option(
        "--cold-file", is_flag=True, help="First load with the file out of the page cache, where the system allows it."
    ),
    click.option(
        "--memory-limit",
        type=click.IntRange(1, MAX_LIMIT_MB),
        metavar="MB",
        help="Memory that the measuring process may use.",
    ),
)

_INPUTS: Final = (
    click.option(
        "--shape", "shapes", type=Shape(), metavar=Shape.name, multiple=True, help="Shape of an input. Repeatable."
    ),
    click.option(
        "--range",
        "ranges",
        type=Range(),
        metavar=Range.name,
        multiple=True,
        help="Range of an input's random values. Repeatable.",
    ),
    click.option(
        "--value",
        "values",
        type=Value(),
        metavar=Value.name,
        multiple=True,
        help="One value for all elements of an input. Repeatable.",
    ),
    click.option(
        "--inputs",
        "inputs_path",
        type=NpzFile(),
        metavar=NpzFile.name,
        help="Arrays by input name, as numpy.savez writes them.",
    ),
    click.option(
        "--batch", "batches", type=Batches(), help="Batch size of the inputs; several are measured one after another."
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=0,
        metavar="N",
        show_default=True,
        help="Of the random inputs: same seed, same bytes.",
    ),
)

_OUTPUT: Final = (
    click.option("--json", "as_json", is_flag=True, help="One JSON document, with the CSV's column names."),
    click.option(
        "--csv", "csv_path", type=CsvFile(), help="A CSV of all measurements, kept up to date; - writes it to stdout."
    ),
)


def bench_options(command: Command) -> Command:
    """`command` with all of the options, in the order in which the help shows them."""
    for option in reversed((*_HOW_OFTEN, *_HOW, *_INPUTS, *_OUTPUT)):
        command = option(command)
    return command


class Asked(NamedTuple):
    """Options that say more than one field of a request does."""

    batches: tuple[int, ...] | None
    rounds: int | None
    shapes: tuple[tuple[str, ShapeText], ...]
    ranges: tuple[tuple[str, list[float]], ...]
    values: tuple[tuple[str, Any], ...]
    inputs_path: Path | None
    extend_runs: int | None
    extend_seconds: float | None
    memory_limit: int | None
    units: tuple[str, ...]
    versions: tuple[str | None, ...]


def make_plan(models: tuple[Path, ...], asked: Asked, fields: dict[str, Any]) -> Plan:
    """What to measure; `fields` go into each request as they are. UsageError where options contradict each other."""
    shapes = _by_name("--shape", asked.shapes)
    if any(BATCH in shape for shape in shapes.values()) and not asked.batches:
        raise click.UsageError(f"a --shape with {BATCH} in it needs --batch, which says how much {BATCH} is")
    if fields["cold_file"] and any(ending_of(model.name) == OPENVINO for model in models):
        raise click.UsageError("--cold-file takes one file or folder out of the page cache, and an .xml has its .bin")
    template = BenchRequest(
        model_path="",
        file_name="",
        compute_unit="",
        inputs=_inputs(asked),
        inputs_path=str(asked.inputs_path.absolute()) if asked.inputs_path else None,
        extend=_extension(asked, fields["num_inference_runs"]),
        memory_limit_bytes=None if asked.memory_limit is None else asked.memory_limit * MB,
        **fields,
    )
    named = subjects_of(models, asked.units, asked.versions or (None,))
    rounds = _rounds(len(named.subjects), asked.rounds)
    return Plan(*named, asked.batches or (None,), rounds, shapes, template)


def _rounds(subjects: int, rounds: int | None) -> int:
    if subjects > 1:
        return rounds or DEFAULT_ROUNDS
    if rounds is not None:
        raise click.UsageError(
            "--rounds is for comparing several models, units or versions; "
            "name the model twice to compare it with itself"
        )
    return 1


def _extension(asked: Asked, runs: int) -> Extend | None:
    if asked.extend_runs is None and asked.extend_seconds is None:
        return None
    most = asked.extend_runs or MAX_RUNS
    if most < runs:
        raise click.UsageError(f"--extend-runs counts runs in all, so {most} is too few: --runs asks for {runs}")
    return (
        Extend(max_runs=most)
        if asked.extend_seconds is None
        else Extend(max_runs=most, max_seconds=asked.extend_seconds)
    )


def _inputs(asked: Asked) -> dict[str, InputSpec]:
    """Ranges and values; shapes may depend on the batch size and come later."""
    ranges, values = _by_name("--range", asked.ranges), _by_name("--value", asked.values)
    both = next((name for name in ranges if name in values), None)
    if both is not None:
        raise click.UsageError(f"the input {both!r} can't have a --range and a --value")
    return {name: InputSpec(range=ends) for name, ends in ranges.items()} | {
        name: InputSpec(value=value) for name, value in values.items()
    }


def _by_name(option: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise click.UsageError(f"{option} is given twice for the input {name!r}")
        found[name] = value
    return found
