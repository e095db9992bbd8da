"""How far files are on their way: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from daemons.cli.tables import BAR_WIDTH, make_console, shown


@contextmanager
def showing_transfer(name: str) -> Iterator[Callable[[int, int], None]]:
    """What is told of the bytes that are over, of how many, is shown on stderr until the block ends."""
    console = make_console(to_stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(BAR_WIDTH),
        DownloadColumn(binary_units=False),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(shown(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def size(count: float) -> str:
    """A number of bytes as people say it, in steps of a thousand."""
    if count < 1000:
        return f"{count:,} bytes"
    steps = {"GB": 10**9, "MB": 10**6, "kB": 10**3}
    unit, step = next((unit, step) for unit, step in steps.items() if count >= step)
    return f"{count / step:,.1f} {unit}"
