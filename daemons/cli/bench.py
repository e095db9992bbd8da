"""`benchfleet bench`: measure models on this machine, exactly as a worker would, with no server."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import click
import msgspec

from daemons.cli.asking import HELP
from daemons.cli.bench_options import Asked, bench_options, make_plan
from daemons.cli.bench_plan import Plan
from daemons.cli.bench_report import document, print_report
from daemons.cli.bench_run import Result, measure_all
from daemons.cli.bench_values import STDOUT, ModelFile
from daemons.cli.tables import make_console
from daemons.core.errors import BenchfleetError
from daemons.core.results import to_csv
from daemons.runtime import boot
from daemons.runtime.files import write_atomically
from daemons.runtime.logs import set_up_logs

EXAMPLES = """\b
Examples:
  benchfleet bench model.onnx
  benchfleet bench model.onnx --runs 200 --threads 1
  benchfleet bench model.onnx --batch 1,4,16 --csv sweep.csv
  benchfleet bench model.onnx --shape image=Nx3x320x320 --batch 1,8
  benchfleet bench model.onnx --value sample_rate=16000 --range audio=-1:1
  benchfleet bench old.onnx new.onnx --rounds 10
  benchfleet bench model.onnx --unit "CPU (ONNX)" --unit "CPU (OpenVINO)"
  benchfleet bench m.onnx --engine-version installed --engine-version "onnxruntime==1.20.*"
  benchfleet bench model.onnx model.onnx        # how much noise is there?
  benchfleet bench model.onnx --json > figures.json"""


@click.command(context_settings=HELP, epilog=EXAMPLES)
@click.argument("models", type=ModelFile(), metavar="MODEL...", nargs=-1, required=True)
@bench_options
def bench(models: tuple[Path, ...], *, as_json: bool, csv_path: str | None, **options: Any) -> int:
    """Measure each MODEL on this machine and print its figures.

    The measurement is a worker's: in a fresh process, one at a time on this machine, with the same phases. Several
    models, units and versions of engines, each with each, are compared with the first of their kind, in rounds that
    measure each once, in turn A B and B A.

    A MODEL is a file, a Core ML model's folder, or an OpenVINO .xml whose .bin is beside it.

    Exit status: 0 all were measured, 1 one could not be, 2 the options don't go together, 130 it was interrupted.
    """
    if as_json and csv_path == STDOUT:
        raise click.UsageError("--json and --csv - both want to write to stdout; give --csv a file")
    set_up_logs("warning")
    asked = Asked(**{name: options.pop(name) for name in Asked._fields})
    plan = make_plan(models, asked, options)
    return boot.run(lambda: _bench(plan, as_json=as_json, csv_path=csv_path))


async def _bench(plan: Plan, *, as_json: bool, csv_path: str | None) -> int:
    """Measure, and tell what there is however it ends."""
    results: list[Result] = []

    def keep(result: Result) -> None:
        results.append(result)
        if csv_path not in {None, STDOUT}:
            _write_csv(Path(str(csv_path)), results)

    work = asyncio.create_task(measure_all(plan, keep))
    _end_on_signal(work)
    await asyncio.wait({work})
    _tell(plan, results, as_json=as_json, as_csv=csv_path == STDOUT)
    if work.cancelled():
        click.echo(f"benchfleet: interrupted; {len(results)} of {plan.size} measurements were done", err=True)
        return boot.INTERRUPTED
    work.result()
    return boot.DONE if all(result.is_complete for result in results) else boot.FAILED


def _end_on_signal(work: asyncio.Task[None]) -> None:
    """Ctrl-C and SIGTERM end the work in good order; a second one ends the program."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        for one in signals:
            loop.remove_signal_handler(one)
        work.cancel()

    for one in signals:
        loop.add_signal_handler(one, end)


def _tell(plan: Plan, results: list[Result], *, as_json: bool, as_csv: bool) -> None:
    if as_csv:
        click.echo(to_csv(result.row for result in results), nl=False)
    elif as_json and (results or not plan.is_single):
        click.echo(msgspec.json.format(msgspec.json.encode(document(plan, results)), indent=2))
    elif not as_json:
        print_report(make_console(), plan, results)


def _write_csv(path: Path, results: list[Result]) -> None:
    try:
        write_atomically(path, to_csv(result.row for result in results).encode())
    except OSError as error:
        raise BenchfleetError(f"the figures can't be written to {path}: {error.strerror}") from error
