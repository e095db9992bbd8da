"""`benchfleet up`: the whole system on this machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import click

from daemons.cli.asking import HELP
from daemons.cli.stack import Plan, running_stack
from daemons.runtime import boot
from daemons.runtime.folders import state_folder
from daemons.runtime.logs import set_up_logs


@click.command(
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet up\n  benchfleet up --port 8080 --workers 2\n"
    "  benchfleet up --data-dir /var/lib/benchfleet --workers 0",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0 takes a free one.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is kept. Default: your state folder.",
)
@click.option(
    "--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="How many workers to run here."
)
def up(host: str, port: int, data_dir: Path | None, workers: int) -> int:
    """Run orchestrator, database and workers on this machine.

    A part that dies is started again, and continues where it was. Several workers on one machine take turns: two
    measurements at once would measure each other. Ctrl-C or SIGTERM ends everything.
    """
    set_up_logs()
    folder = data_dir.absolute() if data_dir else state_folder("up")
    return boot.run(lambda: _serve(Plan(host=host, port=port, data_dir=folder, workers=workers)))


async def _serve(plan: Plan) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(running_stack(plan)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return
        _announce(await starting, plan)
        await stopping
        click.echo("ending …")


def _announce(url: str, plan: Plan) -> None:
    click.echo(f"benchfleet is up at {url} with {plan.workers} worker{'' if plan.workers == 1 else 's'}")
    click.echo(f"results go to {plan.outputs_dir or plan.data_dir / 'outputs'}; Ctrl-C ends it")
