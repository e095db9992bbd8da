"""The command `benchfleet`: one module per group of commands, imported only when it is used."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Final

import click

import daemons
from daemons.runtime import boot

COMMANDS: Final = {
    "bench": ("daemons.cli.bench:bench", "Measure or compare models on this machine, with no server."),
    "check-config": ("daemons.cli.check_config:check_config", "Find every mistake in configuration files."),
    "demo": ("daemons.cli.demo:demo", "Benchmark two real networks here and now, start to end."),
    "info": ("daemons.cli.info:info", "Show this device as it would register."),
    "orchestrator": ("daemons.cli.programs:orchestrator", "Run the orchestrator daemon."),
    "up": ("daemons.cli.up:up", "Run orchestrator, database and workers on this machine."),
    "worker": ("daemons.cli.programs:worker", "Run the worker daemon of this device."),
}
"""Command → where it is, and what it does in one line. Nothing is imported before it is asked for."""


class LazyGroup(click.Group):
    """A group whose commands are imported by name, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """All commands, by name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 (the table above is wrong otherwise)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, or a usage error that guesses which was meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(self.list_commands(ctx))}"
            raise click.UsageError(f"there is no command '{args[0]}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from what is known without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  benchfleet demo\n  benchfleet up --workers 1\n  benchfleet bench model.onnx --runs 100",
)
@click.version_option(daemons.__version__, prog_name="benchfleet")
def cli() -> None:
    """Benchmark machine-learning models on a fleet of real devices, with figures that can be believed."""


def _run() -> int:
    try:
        status = cli.main(standalone_mode=False)
    except click.Abort:
        return boot.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status if isinstance(status, int) else boot.DONE


def main() -> None:
    """The program's entry: every error has become a sentence and an exit status when this ends."""
    sys.exit(boot.call(_run))
