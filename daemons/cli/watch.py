"""`benchfleet watch`: a campaign followed until it has ended."""

from __future__ import annotations

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option
from daemons.cli.completing import campaign_names
from daemons.cli.waiting import Manner, follow_to_end

timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up waiting after so long, with exit status 1. The campaign goes on.",
)


@click.command(
    context_settings=HELP,
    epilog=examples(
        "watch campaign-1736432000123456",
        "watch campaign-1736432000123456 --json",
        "watch campaign-1736432000123456 --timeout 600",
    ),
)
@click.argument("campaign_id", metavar="CAMPAIGN", shell_complete=campaign_names)
@timeout_option
@json_option
@asks_a_server
def watch(server: Server, campaign_id: str, *, timeout_s: float | None, as_json: bool) -> int:
    """Follow a campaign until it has ended, then show its results. Ctrl-C ends the watching, not the campaign.

    --json prints one document at the end: the campaign's status, counts and results.

    Exit status: 0 every job is complete, 1 one isn't, 3 the orchestrator could not be reached.
    """
    return ask(server, lambda client: follow_to_end(client, campaign_id, Manner(as_json=as_json, timeout_s=timeout_s)))
