"""`benchfleet workers`: listed, shown, checked, reset, removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json, tell
from daemons.cli.completing import tag_names, unit_names, worker_names
from daemons.cli.each import each_of
from daemons.cli.groups import ListGroup
from daemons.cli.listing import Column, print_facts, print_listing, status
from daemons.cli.moments import seconds_since, span
from daemons.cli.naming import worker_id_of
from daemons.cli.pages import collected, limit_option, more_of

if TYPE_CHECKING:
    from daemons.client import Client

Document = dict[str, Any]

STATUSES = ("active", "busy", "cleanup", "faulty", "offline")

workers_argument = click.argument("names", metavar="WORKER...", nargs=-1, required=True, shell_complete=worker_names)


@click.group(
    cls=ListGroup,
    context_settings=HELP,
    epilog=examples(
        "workers",
        "workers --status faulty",
        "workers --on 'CPU (ONNX)' --tag lab-2 --json",
        "workers show mac-mini-3",
        "workers reset worker-0123456789ab",
    ),
)
def workers() -> None:
    """Devices: list them (without a command), or show, check, reset and remove them.

    A WORKER is an identifier, or the name of a device. What is listed can be filtered: see
    `benchfleet workers list --help`.
    """


@workers.command("list", context_settings=HELP, epilog=examples("workers list --status active"))
@click.option("--status", type=click.Choice(STATUSES), help="Those of this status alone.")
@click.option(
    "--on", "compute_unit", metavar="UNIT", shell_complete=unit_names, help="Those with this compute unit alone."
)
@click.option(
    "--tag",
    multiple=True,
    metavar="TAG",
    shell_complete=tag_names,
    help="Those with this tag alone; repeatable, for all of them.",
)
@limit_option
@json_option
@asks_a_server
def list_(server: Server, *, limit: int, as_json: bool, **filters: Any) -> int:
    """List devices, the oldest first."""

    async def work(client: Client) -> None:
        listing = await collected(client.workers, "workers", limit, **filters)
        if as_json:
            print_json(listing)
            return
        _print_workers(listing["workers"], datetime.now(UTC))
        if more := more_of(listing):
            tell(more)

    return ask(server, work)


def _print_workers(found: list[Document], now: datetime) -> None:
    columns = [
        Column("worker"),
        Column("device", shrinks=True),
        Column("status"),
        Column("units", shrinks=True),
        Column("doing", shrinks=True),
        Column("heard", is_number=True),
    ]
    rows = [
        (
            worker["worker_id"],
            worker["device_name"],
            status("drained" if worker["drained"] and worker["status"] == "active" else worker["status"]),
            ", ".join(worker["capabilities"]),
            doing(worker),
            span(seconds_since(worker["last_heartbeat"], now)),
        )
        for worker in found
    ]
    print_listing(columns, rows, "There are no such devices; `benchfleet worker --url URL` on a device makes it one.")


def doing(worker: Document) -> str:
    """What the device does now, in few words."""
    if worker["faulty_reason"]:
        return str(worker["faulty_reason"])
    if not worker["current_job"]:
        return ""
    progress = worker["progress"] or {}
    phase = str(progress.get("phase", "starting"))
    return f"{phase} {progress['done']}/{progress['total']}" if progress.get("total") else phase


@workers.command("show", context_settings=HELP, epilog=examples("workers show mac-mini-3 --json"))
@click.argument("name", metavar="WORKER", shell_complete=worker_names)
@json_option
@asks_a_server
def show(server: Server, name: str, *, as_json: bool) -> int:
    """Show a device: what it is, what it does, how it fares."""

    async def work(client: Client) -> None:
        worker = await client.worker(await worker_id_of(client, name))
        if as_json:
            print_json(worker)
        else:
            print_facts(_facts(worker, datetime.now(UTC)))

    return ask(server, work)


def _facts(worker: Document, now: datetime) -> Document:
    info, health = worker["device_info"], worker["health"]
    return {
        "Worker": worker["worker_id"],
        "Device": worker["device_name"],
        "Status": status(worker["status"]),
        "Faulty because": worker["faulty_reason"],
        "Drained because": worker["drained_reason"],
        "Units": ", ".join(worker["capabilities"]),
        "Tags": ", ".join(worker.get("tags") or ()) or None,
        "SoC": info.get("Soc"),
        "RAM": f"{info['Ram']} GB" if info.get("Ram") else None,
        "System": " ".join(filter(None, (info.get("DeviceOs"), info.get("DeviceOsVersion")))) or None,
        "Engines": ", ".join(f"{name} {version}" for name, version in info.get("Engines", {}).items()) or None,
        "Address": worker["ip_address"] or None,
        "Job": worker["current_job"],
        "Doing": doing(worker) if worker["current_job"] else None,
        "Jobs complete": worker["jobs_complete"],
        "Jobs failed": worker["jobs_failed"],
        "Not delivered": worker["undelivered_results"] or None,
        "Last checkup": _checkup(health),
        "Heard": f"{span(seconds_since(worker['last_heartbeat'], now))} ago",
        "Known since": worker["registered_at"],
    }


def _checkup(health: Document) -> str | None:
    if health["checked_at"] is None:
        return None
    words = {True: "passed", False: "not passed", None: "showed nothing"}[health["passed"]]
    return f"{words}, {health['checked_at']}" + (f": {health['reason']}" if health["reason"] else "")


def _to_each(
    server: Server, names: tuple[str, ...], do: Callable[[Client, str], Awaitable[Document]], *, as_json: bool
) -> int:
    async def work(client: Client) -> int:
        async def one(name: str) -> Document:
            return await do(client, await worker_id_of(client, name))

        return await each_of(names, one, as_json=as_json)

    return ask(server, work)


@workers.command("reset", context_settings=HELP, epilog=examples("workers reset mac-mini-3"))
@workers_argument
@json_option
@asks_a_server
def reset(server: Server, names: tuple[str, ...], *, as_json: bool) -> int:
    """Take faulty devices back into service."""
    return _to_each(server, names, lambda client, worker: client.reset_worker(worker), as_json=as_json)


@workers.command("check", context_settings=HELP, epilog=examples("workers check mac-mini-3"))
@workers_argument
@json_option
@asks_a_server
def check(server: Server, names: tuple[str, ...], *, as_json: bool) -> int:
    """Let devices measure the reference model, before their other jobs."""
    return _to_each(server, names, lambda client, worker: client.check_worker(worker), as_json=as_json)


@workers.command("remove", context_settings=HELP, epilog=examples("workers remove worker-0123456789ab"))
@workers_argument
@click.option("--force", is_flag=True, help="Also those that live. They register again by themselves, as new devices.")
@json_option
@asks_a_server
def remove(server: Server, names: tuple[str, ...], *, force: bool, as_json: bool) -> int:
    """Forget devices that are offline or faulty. Jobs that wait for one of them alone have failed then."""
    return _to_each(server, names, lambda client, worker: client.remove_worker(worker, force=force), as_json=as_json)
