"""The command `benchfleet`: one module per group of commands, imported only when it is used."""

from __future__ import annotations

import importlib
import io
import sys
from typing import Final

import click
from click.shell_completion import CompletionItem

import daemons
from daemons.cli.groups import GuessingGroup

PROGRAM: Final = "benchfleet"
COMPLETE_VARIABLE: Final = "_BENCHFLEET_COMPLETE"
"""What the shell sets when it asks for completions."""

AFTER_THE_COMMAND: Final = ("--url", "--token-file", "--json")

COMMANDS: Final = {
    "bench": ("daemons.cli.bench:bench", "Measure or compare models on this machine, with no server."),
    "campaigns": ("daemons.cli.campaigns:campaigns", "List, show or delete campaigns."),
    "cancel": ("daemons.cli.stopping:cancel", "Cancel campaigns or jobs."),
    "check-config": ("daemons.cli.check_config:check_config", "Find every mistake in configuration files."),
    "completion": ("daemons.cli.completion:completion", "Print what makes your shell complete commands."),
    "demo": ("daemons.cli.demo:demo", "Benchmark two real networks here and now, start to end."),
    "drain": ("daemons.cli.draining:drain", "Let devices take no more jobs."),
    "events": ("daemons.cli.events:events", "Show what happens in the fleet, as it happens."),
    "info": ("daemons.cli.info:info", "Show this device as it would register."),
    "jobs": ("daemons.cli.jobs:jobs", "List or show jobs."),
    "models": ("daemons.cli.models:models", "List, upload, download or delete kept models."),
    "orchestrator": ("daemons.cli.programs:orchestrator", "Run the orchestrator daemon."),
    "queue": ("daemons.cli.queues:queue", "Show what waits for which devices."),
    "results": ("daemons.cli.results:results", "Show or save the results of campaigns."),
    "retry": ("daemons.cli.stopping:retry", "Open what has failed again."),
    "submit": ("daemons.cli.submit:submit", "Benchmark a model on the fleet."),
    "undrain": ("daemons.cli.draining:undrain", "Let devices take jobs again."),
    "tui": ("daemons.cli.tui:tui", "Show the fleet in the terminal, live."),
    "up": ("daemons.cli.up:up", "Run orchestrator, database and workers on this machine."),
    "watch": ("daemons.cli.watch:watch", "Follow a campaign until it has ended."),
    "worker": ("daemons.cli.programs:worker", "Run the worker daemon of this device."),
    "workers": ("daemons.cli.workers:workers", "List, show, check, reset or remove devices."),
}
"""Command → where it is, and what it does in one line. Nothing is imported before it is asked for."""


class LazyGroup(GuessingGroup):
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from what is known without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options, from what is known without importing them."""
        found = [CompletionItem(name, help=COMMANDS[name][1]) for name in self.list_commands(ctx)]
        return [item for item in found if item.value.startswith(incomplete)] + click.Command.shell_complete(
            self, ctx, incomplete
        )


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  benchfleet demo\n  benchfleet up --workers 1\n  benchfleet bench model.onnx --runs 100\n"
    "  benchfleet submit model.onnx --wait",
)
@click.version_option(daemons.__version__, prog_name=PROGRAM)
def cli() -> None:
    """Benchmark machine-learning models on a fleet of real devices, with figures that can be believed.

    What asks an orchestrator asks the one at $BENCHFLEET_URL (http://127.0.0.1:5000), with the token in
    $BENCHFLEET_TOKEN_FILE; --url and --token-file outrank them.
    """


def _run() -> int:
    try:
        status = cli.main(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        click.echo(f"benchfleet: {_sentence(error)}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status if isinstance(status, int) else 0


def _sentence(error: click.UsageError) -> str:
    """What was used wrongly, and what is meant or where it stands how it is used right."""
    text = _of_option(error) if isinstance(error, click.NoSuchOption) else " ".join(error.format_message().split())
    text = text[:1].lower() + text[1:].rstrip(".")
    return text if error.ctx is None or text.endswith("?") else f"{text}; see '{error.ctx.command_path} --help'"


def _of_option(error: click.NoSuchOption) -> str:
    """Why there is no such option, and which may be meant."""
    if error.ctx is not None and error.ctx.parent is None and error.option_name in AFTER_THE_COMMAND:
        return f"{error.option_name} stands after the command, such as in 'benchfleet queue {error.option_name} …'"
    close = sorted(error.possibilities or ())
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"there is no option {error.option_name}{hint}"


def main() -> None:
    """The program's entry: every error has become a sentence and an exit status when this ends."""
    for stream in (sys.stdout, sys.stderr):  # what the locale can't spell is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        status = _run()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the outermost edge of the program)
        status = _end_with(error)
    sys.exit(status)


def _end_with(caught: BaseException) -> int:
    """The exit status of an error, which is told on stderr."""
    from daemons.runtime import boot  # noqa: PLC0415 (it brings what `--help` doesn't need)

    def again() -> int:
        raise caught

    return boot.call(again)
