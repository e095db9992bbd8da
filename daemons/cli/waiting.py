"""A campaign followed to its end: bars on a terminal, lines in a pipe, one document for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from daemons.cli.asking import print_json, tell
from daemons.cli.bars import ASCII, UNICODE, Following, summary
from daemons.cli.results import print_results
from daemons.core.errors import BenchfleetError, NotFound, Unavailable
from daemons.core.events import EventType
from daemons.core.lifecycle import CampaignStatus
from daemons.runtime import boot
from daemons.runtime.logs import escape

if TYPE_CHECKING:
    from daemons.client import Client

Document = dict[str, Any]

REPAINT_S: Final = 0.25
MOST_JOBS: Final = 5000
"""The jobs of a larger campaign are counted, and not followed one by one."""
PATIENCE_S: Final = 60.0
"""An orchestrator that is away while a campaign is followed is waited for so long."""


class Manner(NamedTuple):
    """How a campaign is followed."""

    as_json: bool = False
    timeout_s: float | None = None
    estimate_s: float | None = None
    """How long it may take, from history."""
    is_new: bool = False
    """It was submitted just now: what its jobs have done is told, however fast they were."""


async def follow_to_end(client: Client, campaign_id: str, manner: Manner) -> int:
    """Show how far the campaign is until it has ended, then its results: `DONE`, or `FAILED` if any job isn't complete.

    However it is interrupted, the campaign goes on, and that is said.
    """
    if not manner.is_new:
        await client.campaign(campaign_id)  # an orchestrator that never was there is not waited for like one that was
    client = client.with_patience(PATIENCE_S)
    try:
        async with asyncio.timeout(manner.timeout_s):
            campaign = await _followed(client, campaign_id, manner)
    except TimeoutError:
        raise BenchfleetError(
            f"{campaign_id} has not ended within {manner.timeout_s:g} s{_goes_on(campaign_id)}"
        ) from None
    except asyncio.CancelledError:
        tell(f"benchfleet: {campaign_id} is followed no longer{_goes_on(campaign_id)}")
        raise
    except Unavailable as error:
        raise type(error)(f"{error}{_goes_on(campaign_id)}") from error
    return await _conclude(client, campaign, as_json=manner.as_json)


def _goes_on(campaign_id: str) -> str:
    return f"; it goes on, and `benchfleet watch {campaign_id}` follows it again"


async def _followed(client: Client, campaign_id: str, manner: Manner) -> Document:
    """The campaign's document once it has ended."""
    clock = asyncio.get_running_loop().time
    campaign = await client.campaign(campaign_id)
    has_jobs = campaign["total_jobs"] <= MOST_JOBS
    following = Following(campaign, manner.estimate_s, clock(), has_jobs=has_jobs)
    if following.has_ended and not manner.is_new:
        return campaign
    coming = client.campaign_of(campaign_id).follow(with_jobs=has_jobs, patience_s=PATIENCE_S)
    async with _display(following, as_json=manner.as_json) as say, aclosing(coming) as events:
        async for event in events:
            if event.type == EventType.JOB:
                await _learn_name(client, following, event.state["worker_id"])
            if line := following.apply(event, clock()):
                say(line)
    return following.campaign


async def _learn_name(client: Client, following: Following, worker_id: str | None) -> None:
    if worker_id is not None and worker_id not in following.names:
        with suppress(NotFound):
            following.names[worker_id] = (await client.worker(worker_id))["device_name"]
        following.names.setdefault(worker_id, worker_id)


@asynccontextmanager
async def _display(following: Following, *, as_json: bool) -> AsyncIterator[Callable[[str], None]]:
    """Where lines go while bars, if stderr is a terminal, tell how far it is."""
    if not sys.stderr.isatty():
        yield _nowhere if as_json else _to_stdout
        return
    console = Console(stderr=True, highlight=False)
    painting = asyncio.create_task(_paint(console, following))
    try:
        yield _nowhere
    finally:
        painting.cancel()
        await asyncio.wait([painting])


async def _paint(console: Console, following: Following) -> None:
    glyphs = UNICODE if console.encoding.startswith("utf") else ASCII
    clock = asyncio.get_running_loop().time

    def frame() -> Text:
        lines = map(escape, following.frame(clock(), glyphs))
        text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        text.highlight_regex(f"{glyphs.full}+", "green")
        return text

    with Live(frame(), console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(frame(), refresh=True)
            await asyncio.sleep(REPAINT_S)


def _to_stdout(line: str) -> None:
    click.echo(escape(line))
    sys.stdout.flush()


def _nowhere(_line: str) -> None:
    """What the bars tell isn't told twice; a program gets its document in the end."""


async def _conclude(client: Client, campaign: Document, *, as_json: bool) -> int:
    """Print what has come of it."""
    rows = await client.records(campaign["campaign_id"])
    if as_json:
        print_json(outcome_of(campaign, rows))
    else:
        click.echo(escape(summary(campaign)))
        print_results(rows)
    is_well = campaign["status"] == CampaignStatus.COMPLETED and campaign["completed_jobs"] == campaign["total_jobs"]
    return boot.DONE if is_well else boot.FAILED


def outcome_of(campaign: Document, rows: list[Document]) -> Document:
    """All that a script needs of an ended campaign, in one document."""
    return {
        "campaign_id": campaign["campaign_id"],
        "name": campaign.get("name"),
        "labels": campaign.get("labels") or {},
        "status": campaign["status"],
        "total_jobs": campaign["total_jobs"],
        "counts": campaign["job_breakdown"],
        "model_sha256": campaign["model_sha256"],
        "created_at": campaign["created_at"],
        "ended_at": campaign["ended_at"],
        "results": rows,
    }
