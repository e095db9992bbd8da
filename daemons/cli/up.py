"""`benchfleet up`: the whole system on this machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TextIO

import click

from daemons.cli.asking import HELP
from daemons.cli.stack import Plan, running_stack
from daemons.runtime import boot
from daemons.runtime.folders import state_folder
from daemons.runtime.logs import set_up_logs

LOG_FILE: Final = "up.log"


@click.command(
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet up\n  benchfleet up --port 8080 --workers 2\n"
    "  benchfleet up --data-dir /var/lib/benchfleet --workers 0\n  benchfleet up --workers 3 --tui",
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
@click.option("--tui", "wants_tui", is_flag=True, help="Show the dashboard meanwhile; quitting it ends everything.")
def up(host: str, port: int, data_dir: Path | None, workers: int, *, wants_tui: bool) -> int:
    """Run orchestrator, database and workers on this machine.

    A part that dies is started again, and continues where it was. Several workers on one machine take turns: two
    measurements at once would measure each other. Ctrl-C or SIGTERM ends everything.
    """
    folder = data_dir.absolute() if data_dir else state_folder("up")
    plan = Plan(host=host, port=port, data_dir=folder, workers=workers)
    if wants_tui:
        return _show(plan)
    set_up_logs()
    return boot.run(lambda: _serve(plan, None, lambda url, stop: _announced(url, plan, stop)))


def _show(plan: Plan) -> int:
    """The stack, and its dashboard in front of it; what the programs say goes to a file."""
    from tui.main import Wanted, run  # noqa: PLC0415 (the dashboard is loaded where it is wanted)
    from tui.settings import load_preferences  # noqa: PLC0415

    preferences = load_preferences(None)
    plan.data_dir.mkdir(parents=True, exist_ok=True)
    path = plan.data_dir / LOG_FILE
    click.echo(f"starting; what the programs say goes to {path}")
    with path.open("a", encoding="utf-8") as log:
        set_up_logs(stream=log)
        return boot.run(
            lambda: _serve(plan, log, lambda url, stop: run(Wanted(url=url, preferences=preferences), stop))
        )


async def _serve(plan: Plan, output: TextIO | None, work: Callable[[str, asyncio.Event], Awaitable[object]]) -> None:
    """The stack, for as long as `work` does something with its address; or until a signal says to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(running_stack(plan, output)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return
        await work(await starting, stop)
        stopping.cancel()
        click.echo("ending …")


async def _announced(url: str, plan: Plan, stop: asyncio.Event) -> None:
    _announce(url, plan)
    await stop.wait()


def _announce(url: str, plan: Plan) -> None:
    click.echo(f"benchfleet is up at {url} with {plan.workers} worker{'' if plan.workers == 1 else 's'}")
    click.echo(f"results go to {plan.outputs_dir or plan.data_dir / 'outputs'}; Ctrl-C ends it")
