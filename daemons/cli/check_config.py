"""`benchfleet check-config`: every mistake of configuration files at once, with file, line, key and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from daemons.cli.asking import HELP
from daemons.cli.campaign_file import read_campaign
from daemons.core.errors import ConfigInvalid
from daemons.core.models import CampaignRequest
from daemons.core.settings import OrchestratorSettings, WorkerSettings
from daemons.runtime.boot import DONE, FAILED, USED_WRONGLY
from daemons.runtime.config import read_settings
from daemons.runtime.logs import escape
from daemons.runtime.schema import settings_schema
from tui.settings import TuiSettings

PROGRAMS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "orchestrator": OrchestratorSettings,
    "worker": WorkerSettings,
    "tui": TuiSettings,
}
CAMPAIGN: Final = "campaign"
CAMPAIGNS_FOLDER: Final = "campaigns"
KINDS: Final[Mapping[str, type[msgspec.Struct]]] = {**PROGRAMS, CAMPAIGN: CampaignRequest}
"""What a file can be, and the type that says what may stand in it."""


@click.command(
    "check-config",
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet check-config /etc/benchfleet/worker.yaml\n"
    "  benchfleet check-config --for orchestrator staging.yaml\n"
    "  benchfleet check-config config/campaigns/smoke.yaml\n"
    "  benchfleet check-config --for campaign --schema",
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--for", "kind", type=click.Choice(list(KINDS)), help="Which program the files are for, or campaign.")
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON schema of what --for names.")
@click.pass_context
def check_config(context: click.Context, files: tuple[Path, ...], kind: str | None, wants_schema: bool) -> None:
    """Check configuration and campaign files, naming every mistake at once.

    A file is for the program in its name (worker.yaml, lab-worker.yml), or a campaign if its name or its folder's says
    so (campaigns/nightly.yaml); where the names say nothing, --for does. The environment is not looked at.

    Exit status: 0 all is well, 1 mistakes were found, 2 a file is missing or it can't be told what it is.
    """
    if wants_schema:
        click.echo(_schema(kind), nl=False)
    elif not files:
        raise click.UsageError("name at least one FILE to check")
    else:
        context.exit(max(_check(path, kind) for path in files))


def _schema(kind: str | None) -> bytes:
    if kind is None:
        raise click.UsageError(f"--schema needs {_choices()}")
    return settings_schema(KINDS[kind], f"benchfleet {kind}")


def _check(path: Path, named: str | None) -> int:
    """The exit status that this file deserves; what is wrong with it is told on stderr."""
    if not path.exists():
        return _tell(f"{path}: there is no such file; check its path", USED_WRONGLY)
    kind = named or kind_of(path)
    if kind is None:
        return _tell(f"{path}: its name doesn't tell what it is for; add {_choices()}", USED_WRONGLY)
    try:
        if kind == CAMPAIGN:
            read_campaign(path)
        else:
            read_settings(PROGRAMS[kind], path)
    except ConfigInvalid as error:
        return max(_tell(mistake, FAILED) for mistake in error.mistakes)
    click.echo(f"{path}: a valid {'campaign' if kind == CAMPAIGN else f'configuration of the {kind}'}")
    return DONE


def kind_of(path: Path) -> str | None:
    """What stands in the file's name, None if nothing or more than one does; a folder of campaigns holds campaigns."""
    found = [kind for kind in KINDS if kind in path.stem.lower()]
    if not found and path.absolute().parent.name == CAMPAIGNS_FOLDER:
        return CAMPAIGN
    return found[0] if len(found) == 1 else None


def _choices() -> str:
    return " or ".join(f"--for {kind}" for kind in KINDS)


def _tell(line: str, status: int) -> int:
    click.echo(escape(line), err=True)
    return status
