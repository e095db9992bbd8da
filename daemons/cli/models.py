"""`benchfleet models`: kept by the orchestrator, uploaded, downloaded, deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemons.cli.asking import HELP, Server, ask, asks_a_server, examples, json_option, print_json, tell
from daemons.cli.completing import model_names
from daemons.cli.each import each_of
from daemons.cli.groups import ListGroup
from daemons.cli.listing import Column, print_listing
from daemons.cli.moments import seconds_since, span
from daemons.cli.packing import why_no_model
from daemons.cli.pages import collected, limit_option, more_of
from daemons.cli.transfers import showing_transfer, size
from daemons.cli.uploading import upload as send

if TYPE_CHECKING:
    from daemons.client import Client


@click.group(
    cls=ListGroup,
    context_settings=HELP,
    epilog=examples(
        "models",
        "models upload model.onnx",
        "models upload model.onnx --name nightly.onnx",
        "models download nightly.onnx copy.onnx",
        "models delete nightly.onnx",
    ),
)
def models() -> None:
    """Models that the orchestrator keeps: list them (without a command), upload, download, delete.

    A campaign names one as model:NAME.
    """


@models.command("list", context_settings=HELP, epilog=examples("models list --json"))
@limit_option
@json_option
@asks_a_server
def list_(server: Server, *, limit: int, as_json: bool) -> int:
    """List kept models, by name."""

    async def work(client: Client) -> None:
        listing = await collected(client.models, "models", limit)
        if as_json:
            print_json(listing)
            return
        _print_models(listing["models"], datetime.now(UTC))
        click.echo(f"\n{size(listing['used_bytes'])} of {size(listing['limit_bytes'])} are used.")
        if more := more_of(listing):
            tell(more)

    return ask(server, work)


def _print_models(found: list[dict[str, Any]], now: datetime) -> None:
    columns = [
        Column("model", shrinks=True),
        Column("size", is_number=True),
        Column("age", is_number=True),
        Column("versions", is_number=True),
        Column("sha256", shrinks=True),
    ]
    rows = [
        (
            model["name"],
            size(model["size_bytes"]),
            span(seconds_since(model["uploaded_at"], now)),
            len(model["versions"]),
            model["sha256"],
        )
        for model in found
    ]
    print_listing(columns, rows, "No models are kept; `benchfleet models upload FILE` keeps one.")


@models.command("upload", context_settings=HELP, epilog=examples("models upload model.onnx --name nightly.onnx"))
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True))
@click.option("--name", metavar="NAME", help="What it is called there. Default: the file's name.")
@json_option
@asks_a_server
def upload(server: Server, path: Path, *, name: str | None, as_json: bool) -> int:
    """Upload a model. What the orchestrator has already is not sent; what breaks off goes on where it ended.

    A Core ML folder, and an OpenVINO .xml with its .bin, are zipped first.
    """
    if problem := why_no_model(path):
        raise click.UsageError(problem)

    async def work(client: Client) -> None:
        sent = await send(client, path, name)
        if as_json:
            print_json(sent.model)
        else:
            click.echo(f"{sent.model['name']}: {sent.told}; submit it as {sent.model['model_url']}")

    return ask(server, work)


@models.command(
    "download",
    context_settings=HELP,
    epilog=examples("models download model.onnx", "models download model.onnx x.onnx"),
)
@click.argument("name", metavar="NAME", shell_complete=model_names)
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
@asks_a_server
def download(server: Server, name: str, path: Path | None, *, as_json: bool) -> int:
    """Download a model into FILE, by default one of its own name here. A file that is there is replaced."""
    target = path or Path(name)

    async def work(client: Client) -> None:
        with showing_transfer(name) as on_progress:
            await client.download_model(name, target, on_progress)
        count = target.stat().st_size
        if as_json:
            print_json({"name": name, "path": str(target), "size_bytes": count})
        else:
            click.echo(f"{target}: {size(count)}")

    return ask(server, work)


@models.command("delete", context_settings=HELP, epilog=examples("models delete nightly.onnx"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=model_names)
@json_option
@asks_a_server
def delete(server: Server, names: tuple[str, ...], *, as_json: bool) -> int:
    """Delete models by name. What an unfinished campaign needs stays."""

    async def work(client: Client) -> int:
        return await each_of(names, client.delete_model, as_json=as_json)

    return ask(server, work)
