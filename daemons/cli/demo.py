"""`benchfleet demo`: the whole way of a benchmark, on real networks, in under a minute, leaving nothing running."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import io
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import click
from aiohttp import web
from rich.console import Console
from rich.progress import Progress

from daemons.cli.asking import HELP
from daemons.cli.stack import NotStarted, Plan, running_stack
from daemons.cli.tables import make_console, make_progress, remarks, results_table
from daemons.client import Client
from daemons.core.errors import BenchfleetError
from daemons.core.lifecycle import CampaignStatus
from daemons.core.models import CampaignRequest, JobSpec
from daemons.runtime import boot
from daemons.runtime.logs import set_up_logs

NETWORKS: Final = ("light_squeezenet.onnx", "light_resnet50.onnx")
"""SqueezeNet and ResNet-50, as the package `onnx` brings them: the real architectures, with generated weights."""

POLL_S: Final = 0.2
BEAT_S: Final = 0.25
LOG_TAIL: Final = 30


@click.command(context_settings=HELP, epilog="\b\nExamples:\n  benchfleet demo\n  benchfleet demo --runs 100")
@click.option(
    "--runs", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Timed runs of each network."
)
@click.option(
    "--outputs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("outputs"),
    show_default=True,
    help="Where the CSV files go.",
)
def demo(runs: int, outputs_dir: Path) -> int:
    """Start everything on this machine, benchmark two real networks, print the figures, and end everything.

    Exit status: 0 both were measured, 1 one was not.
    """
    set_up_logs("warning")
    return boot.run(lambda: _demonstrate(runs, outputs_dir.absolute()))


async def _demonstrate(runs: int, outputs: Path) -> int:
    # SIGTERM ends the demo as Ctrl-C does: by way of everything that has to be stopped.
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine that runs is a task)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="benchfleet-demo-") as folder:
        log_path = Path(folder) / "log"
        try:
            return await _benchmark(runs, Path(folder), outputs, log_path)
        except (NotStarted, TimeoutError) as error:
            lines = log_path.read_text("utf-8", errors="replace").splitlines()[-LOG_TAIL:]
            raise BenchfleetError("\n".join([*lines, f"the demo could not be started: {error}"])) from error


async def _benchmark(runs: int, folder: Path, outputs: Path, log_path: Path) -> int:
    console = make_console()
    plan = Plan(data_dir=folder, outputs_dir=outputs, environ={"BENCHFLEET_FLEET__HEARTBEAT_INTERVAL_S": str(BEAT_S)})
    with log_path.open("wb") as log, make_progress(console) as progress:
        waiting = progress.add_task("starting orchestrator, database and worker", total=None)
        async with _serving_networks() as models, running_stack(plan, log) as url, Client(url) as client:
            progress.remove_task(waiting)
            worker = (await client.workers())["workers"][0]
            campaigns = [await _submit(client, f"{models}/{name}", worker["capabilities"], runs) for name in NETWORKS]
            await asyncio.gather(
                *(_follow(client, campaign, name, progress) for campaign, name in zip(campaigns, NETWORKS, strict=True))
            )
            rows = [row for campaign in campaigns for row in await _rows(client, campaign)]
            files = [file["filename"] for file in (await client.results_files())["files"]]
    _print(console, worker, rows, [outputs / name for key in campaigns for name in files if name.startswith(f"{key}_")])
    return boot.DONE if all(row["Status"] == "Complete" for row in rows) else boot.FAILED


@asynccontextmanager
async def _serving_networks() -> AsyncIterator[str]:
    """The networks' folder, served over HTTP on this machine: a worker fetches models by URL and in no other way."""
    spec = importlib.util.find_spec("onnx")
    if spec is None or spec.origin is None:
        raise BenchfleetError("the package 'onnx', which brings the demo's networks, is not installed")
    app = web.Application()
    app.router.add_static("/", Path(spec.origin).parent / "backend/test/data/light")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _submit(client: Client, url: str, units: list[str], runs: int) -> str:
    jobs = [JobSpec(compute_unit=unit, num_inference_runs=runs) for unit in units]
    answer = await client.submit(CampaignRequest(model_url=url, jobs=jobs))
    return str(answer["campaign_id"])


async def _follow(client: Client, campaign_id: str, name: str, progress: Progress) -> None:
    """Show how far the campaign is, until it has ended."""
    task = progress.add_task(f"{name}: waiting", total=None)
    while True:
        campaign = await client.campaign(campaign_id)
        if CampaignStatus(campaign["status"]).is_final:
            break
        phase, done, total = _position(campaign_id, (await client.workers())["workers"])
        progress.update(task, description=f"{name}: {phase}", completed=done or 0, total=total)
        await asyncio.sleep(POLL_S)
    progress.update(task, description=f"{name}: {campaign['status']}", completed=1, total=1)


def _position(campaign_id: str, workers: list[dict[str, Any]]) -> tuple[str, int | None, int | None]:
    """The phase of the campaign's job that runs now, and how far that is."""
    for worker in workers:
        if str(worker["current_job"]).startswith(f"{campaign_id}-"):
            state = worker["progress"] or {}
            return str(state.get("phase", "starting")), state.get("done"), state.get("total")
    return "waiting", None, None


async def _rows(client: Client, campaign_id: str) -> list[dict[str, Any]]:
    """The campaign's rows as its CSV has them, figures as numbers."""
    document = await client.results(campaign_id)
    return [{name: _number(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(document))]


def _number(cell: str) -> Any:
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def _print(console: Console, worker: dict[str, Any], rows: list[dict[str, Any]], files: list[Path]) -> None:
    info = worker["device_info"]
    console.print(f"{worker['device_name']}: {info.get('Soc')}, {info.get('Ram')} GB, {info.get('DeviceOs')}\n")
    console.print(results_table(rows))
    for line in remarks([{**row, "Warnings": (row.get("Warnings") or "").split("; ")} for row in rows]):
        console.print(f"[yellow]note[/yellow] {line}" if line else "")
    console.print("\nThe whole rows, as CSV:")
    for path in files:
        console.print(f"  {path}", soft_wrap=True)
