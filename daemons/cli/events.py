"""`benchfleet events`: what happens in the fleet, as it happens."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, tell
from daemons.cli.completing import campaign_names, worker_names
from daemons.cli.naming import worker_id_of
from daemons.cli.telling import told
from daemons.core.events import Event, EventType, Position, position_of
from daemons.runtime.logs import escape

if TYPE_CHECKING:
    from daemons.client import Client

TYPES = ("worker", "worker_removed", "job", "progress", "campaign", "campaign_removed", "reset")


class PositionText(click.ParamType[Position]):
    """``EPOCH-NUMBER``, as an event of before has it."""

    name = "EPOCH-NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Position:
        """The position, or the sentence that it is none."""
        try:
            return value if isinstance(value, Position) else position_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(
    context_settings=HELP,
    epilog=examples(
        "events",
        "events --type job --type worker",
        "events --campaign campaign-1736432000123456 --json",
        "events --seconds 60 --json > events.jsonl",
    ),
)
@click.option("--type", "types", type=click.Choice(TYPES), multiple=True, help="Those of this type alone; repeatable.")
@click.option(
    "--campaign", "campaign_id", metavar="CAMPAIGN", shell_complete=campaign_names, help="Those of this campaign alone."
)
@click.option("--worker", metavar="WORKER", shell_complete=worker_names, help="Those of this device alone.")
@click.option(
    "--after", type=PositionText(), metavar="EPOCH-NUMBER", help="Go on after the event of this epoch and number (seq)."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many. Default: Ctrl-C ends it.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    metavar="N",
    help="End after so long; 0: when all is told that has happened since --after.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line, each a whole event.")
@asks_a_server
def events(server: Server, *, worker: str | None, count: int | None, as_json: bool, **wanted: Any) -> int:
    """Show what happens in the fleet, one line for each event, until Ctrl-C.

    A connection that breaks is made again and goes on where it ended. Where something was missed nevertheless, a line
    says so.
    """

    async def work(client: Client) -> None:
        worker_id = None if worker is None else await worker_id_of(client, worker)
        left = count
        async with aclosing(client.events(worker_id=worker_id, **wanted)) as coming:
            async for event in coming:
                if not _show(event, as_json=as_json) or left is None:
                    continue
                left -= 1
                if left == 0:
                    return

    return ask(server, work)


def _show(event: Event, *, as_json: bool) -> bool:
    """Show the event; whether it is something that has happened."""
    is_about_the_stream = event.type in (EventType.READY, EventType.RESYNC)
    if event.type == EventType.RESYNC:
        tell(f"benchfleet: some events were missed ({event.state.get('reason', 'no reason is told')})")
    if as_json and event.type != EventType.READY:
        click.echo(msgspec.json.encode(event))
    elif not is_about_the_stream:
        click.echo(escape(_line(event, is_short=sys.stdout.isatty())))
    sys.stdout.flush()
    return not is_about_the_stream


def _line(event: Event, *, is_short: bool) -> str:
    """The event with its time in UTC: without the day and the type where somebody looks on."""
    moment = event.at or ""
    return f"{moment[11:19]}  {told(event)}" if is_short else f"{moment}  {event.type:<16}  {told(event)}"
