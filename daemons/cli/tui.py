"""`benchfleet tui`: the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from daemons.cli.asking import HELP
from daemons.runtime import boot


@click.command(
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet tui\n  benchfleet tui --url http://lab-server:5000 --token-file viewer.token\n"
    "  benchfleet tui --record evening.jsonl\n  benchfleet tui --replay evening.jsonl",
)
@click.option("--url", help="The orchestrator's address. Default: $BENCHFLEET_URL, else http://127.0.0.1:5000.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File that holds a token of an operator or viewer.")
@click.option(
    "--redis",
    default="auto",
    show_default=True,
    help="Where events come from: Redis at this address; `none` for the REST event stream; `auto` for Redis where the "
    "orchestrator names it to programs on its own machine.",
)
@click.option("--redis-prefix", default="benchfleet:", show_default=True, help="The fleet's prefix in that Redis.")
@click.option("--read-only", is_flag=True, help="Only look: what changes something is not there.")
@click.option("--record", type=click.Path(path_type=Path), help="Write all that is heard to this new file.")
@click.option("--replay", type=click.Path(path_type=Path), help="Show what such a file holds, with no orchestrator.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with theme and keys: see config/tui.yaml.")
def tui(**given: Any) -> int:
    """Show the fleet in the terminal, live: devices, campaigns, queues and events; ? there shows all keys."""
    from daemons.client.address import chosen  # noqa: PLC0415 (imported when the command is used)
    from tui.main import Wanted, run  # noqa: PLC0415
    from tui.settings import load_preferences  # noqa: PLC0415

    if given["record"] and given["replay"]:
        raise click.UsageError("--record and --replay exclude each other")
    address = chosen(given["url"], given["token_file"])
    wanted = Wanted(
        url=address.url,
        token_file=address.token_file,
        redis=given["redis"],
        redis_prefix=given["redis_prefix"],
        is_read_only=given["read_only"],
        record=given["record"],
        replay=given["replay"],
        preferences=load_preferences(given["config"]),
    )
    return boot.run_command(lambda: run(wanted))
