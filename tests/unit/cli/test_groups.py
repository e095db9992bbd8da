"""Groups of commands: what is mistyped, what is left out."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from daemons.cli.groups import ListGroup, guess


@click.group(cls=ListGroup, context_settings={"help_option_names": ["-h", "--help"]})
def things():
    """Things."""


@things.command("list")
@click.option("--status")
def _list(status):
    click.echo(f"listed {status}")


@things.command("show")
@click.argument("name")
def _show(name):
    click.echo(f"shown {name}")


def call(*arguments):
    return CliRunner().invoke(things, arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "listed None"),
        (["--status", "x"], "listed x"),
        (["list", "--status", "x"], "listed x"),
        (["show", "it"], "shown it"),
    ],
)
def test_without_a_word_the_things_are_listed(arguments, said):
    assert call(*arguments).output == f"{said}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_the_groups(option):
    assert "Commands:" in call(option).output


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("shwo", "did you mean 'show'?"),
        ("worker-0123456789ab", "did you mean 'things show worker-0123456789ab'?"),
        ("mac-mini-3", "did you mean 'things show mac-mini-3'?"),
        ("xyzzy", "there are list, show"),
    ],
)
def test_what_is_no_command_is_guessed(typed, hint):
    result = call(typed)
    assert result.exit_code == 2
    assert hint in result.output


def test_a_mistyped_option_of_the_list_is_guessed():
    result = call("--sttaus", "x")
    assert result.exit_code == 2
    assert "--status" in result.output


def test_guesses():
    assert guess("shwo", ["list", "show"]) == "did you mean 'show'?"
    assert guess("zzz", ["show", "list"]) == "there are list, show"
