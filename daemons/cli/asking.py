"""How every command is asked for its help, and how one asks an orchestrator: where it is, and what becomes of errors.

The client is imported when a server is asked, so that `--help` does not wait for it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click
import msgspec

from daemons.core.errors import BenchfleetError
from daemons.runtime import boot
from daemons.runtime.logs import escape, set_up_logs

if TYPE_CHECKING:
    from daemons.client import Client

HELP: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}
"""Context settings of each command: one that is called outside its group takes `-h`, too."""

DEFAULT_URL: Final = "http://127.0.0.1:5000"
PATIENCE_S: Final = 3.0
"""An orchestrator that is away is asked again for so long: somebody waits for the answer."""
ENDED_BY_SIGTERM: Final = 143
"""128 + SIGTERM, as shells say it."""

Command = TypeVar("Command", bound=Callable[..., Any])
Work = Callable[["Client"], Coroutine[Any, Any, int | None]]


class Server(NamedTuple):
    """The orchestrator to ask."""

    url: str
    token_file: Path | None


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  benchfleet {line}" for line in lines)])


def asks_a_server(command: Command) -> Callable[..., Any]:
    """Options that say which server; the command gets them as ``server``."""

    @click.option(
        "--url",
        envvar="BENCHFLEET_URL",
        default=DEFAULT_URL,
        metavar="URL",
        help=f"The orchestrator's address. Default: $BENCHFLEET_URL, or {DEFAULT_URL}.",
    )
    @click.option(
        "--token-file",
        envvar="BENCHFLEET_TOKEN_FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="File that holds your token. Default: $BENCHFLEET_TOKEN_FILE, or no token.",
    )
    @functools.wraps(command)
    def with_server(*args: Any, url: str, token_file: Path | None, **options: Any) -> Any:
        return command(*args, server=Server(url, token_file), **options)

    return with_server


json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def ask(server: Server, work: Work) -> int:
    """The exit status of `work` with a client of that server: what it returns, or what its error means."""
    set_up_logs("warning", "console")
    return boot.run_command(lambda: _with_client(server, work))


async def _with_client(server: Server, work: Work) -> int | None:
    from daemons.client import Client  # noqa: PLC0415

    ended_by = _end_on_sigterm()
    try:
        async with Client(server.url, server.token_file, patience_s=PATIENCE_S) as client:
            status = await work(client)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        return 0
    except OSError as error:
        raise BenchfleetError(f"{error.filename or 'the output'}: {error.strerror or error}") from error
    except asyncio.CancelledError:
        if ended_by:
            return ENDED_BY_SIGTERM
        raise
    return status


def _end_on_sigterm() -> list[int]:
    """SIGTERM ends the work as Ctrl-C does, by way of what has to be put right, such as the terminal.

    The list holds the signal then.
    """
    came: list[int] = []
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine that runs is a task)

    def end() -> None:
        came.append(signal.SIGTERM)
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    return came


def _give_up_stdout() -> None:
    """Whoever read it has gone, such as `head`: nothing more can be said there, not even at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(document: Any) -> None:
    """The document, indented, on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def tell(text: str) -> None:
    """A sentence beside the output, for people: on stderr."""
    click.echo(escape(text), err=True)
