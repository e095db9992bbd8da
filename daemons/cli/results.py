"""`benchfleet results`: of one campaign, of several, or of all; as a table, CSV or JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, tell
from daemons.cli.completing import campaign_names, unit_names, worker_names
from daemons.cli.listing import print_listing
from daemons.cli.naming import worker_id_of
from daemons.cli.result_rows import CAPTION, cells_of, columns_of, remarks_of
from daemons.core.results import to_csv
from daemons.runtime.files import write_atomically
from daemons.runtime.logs import escape

if TYPE_CHECKING:
    from daemons.client import Client

Record = dict[str, Any]


class Wanted(NamedTuple):
    """Which results, and how."""

    campaigns: tuple[str, ...]
    filters: dict[str, str | None]
    form: str
    output: Path | None
    limit: int | None


@click.command(
    context_settings=HELP,
    epilog=examples(
        "results campaign-1736432000123456",
        "results campaign-1736432000123456 --csv > figures.csv",
        "results campaign-1736432000123456 --json",
        "results --since 2025-01-09T00:00:00Z --on 'CPU (ONNX)' --csv --output all.csv",
    ),
)
@click.argument("campaigns", metavar="[CAMPAIGN...]", nargs=-1, shell_complete=campaign_names)
@click.option(
    "--status",
    type=click.Choice(("Complete", "Failed", "Cancelled"), case_sensitive=False),
    help="Those that ended so.",
)
@click.option("--on", "compute_unit", metavar="UNIT", shell_complete=unit_names, help="Those of this unit alone.")
@click.option(
    "--worker", "worker_id", metavar="WORKER", shell_complete=worker_names, help="Those of this device alone."
)
@click.option("--since", metavar="TIME", help="Those that ended then or later, such as 2025-01-09T14:00:00Z.")
@click.option(
    "--kind", type=click.Choice(("benchmark", "health", "all")), help="What people submit (the default), or checkups."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many at most. Default: all.")
@click.option("--csv", "form", flag_value="csv", help="Print every column, as CSV.")
@click.option("--json", "form", flag_value="json", help="Print one JSON document, with the CSV's column names.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print one JSON object a line, with the CSV's column names.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to a file: CSV, if no other form is named.",
)
@asks_a_server
def results(
    server: Server,
    campaigns: tuple[str, ...],
    *,
    form: str | None,
    output: Path | None,
    limit: int | None,
    **filters: str | None,
) -> int:
    """Show results: those of each CAMPAIGN, or of all campaigns. While one runs, those that there are."""
    wanted = Wanted(campaigns, filters, form or ("csv" if output else "table"), output, limit)
    return ask(server, lambda client: _show(client, wanted))


async def _show(client: Client, wanted: Wanted) -> None:
    rows: list[Record] = []
    async with aclosing(_rows(client, wanted)) as coming:
        async for row in coming:
            rows.append(row)
            if len(rows) == wanted.limit:
                break
    if wanted.output:
        write_atomically(wanted.output, _text(wanted.form, rows).encode())
        click.echo(f"{escape(str(wanted.output))}: {len(rows):,} results")
    elif wanted.form == "table":
        print_results(rows)
    else:
        click.echo(_text(wanted.form, rows), nl=False)


async def _rows(client: Client, wanted: Wanted) -> AsyncGenerator[Record]:
    """The rows. A single campaign without filters may have left the store: its file is asked for then."""
    filters = {name: value for name, value in wanted.filters.items() if value is not None}
    if worker := filters.get("worker_id"):
        filters["worker_id"] = await worker_id_of(client, worker)
    if wanted.campaigns and not filters:
        for campaign_id in wanted.campaigns:
            for row in await client.records(campaign_id):
                yield row
        return
    async for row in client.iter_records_all(campaign_id=wanted.campaigns or None, **filters):  # type: ignore[arg-type]
        yield row


def _text(form: str, rows: Sequence[Record]) -> str:
    match form:
        case "csv":
            return to_csv(rows)
        case "jsonl":
            return "".join(f"{msgspec.json.encode(row).decode()}\n" for row in rows)
        case _:
            document = msgspec.json.encode({"count": len(rows), "results": rows})
            return msgspec.json.format(document, indent=2).decode() + "\n"


def print_results(rows: Sequence[Record]) -> None:
    """Results for people, those of each campaign for themselves, with what is to be said of them."""
    groups = [list(group) for _, group in groupby(rows, itemgetter("CampaignId"))]
    for group in groups or [[]]:
        if len(groups) > 1:
            click.echo(escape(f"{group[0]['CampaignId']}:"))
        print_listing(columns_of(group), cells_of(group), "There are no results yet.")
    if any(row["Status"] == "Complete" for row in rows):
        click.echo(CAPTION)
    for line in remarks_of(rows):
        tell(line)
