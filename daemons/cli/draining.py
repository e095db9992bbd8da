"""`benchfleet drain` and `benchfleet undrain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option
from daemons.cli.completing import worker_names
from daemons.cli.each import each_of
from daemons.cli.naming import worker_id_of

if TYPE_CHECKING:
    from daemons.client import Client

workers_argument = click.argument("workers", metavar="WORKER...", nargs=-1, required=True, shell_complete=worker_names)
"""Identifiers of workers, or names of devices."""


@click.command(
    context_settings=HELP, epilog=examples("drain worker-0123456789ab", "drain mac-mini-3 --reason 'new battery'")
)
@workers_argument
@click.option("--reason", metavar="TEXT", help="What others are to know about it.")
@json_option
@asks_a_server
def drain(server: Server, workers: tuple[str, ...], *, reason: str | None, as_json: bool) -> int:
    """Let devices take no more jobs; what runs there is finished. A WORKER is an identifier or a device's name."""

    async def work(client: Client) -> int:
        async def one(name: str) -> dict[str, Any]:
            return await client.drain_worker(await worker_id_of(client, name), reason)

        return await each_of(workers, one, as_json=as_json)

    return ask(server, work)


@click.command(context_settings=HELP, epilog=examples("undrain worker-0123456789ab", "undrain mac-mini-3"))
@workers_argument
@json_option
@asks_a_server
def undrain(server: Server, workers: tuple[str, ...], *, as_json: bool) -> int:
    """Let drained devices take jobs again. A WORKER is an identifier or a device's name."""

    async def work(client: Client) -> int:
        async def one(name: str) -> dict[str, Any]:
            return await client.undrain_worker(await worker_id_of(client, name))

        return await each_of(workers, one, as_json=as_json)

    return ask(server, work)
