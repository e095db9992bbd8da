"""The two daemons, as commands: `benchfleet orchestrator` and `benchfleet worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct, structs

from daemons.cli.asking import HELP
from daemons.core.settings import LogSettings, OrchestratorSettings, WorkerSettings, section_keys
from daemons.runtime import boot
from daemons.runtime.config import load_settings
from daemons.runtime.logs import set_up_logs

CONFIG_HELP = "YAML file. Without it: $BENCHFLEET_CONFIG, ~/.config/benchfleet/, /etc/benchfleet/, or all defaults."


S = TypeVar("S", bound=Struct)


def _replaced(section: S, **given: Any) -> S:
    """The section with the options that were given on the command line."""
    return structs.replace(section, **{key: value for key, value in given.items() if value is not None})


def _keys() -> frozenset[str]:
    from tui.settings import TuiSettings  # noqa: PLC0415 (its keys alone are wanted, when a daemon starts)

    return section_keys(OrchestratorSettings, WorkerSettings, TuiSettings)


def _set_up_logs(settings: LogSettings) -> None:
    set_up_logs(settings.level, settings.format)


@click.command(
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet orchestrator\n"
    "  benchfleet orchestrator --config /etc/benchfleet/orchestrator.yaml",
)
@click.option("--config", type=click.Path(path_type=Path), help=CONFIG_HELP)
@click.option("--host", help="Address to listen on. Any other than loopback needs tokens.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--data-dir", help="Folder of the embedded database and, below it, of the results.")
@click.option("--outputs-dir", help="Folder of the CSV files. Default: outputs below the data folder.")
def orchestrator(
    config: Path | None, host: str | None, port: int | None, data_dir: str | None, outputs_dir: str | None
) -> int:
    """Run the orchestrator: the REST API and the duties that keep the fleet's promises."""
    from daemons.orchestrator.daemon import run  # noqa: PLC0415 (the command line must not load the server)

    settings = load_settings(OrchestratorSettings, "orchestrator", config, known_keys=_keys())
    settings = structs.replace(
        settings,
        http=_replaced(settings.http, host=host, port=port),
        storage=_replaced(settings.storage, data_dir=data_dir, outputs_dir=outputs_dir),
    )
    _set_up_logs(settings.log)
    return boot.run(lambda: run(settings))


@click.command(
    context_settings=HELP,
    epilog="\b\nExamples:\n  benchfleet worker --url http://lab-server:5000 --token-file ~/.config/benchfleet/token\n"
    "  benchfleet worker --config /etc/benchfleet/worker.yaml",
)
@click.option("--config", type=click.Path(path_type=Path), help=CONFIG_HELP)
@click.option("--url", help="The orchestrator's address, without /api.")
@click.option("--token-file", help="File that holds this worker's token.")
@click.option("--name", help="What people call this device. Default: its host name.")
@click.option("--state-dir", help="Folder of the device's identity, undelivered results and cached models.")
@click.option("--identity-salt", default="", hidden=True, help="Makes one machine several devices, for development.")
def worker(
    config: Path | None,
    url: str | None,
    token_file: str | None,
    name: str | None,
    state_dir: str | None,
    identity_salt: str,
) -> int:
    """Run a worker: this device takes jobs, measures them, and reports."""
    from daemons.worker.daemon import run  # noqa: PLC0415 (the command line must not load the worker)

    settings = load_settings(WorkerSettings, "worker", config, known_keys=_keys())
    settings = structs.replace(
        settings,
        orchestrator=_replaced(settings.orchestrator, url=url, token_file=token_file),
        device=_replaced(settings.device, name=name),
        storage=_replaced(settings.storage, state_dir=state_dir),
    )
    _set_up_logs(settings.log)
    return boot.run(lambda: run(settings, salt=identity_salt))
