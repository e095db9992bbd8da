"""`benchfleet submit`: a model, a file or a campaign file, benchmarked on the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json, tell
from daemons.cli.campaign_file import Prepared, is_file_name, prepare, read_campaign
from daemons.cli.naming import worker_id_of
from daemons.cli.submission import Asked, Named, campaign_of, spelt, told, unique
from daemons.cli.submit_options import submit_options
from daemons.cli.uploading import upload
from daemons.cli.waiting import Manner, follow_to_end
from daemons.cli.watch import timeout_option
from daemons.core.errors import InvalidInput
from daemons.runtime.logs import escape

if TYPE_CHECKING:
    from daemons.client import Client

CAMPAIGN_ENDINGS: Final = (".yaml", ".yml")


class Order(NamedTuple):
    """All that the command line says."""

    model: str
    asked: Asked
    named: Named
    wait: bool
    manner: Manner


@click.command(
    context_settings=HELP,
    epilog=examples(
        "submit model.onnx --wait",
        "submit https://example.org/net.onnx --on 'CPU (ONNX)' --runs 100",
        "submit model:net.onnx --every-device --name nightly --label branch=main",
        "submit model.onnx --worker mac-mini-3 --set threads=4 --set check_outputs=true",
        "submit config/campaigns/smoke.yaml --wait --json > outcome.json",
    ),
)
@submit_options
@timeout_option
@json_option
@asks_a_server
def submit(
    server: Server,
    model: str,
    *,
    name: str | None,
    labels: tuple[tuple[str, str], ...],
    wait: bool,
    timeout_s: float | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Benchmark MODEL on the fleet: make a campaign of it.

    MODEL is a URL, a file (uploaded, unless the orchestrator has it), model:NAME for one that is kept, or a campaign
    file (.yaml), which says by itself where to run and how. A Core ML folder, and an OpenVINO .xml with its .bin, are
    zipped first.

    With --json, one document is printed: the orchestrator's answer, or with --wait what came of it, with campaign_id,
    status, counts and results. Ctrl-C ends the waiting, not the campaign.

    Exit status: 0 accepted, and with --wait every job complete; 1 a job is not complete; 2 refused; 3 the orchestrator
    could not be reached.
    """
    if timeout_s is not None and not wait:
        raise click.UsageError("--timeout is for --wait; add it, or leave --timeout out")
    manner = Manner(as_json=as_json, timeout_s=timeout_s)
    order = Order(model, Asked(**asked), Named(name, labels), wait, manner)
    return ask(server, lambda client: _submit(client, order))


async def _submit(client: Client, order: Order) -> int | None:
    prepared = await _prepared(client, order)
    answer = await client.submit(order.named.onto(await _with_files_kept(client, prepared)))
    if order.manner.as_json and not order.wait:
        print_json(answer)
    elif not order.manner.as_json:
        click.echo("\n".join(map(escape, told(answer))))
    if not order.wait:
        if not order.manner.as_json:
            click.echo(f"`benchfleet watch {answer['campaign_id']}` follows it.")
        return None
    manner = order.manner._replace(estimate_s=answer.get("estimate_s"), is_new=True)
    return await follow_to_end(client, answer["campaign_id"], manner)


async def _prepared(client: Client, order: Order) -> Prepared:
    """The campaign, checked as far as that goes without the orchestrator. InvalidInput names every mistake."""
    if is_campaign_file(order.model):
        if order.asked.says_anything:
            raise InvalidInput(
                f"{order.model} says itself where and how its jobs run: change it there; of the options, --name, "
                "--label, --wait, --timeout and --json go with a campaign file"
            )
        return read_campaign(Path(order.model))
    workers = tuple([await worker_id_of(client, name) for name in order.asked.workers])
    campaign = order.named.onto(campaign_of(order.model, order.asked._replace(workers=workers)))
    prepared, mistakes = prepare(campaign, Path())
    if mistakes:
        sentences = unique([spelt(mistake) for mistake in mistakes])
        raise InvalidInput("; ".join(sentences), mistakes=sentences)
    return prepared


def is_campaign_file(model: str) -> bool:
    """Whether MODEL names a campaign file."""
    return model.lower().endswith(CAMPAIGN_ENDINGS) and is_file_name(model)


async def _with_files_kept(client: Client, prepared: Prepared) -> dict[str, Any]:
    """The campaign, whose files the orchestrator has then."""
    urls: dict[Path, str] = {}
    for file in prepared.files.values():
        if file not in urls:
            sent = await upload(client, file)
            urls[file] = sent.exact_url
            tell(f"{sent.model['name']}: {sent.told}")
    return prepared.with_urls(urls)
