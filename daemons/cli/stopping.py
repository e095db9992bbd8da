"""`benchfleet cancel` and `benchfleet retry`: campaigns and single jobs, told apart by their identifiers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option
from daemons.cli.completing import campaign_and_job_names
from daemons.cli.each import each_of

if TYPE_CHECKING:
    from daemons.client import Client

JOB = "-job-"
"""What the identifier of a job has in it, and no campaign's."""

names_argument = click.argument(
    "names", metavar="CAMPAIGN|JOB...", nargs=-1, required=True, shell_complete=campaign_and_job_names
)


@click.command(
    context_settings=HELP,
    epilog=examples("cancel campaign-1736432000123456", "cancel campaign-1736432000123456-job-3"),
)
@names_argument
@json_option
@asks_a_server
def cancel(server: Server, names: tuple[str, ...], *, as_json: bool) -> int:
    """Cancel campaigns or jobs: what waits at once, what runs as soon as its device hears of it.

    What has ended stays as it is.
    """

    async def work(client: Client) -> int:
        def one(name: str) -> Awaitable[dict[str, Any]]:
            return client.cancel_job(name) if JOB in name else client.cancel(name)

        return await each_of(names, one, as_json=as_json)

    return ask(server, work)


@click.command(
    context_settings=HELP,
    epilog=examples("retry campaign-1736432000123456", "retry campaign-1736432000123456-job-3"),
)
@names_argument
@json_option
@asks_a_server
def retry(server: Server, names: tuple[str, ...], *, as_json: bool) -> int:
    """Open failed jobs again: those of a campaign, or single ones. Their rows are replaced when they end."""

    async def work(client: Client) -> int:
        def one(name: str) -> Awaitable[dict[str, Any]]:
            return client.retry_job(name) if JOB in name else client.retry(name)

        return await each_of(names, one, as_json=as_json)

    return ask(server, work)
