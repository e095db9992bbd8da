"""What a shell may complete an argument with: names that the orchestrator knows, asked for with little patience.

Whatever goes wrong, the shell gets nothing, and nothing is said: somebody is in the middle of a line.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from daemons.cli import COMPLETE_VARIABLE
from daemons.cli.asking import DEFAULT_URL
from daemons.core.urls import KEPT

if TYPE_CHECKING:
    from daemons.client import Client

PATIENCE_S: Final = 1.5
MOST: Final = 100

Names = AsyncIterator[tuple[str, str]]
"""What an argument may be, and what that is."""
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _from_server(ask: Callable[[Client], Names]) -> Completer:
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return asyncio.run(asyncio.wait_for(_found(ctx, ask, incomplete), PATIENCE_S))
        except Exception:  # noqa: BLE001 (see above)
            return []

    return complete


async def _found(ctx: click.Context, ask: Callable[[Client], Names], incomplete: str) -> list[CompletionItem]:
    from daemons.client import Client  # noqa: PLC0415 (only when a shell asks)

    url = ctx.params.get("url") or os.environ.get("BENCHFLEET_URL") or DEFAULT_URL
    token_file = ctx.params.get("token_file") or os.environ.get("BENCHFLEET_TOKEN_FILE")
    async with Client(url, token_file, patience_s=0.0) as client:
        found = {name: what async for name, what in ask(client) if name.startswith(incomplete)}
    return [CompletionItem(_as_typed(name), help=what) for name, what in list(found.items())[:MOST]]


def _as_typed(name: str) -> str:
    """The name as bash must have it in a line; the other shells quote by themselves."""
    if os.environ.get(COMPLETE_VARIABLE) != "bash_complete" or name == shlex.quote(name):
        return name
    last = os.environ.get("COMP_WORDS", "").rpartition("\n")[2]
    if last[:1] in ("'", '"'):
        return name
    # Twice, for the script reads what it gets without `read -r`.
    return "".join(letter if letter.isalnum() or letter in "-._:/@+=" else f"\\\\{letter}" for letter in name)


async def _campaigns(client: Client) -> Names:
    for campaign in (await client.campaigns(limit=MOST))["campaigns"]:
        yield campaign["campaign_id"], f"{campaign['status']}, {campaign['model_url']}"


async def _jobs(client: Client) -> Names:
    for job in (await client.jobs(limit=MOST))["jobs"]:
        yield job["job_id"], f"{job['status']}, {job['compute_unit']}"


async def _campaigns_and_jobs(client: Client) -> Names:
    async for found in _campaigns(client):
        yield found
    async for found in _jobs(client):
        yield found


async def _workers(client: Client) -> Names:
    for worker in (await client.workers(limit=MOST))["workers"]:
        yield worker["worker_id"], f"{worker['device_name']}, {worker['status']}"


async def _units(client: Client) -> Names:
    for worker in (await client.workers(limit=MOST))["workers"]:
        for unit in worker["capabilities"]:
            yield unit, worker["device_name"]


async def _tags(client: Client) -> Names:
    for worker in (await client.workers(limit=MOST))["workers"]:
        for tag in worker.get("tags", ()):
            yield tag, worker["device_name"]


async def _models(client: Client) -> Names:
    for model in (await client.models(limit=MOST))["models"]:
        yield model["name"], f"{model['size_bytes']:,} bytes"


campaign_names: Final = _from_server(_campaigns)
job_names: Final = _from_server(_jobs)
campaign_and_job_names: Final = _from_server(_campaigns_and_jobs)
worker_names: Final = _from_server(_workers)
unit_names: Final = _from_server(_units)
tag_names: Final = _from_server(_tags)
model_names: Final = _from_server(_models)


def submittable(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What can be submitted: a model that the orchestrator keeps, if it begins so, else a file."""
    if incomplete and (KEPT.startswith(incomplete) or incomplete.startswith(KEPT)):
        kept = model_names(ctx, param, incomplete.removeprefix(KEPT) if incomplete.startswith(KEPT) else "")
        return [CompletionItem(f"{KEPT}{item.value}", help=item.help) for item in kept]
    return [CompletionItem(incomplete, type="file")]
