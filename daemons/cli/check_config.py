"""`benchfleet check-config`: every mistake of configuration files at once, with file, line, key and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from daemons.cli.asking import HELP
from daemons.core.errors import ConfigInvalid
from daemons.core.settings import OrchestratorSettings, WorkerSettings
from daemons.runtime.boot import DONE, FAILED, USED_WRONGLY
from daemons.runtime.config import read_settings
from daemons.runtime.logs import escape
from daemons.runtime.schema import settings_schema

PROGRAMS: Final[Mapping[str, type[msgspec.Struct]]] = {"orchestrator": OrchestratorSettings, "worker": WorkerSettings}


@click.command(
    "check-config",
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet check-config /etc/benchfleet/worker.yaml\n"
    "  benchfleet check-config --for orchestrator staging.yaml",
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--for", "program", type=click.Choice(list(PROGRAMS)), help="Which program the files are for.")
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON schema of the program named by --for.")
@click.pass_context
def check_config(context: click.Context, files: tuple[Path, ...], program: str | None, wants_schema: bool) -> None:
    """Check configuration files, naming every mistake at once.

    A file is for the program in its name (worker.yaml, lab-worker.yml) or, where the name says nothing, for the one
    that --for names. The environment is not looked at.

    Exit status: 0 all is well, 1 mistakes were found, 2 a file is missing or its program can't be told.
    """
    if wants_schema:
        click.echo(_schema(program), nl=False)
    elif not files:
        raise click.UsageError("name at least one FILE to check")
    else:
        context.exit(max(_check(path, program) for path in files))


def _schema(program: str | None) -> bytes:
    if program is None:
        raise click.UsageError("--schema needs --for orchestrator or --for worker")
    return settings_schema(PROGRAMS[program], f"benchfleet {program}")


def _check(path: Path, named: str | None) -> int:
    """The exit status that this file deserves; what is wrong with it is told on stderr."""
    if not path.exists():
        return _tell(f"{path}: there is no such file; check its path", USED_WRONGLY)
    program = named or program_of(path)
    if program is None:
        return _tell(f"{path}: its name doesn't tell which program it is for; add {_choices()}", USED_WRONGLY)
    try:
        read_settings(PROGRAMS[program], path)
    except ConfigInvalid as error:
        return max(_tell(mistake, FAILED) for mistake in error.mistakes)
    click.echo(f"{path}: a valid configuration of the {program}")
    return DONE


def program_of(path: Path) -> str | None:
    """The program whose name stands in the file's name, None if none or both do."""
    found = [program for program in PROGRAMS if program in path.stem.lower()]
    return found[0] if len(found) == 1 else None


def _choices() -> str:
    return " or ".join(f"--for {program}" for program in PROGRAMS)


def _tell(line: str, status: int) -> int:
    click.echo(escape(line), err=True)
    return status
