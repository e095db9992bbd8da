"""`benchfleet bench`: measure a model on this machine, exactly as a worker would, with no server."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
from pathlib import Path
from typing import Any

import click
import msgspec

from daemons.cli.tables import figure, make_console, make_progress, remarks, results_table, shown
from daemons.core.models import MAX_RUNS, BenchRequest
from daemons.core.models import Progress as Position
from daemons.core.results import DEVICE_COLUMNS, Outcome
from daemons.core.units import CPU_ONNX
from daemons.runtime import boot
from daemons.runtime.logs import set_up_logs
from daemons.worker.bench.runner import Bench
from daemons.worker.devicelock import measuring_lock
from daemons.worker.host import device_facts

READ_CHUNK = 2**20


@click.command(
    epilog="\b\nExamples:\n  benchfleet bench model.onnx\n  benchfleet bench model.onnx --runs 200 --threads 1\n"
    "  benchfleet bench model.onnx --json > figures.json"
)
@click.argument("model", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path), metavar="MODEL")
@click.option(
    "--runs", "num_inference_runs", type=click.IntRange(1, MAX_RUNS), default=10, show_default=True, help="Timed runs."
)
@click.option(
    "--loads", "num_load_runs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Loads in all."
)
@click.option(
    "--warmup",
    "warmup_runs",
    type=click.IntRange(0, 10_000),
    help="Warm-up runs. Default: until the runs have settled.",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Threads inside one operator. Default: the engine's choice."
)
@click.option("--unit", default=CPU_ONNX, show_default=True, help="Compute unit to measure on.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=3600.0, show_default=True, help="Seconds at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with the CSV's column names.")
def bench(model: Path, unit: str, timeout: float, *, as_json: bool, **counts: Any) -> int:
    """Measure MODEL on this machine and print its figures.

    The measurement is a worker's: in a fresh process, one at a time on this machine, with the same phases.

    Exit status: 0 it was measured, 1 it could not be.
    """
    set_up_logs("warning")
    request = BenchRequest(
        model_path=str(model.absolute()), file_name=model.name, compute_unit=unit, timeout_s=timeout, **counts
    )
    return boot.run(lambda: _bench(request, as_json=as_json))


async def _bench(request: BenchRequest, *, as_json: bool) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine that runs is a task)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    outcome = await _measured(request)
    row = _row(request, outcome)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(row), indent=2))
    else:
        _print(row)
    return boot.DONE if row["Status"] == "Complete" else boot.FAILED


async def _measured(request: BenchRequest) -> Outcome:
    runner = Bench()
    with make_progress(make_console(to_stderr=True)) as progress:
        task = progress.add_task("waiting for this machine's turn", total=None)

        def show(position: Position) -> None:
            progress.update(task, description=position.phase, completed=position.done or 0, total=position.total)

        try:
            async with measuring_lock().held():
                await runner.prepare()
                return await runner.measure(request, show)
        finally:
            await runner.close()


def _row(request: BenchRequest, outcome: Outcome) -> dict[str, Any]:
    """The outcome by the CSV's column names, with this device's cells, as a campaign's row has them."""
    facts = msgspec.to_builtins(device_facts())
    path = Path(request.model_path)
    device = dict.fromkeys(DEVICE_COLUMNS) | {"DeviceName": socket.gethostname()}
    device |= {name: facts.get(name) for name in DEVICE_COLUMNS if name in facts}
    return {
        "Status": outcome.status.value,
        "FileName": request.file_name,
        "FileSize": path.stat().st_size,
        "ComputeUnits": request.compute_unit,
        **device,
        **msgspec.to_builtins(outcome.measurement),
        "ModelHash": _sha256(path),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _print(row: dict[str, Any]) -> None:
    console = make_console()
    console.print(f"{shown(row['DeviceName'])}: {shown(row['Soc'])}, {shown(row['Ram'])} GB, {shown(row['DeviceOs'])}")
    console.print(results_table([row]))
    if row["Status"] == "Complete":
        for line in _details(row):
            console.print(f"  {line}")
    for line in remarks([row]):
        console.print(f"[yellow]note[/yellow] {line}")


def _details(row: dict[str, Any]) -> list[str]:
    """What the table has no room for, in words."""
    low, high = row.get("InferenceMsMedianLow"), row.get("InferenceMsMedianHigh")
    interval = f", 95 % sure between {figure(low)} and {figure(high)} ms" if low is not None else ""
    runs = f"{row['InferenceRuns']} runs after {row['WarmupRuns']} to warm up"
    engine = f"{row.get('Engine')} {row.get('EngineVersion')} on {row.get('ExecutionProvider')}"
    return [
        f"inference: median of {runs}{interval}",
        f"inference: the very first took {figure(row.get('InferenceMsFirst'))} ms",
        f"inference: {figure(row.get('InferencesPerSecond'))} per second",
        f"load: median of {row['LoadRuns']}; the first took {figure(row.get('LoadMsFirst'))} ms",
        f"memory: {figure(row.get('BaselineRamUsage'))} MB of the peaks were in use before the model",
        f"ran by {shown(engine)}, {row.get('Threads')} threads",
        f"inputs: {shown(row.get('InputShapes'))}",
    ]
