"""`benchfleet campaigns`: listed, shown, deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json, tell
from daemons.cli.bars import counts, ended_jobs
from daemons.cli.completing import campaign_names
from daemons.cli.each import each_of
from daemons.cli.groups import ListGroup
from daemons.cli.jobs import print_jobs
from daemons.cli.listing import Column, print_facts, print_listing, status
from daemons.cli.moments import seconds_since, span, span_of
from daemons.cli.pages import collected, limit_option, more_of
from daemons.core.urls import model_file_name

if TYPE_CHECKING:
    from daemons.client import Client

STATUSES = ("running", "completed", "failed", "cancelled")
KINDS = ("benchmark", "health", "all")

campaign_argument = click.argument("campaign_id", metavar="CAMPAIGN", shell_complete=campaign_names)


@click.group(
    cls=ListGroup,
    context_settings=HELP,
    epilog=examples(
        "campaigns",
        "campaigns --status running --json",
        "campaigns --label branch=main --limit 10",
        "campaigns show campaign-1736432000123456",
        "campaigns delete campaign-1736432000123456",
    ),
)
def campaigns() -> None:
    """Campaigns: list them (without a command), show one, delete one.

    What is listed can be filtered: see `benchfleet campaigns list --help`.
    """


@campaigns.command("list", context_settings=HELP, epilog=examples("campaigns list --limit 20"))
@click.option("--status", type=click.Choice(STATUSES), help="Those of this status alone.")
@click.option("--kind", type=click.Choice(KINDS), help="What people submit (the default), checkups of devices, or all.")
@click.option("--name", metavar="TEXT", help="Those alone that are called so.")
@click.option(
    "--label", multiple=True, metavar="KEY=VALUE", help="Those alone that have this label; repeatable, for all of them."
)
@limit_option
@json_option
@asks_a_server
def list_(server: Server, *, limit: int, as_json: bool, **filters: Any) -> int:
    """List campaigns, the newest first."""

    async def work(client: Client) -> None:
        listing = await collected(client.campaigns, "campaigns", limit, **filters)
        if as_json:
            print_json(listing)
            return
        _print_campaigns(listing["campaigns"], datetime.now(UTC))
        if more := more_of(listing):
            tell(more)

    return ask(server, work)


def _print_campaigns(found: list[dict[str, Any]], now: datetime) -> None:

    columns = [
        Column("campaign"),
        Column("what", shrinks=True),
        Column("status"),
        Column("ended", is_number=True),
        Column("failed", is_number=True),
        Column("age", is_number=True),
    ]
    rows = [
        (
            one["campaign_id"],
            one.get("name") or model_file_name(one["model_url"] or ""),
            status(one["status"]),
            f"{ended_jobs(one)}/{one['total_jobs']}",
            one["failed_jobs"],
            span(seconds_since(one["created_at"], now)),
        )
        for one in found
    ]
    print_listing(columns, rows, "There are no such campaigns; `benchfleet submit MODEL` makes one.")


@campaigns.command("show", context_settings=HELP, epilog=examples("campaigns show campaign-1736432000123456 --json"))
@campaign_argument
@json_option
@asks_a_server
def show(server: Server, campaign_id: str, *, as_json: bool) -> int:
    """Show a campaign and its jobs."""

    async def work(client: Client) -> None:
        campaign = await client.campaign(campaign_id)
        if as_json:
            print_json(campaign)
            return
        listing = await collected(client.jobs, "jobs", MOST_JOBS, campaign_id=campaign_id)
        _print_campaign(campaign, listing)

    return ask(server, work)


MOST_JOBS = 50
"""So many of a campaign's jobs are shown with it."""


def _print_campaign(campaign: dict[str, Any], listing: dict[str, Any]) -> None:

    labels = campaign.get("labels") or {}
    print_facts(
        {
            "Campaign": campaign["campaign_id"],
            "Name": campaign.get("name"),
            "Labels": ", ".join(f"{key}={value}" for key, value in labels.items()) or None,
            "Model": campaign["model_url"],
            "SHA-256": campaign["model_sha256"],
            "Status": status(campaign["status"]),
            "Jobs": f"{campaign['total_jobs']:,}: {', '.join(counts(campaign)) or 'all waiting'}",
            "Submitted": campaign["created_at"],
            "Took": span_of(campaign["created_at"], campaign["ended_at"], datetime.now(UTC)),
        }
    )
    click.echo()
    print_jobs(listing["jobs"], datetime.now(UTC))
    if listing.get("next_cursor"):
        tell(f"These are its first {MOST_JOBS}; benchfleet jobs --campaign {campaign['campaign_id']} shows all.")


@campaigns.command("delete", context_settings=HELP, epilog=examples("campaigns delete campaign-1736432000123456"))
@click.argument("campaign_ids", metavar="CAMPAIGN...", nargs=-1, required=True, shell_complete=campaign_names)
@json_option
@asks_a_server
def delete(server: Server, campaign_ids: tuple[str, ...], *, as_json: bool) -> int:
    """Delete campaigns that have ended, with their jobs and samples. Their CSV files stay."""
    return ask(server, lambda client: each_of(campaign_ids, client.delete_campaign, as_json=as_json))
