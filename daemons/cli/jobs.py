"""`benchfleet jobs`: listed, and one shown with its history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json, tell
from daemons.cli.completing import campaign_names, job_names, unit_names, worker_names
from daemons.cli.groups import ListGroup
from daemons.cli.listing import Column, print_facts, print_listing, status
from daemons.cli.moments import span_of
from daemons.cli.naming import worker_id_of
from daemons.cli.pages import collected, limit_option, more_of
from daemons.cli.result_rows import with_unit
from daemons.core.results import COLUMNS, cell

if TYPE_CHECKING:
    from daemons.client import Client

STATUSES = ("pending", "running", "complete", "failed", "cancelled")


@click.group(
    cls=ListGroup,
    context_settings=HELP,
    epilog=examples(
        "jobs",
        "jobs --campaign campaign-1736432000123456 --status failed",
        "jobs --worker mac-mini-3 --limit 20",
        "jobs show campaign-1736432000123456-job-0",
    ),
)
def jobs() -> None:
    """Jobs: list them (without a command), show one.

    What is listed can be filtered: see `benchfleet jobs list --help`.
    """


@jobs.command("list", context_settings=HELP, epilog=examples("jobs list --status running --json"))
@click.option(
    "--campaign", "campaign_id", metavar="CAMPAIGN", shell_complete=campaign_names, help="Those of this campaign alone."
)
@click.option("--status", type=click.Choice(STATUSES), help="Those of this status alone.")
@click.option("--worker", metavar="WORKER", shell_complete=worker_names, help="Those of this device alone.")
@click.option(
    "--on", "compute_unit", metavar="UNIT", shell_complete=unit_names, help="Those for this compute unit alone."
)
@click.option(
    "--kind", type=click.Choice(("benchmark", "health", "all")), help="What people submit (the default), or checkups."
)
@limit_option
@json_option
@asks_a_server
def list_(server: Server, *, worker: str | None, limit: int, as_json: bool, **filters: Any) -> int:
    """List jobs: of the newest campaign first. A WORKER is an identifier or a device's name."""

    async def work(client: Client) -> None:
        worker_id = None if worker is None else await worker_id_of(client, worker)
        listing = await collected(client.jobs, "jobs", limit, worker_id=worker_id, **filters)
        if as_json:
            print_json(listing)
            return
        print_jobs(listing["jobs"], datetime.now(UTC))
        if more := more_of(listing):
            tell(more)

    return ask(server, work)


def print_jobs(found: list[dict[str, Any]], now: datetime) -> None:
    """Jobs as lines of a table."""
    columns = [
        Column("job"),
        Column("unit", shrinks=True),
        Column("status"),
        Column("worker", shrinks=True),
        Column("took", is_number=True),
    ]
    rows = [
        (
            job["job_id"],
            job["compute_unit"],
            status(job["status"]),
            job["worker_id"] or "",
            span_of(job["started_at"], job["ended_at"], now),
        )
        for job in found
    ]
    print_listing(columns, rows, "There are no such jobs.")


@jobs.command("show", context_settings=HELP, epilog=examples("jobs show campaign-1736432000123456-job-0 --json"))
@click.argument("job_id", metavar="JOB", shell_complete=job_names)
@json_option
@asks_a_server
def show(server: Server, job_id: str, *, as_json: bool) -> int:
    """Show a job: what was asked for, what has happened to it, and its result."""

    async def work(client: Client) -> None:
        answer = await client.job(job_id)
        if as_json:
            print_json(answer)
        else:
            _print_job(answer["job"], answer["result"])

    return ask(server, work)


def _print_job(job: dict[str, Any], result: dict[str, Any] | None) -> None:

    options = {name: value for name, value in job["options"].items() if name not in ("compute_unit", "worker_id")}
    print_facts(
        {
            "Job": job["job_id"],
            "Unit": job["compute_unit"],
            "Status": status(job["status"]),
            "Device": job["worker_id"],
            "Attempt": job["attempt"] or None,
            "Lost attempts": job["lost_attempts"] or None,
            "Options": ", ".join(f"{name}={value}" for name, value in options.items()) or None,
            "Took": span_of(job["started_at"], job["ended_at"], datetime.now(UTC)) if job["started_at"] else None,
        }
    )
    _print_history(job["history"])
    if result:
        _print_result(result)


def _print_history(history: list[dict[str, Any]]) -> None:

    if history:
        click.echo()
        columns = [Column("at"), Column("what"), Column("worker"), Column("why", shrinks=True)]
        rows = [
            (entry["at"], status(entry["event"]), entry.get("worker_id", ""), entry.get("reason", ""))
            for entry in history
        ]
        print_listing(columns, rows, "")


def _print_result(result: dict[str, Any]) -> None:
    """Every column of the row that is known."""
    click.echo()
    known = {name: result[name] for name in COLUMNS if result.get(name) not in (None, [])}
    print_facts({name: with_unit(name, cell(value)) for name, value in known.items()})
