"""`benchfleet completion`: what makes a shell complete commands, options and names."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from daemons.cli import COMPLETE_VARIABLE, PROGRAM, cli
from daemons.cli.asking import HELP, examples

INSTALLING: Final = {
    "bash": "echo 'eval \"$(benchfleet completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(benchfleet completion zsh)\"' >> ~/.zshrc    # below compinit",
    "fish": "benchfleet completion fish > ~/.config/fish/completions/benchfleet.fish",
}
_HOW: Final = "\n".join(["\b", "To install:", *(f"  {shell:<5} {how}" for shell, how in INSTALLING.items()), "", ""])


@click.command(
    context_settings=HELP,
    epilog=_HOW + examples("completion bash", "completion zsh", "completion fish > benchfleet.fish"),
)
@click.argument("shell", type=click.Choice(list(INSTALLING)))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, and the names that your orchestrator knows.

    Installed once for all times: the script asks benchfleet whenever you press the tab key.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 (click knows all of the choices)
    click.echo(f"# To install: {INSTALLING[shell]}")
    click.echo(kind(cli, {}, PROGRAM, COMPLETE_VARIABLE).source())
