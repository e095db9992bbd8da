"""`benchfleet queue`: what waits where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json
from daemons.cli.listing import Cell, Column, Row, print_facts, print_listing
from daemons.cli.moments import span

if TYPE_CHECKING:
    from daemons.client import Client
    from daemons.core.answers_fleet import Worker

TAKES = ("active", "busy", "cleanup")
"""Statuses of devices that take jobs, now or when they are free."""
OLDEST = Column("oldest", is_number=True)
WAITING = Column("waiting", is_number=True)
DEVICES = Column("devices", is_number=True)


@click.command(context_settings=HELP, epilog=examples("queue", "queue --json"))
@json_option
@asks_a_server
def queue(server: Server, *, as_json: bool) -> int:
    """Show what waits: for each compute unit with the devices that could take it, for tags, and for single devices."""

    async def work(client: Client) -> None:
        status = await client.queue_status()
        if as_json:
            print_json(status)
            return
        _print(
            status, [worker async for worker in client.iter_workers() if worker.status in TAKES and not worker.drained]
        )

    return ask(server, work)


def _print(status: dict[str, Any], able: Sequence[Worker]) -> None:
    print_listing(
        [Column("unit"), WAITING, OLDEST, DEVICES], units_of(status, able), "There is nothing, and no device."
    )
    if tagged := tagged_of(status, able):
        click.echo()
        print_listing([Column("unit"), Column("tags"), WAITING, OLDEST, DEVICES], tagged, "")
    if single := single_of(status):
        click.echo()
        print_listing([Column("worker"), Column("device", shrinks=True), WAITING, OLDEST], single, "")
    click.echo()
    print_facts(
        {
            "Running": status["running"],
            "Waiting for another try": status["waiting_for_retry"] or None,
            "Results to be written": status["results_queue_size"] or None,
        }
    )


def units_of(status: dict[str, Any], able: Sequence[Worker]) -> list[Row]:
    """What waits for each compute unit, with whatever tags."""
    waiting: dict[str, int] = status["capability_queues"]
    units = sorted({*waiting, *(unit for worker in able for unit in worker.capabilities)})
    return [
        (unit, waiting.get(unit, 0), _oldest(status, unit), _devices(waiting.get(unit, 0), able, unit))
        for unit in units
    ]


def tagged_of(status: dict[str, Any], able: Sequence[Worker]) -> list[Row]:
    """What of that waits for devices with tags."""
    return [
        (
            one["compute_unit"],
            ", ".join(one["tags"]),
            one["queue_size"],
            _age(one["oldest_wait_s"]),
            _devices(one["queue_size"], able, one["compute_unit"], one["tags"]),
        )
        for one in status["tagged_queues"]
    ]


def single_of(status: dict[str, Any]) -> list[Row]:
    """What waits for one device alone, where something does."""
    return [
        (name, one["device_name"], one["queue_size"], _oldest(status, name))
        for name, one in status["worker_queues"].items()
        if one["queue_size"]
    ]


def _oldest(status: dict[str, Any], place: str) -> str:
    return _age(status["oldest_waits_s"].get(place))


def _age(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _devices(waiting: int, able: Sequence[Worker], unit: str, tags: Sequence[str] = ()) -> Cell:
    """How many could take it; in red where something waits in vain."""
    number = sum(unit in worker.capabilities and set(tags) <= set(worker.tags) for worker in able)
    return Cell(str(number), "red" if waiting and not number else "")
