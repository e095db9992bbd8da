"""`benchfleet queue`: what waits where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json
from daemons.cli.listing import Cell, Column, print_facts, print_listing

if TYPE_CHECKING:
    from daemons.client import Client

TAKES = ("active", "busy", "cleanup")
"""Statuses of devices that take jobs, now or when they are free."""


@click.command(context_settings=HELP, epilog=examples("queue", "queue --json"))
@json_option
@asks_a_server
def queue(server: Server, *, as_json: bool) -> int:
    """Show what waits: for each compute unit with the devices that could take it, and for single devices."""

    async def work(client: Client) -> None:
        status = await client.queue_status()
        if as_json:
            print_json(status)
            return
        able: dict[str, int] = {}
        async for worker in client.iter_workers():
            if worker.status in TAKES and not worker.drained:
                for unit in worker.capabilities:
                    able[unit] = able.get(unit, 0) + 1
        _print(status, able)

    return ask(server, work)


def _print(status: dict[str, Any], able: dict[str, int]) -> None:
    waiting: dict[str, int] = status["capability_queues"]
    columns = [Column("unit"), Column("waiting", is_number=True), Column("devices", is_number=True)]
    rows = [
        (unit, waiting.get(unit, 0), _devices(waiting.get(unit, 0), able.get(unit, 0)))
        for unit in sorted({*waiting, *able})
    ]
    print_listing(columns, rows, "There is no device, and nothing waits.")
    single = [(name, one["device_name"], one["queue_size"]) for name, one in status["worker_queues"].items()]
    if single := [row for row in single if row[2]]:
        click.echo()
        columns = [Column("worker"), Column("device", shrinks=True), Column("waiting", is_number=True)]
        print_listing(columns, single, "")
    click.echo()
    print_facts(
        {
            "Running": status["running"],
            "Waiting for another try": status["waiting_for_retry"] or None,
            "Results to be written": status["results_queue_size"] or None,
        }
    )


def _devices(waiting: int, able: int) -> Cell:
    """How many could take it; in red where something waits in vain."""
    return Cell(str(able), "red" if waiting and not able else "")
