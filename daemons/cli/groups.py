"""Groups of commands: a mistyped name is guessed, and a group without a word lists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem

LIST: Final = "list"


class GuessingGroup(click.Group):
    """A group that says which command was meant when there is none of that name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, or a usage error that guesses which was meant."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(self.why_not(ctx, args), ctx)
        return super().resolve_command(ctx, args)

    def why_not(self, ctx: click.Context, args: Sequence[str]) -> str:
        """Why the first argument is no command, and what may be meant."""
        return f"there is no command '{args[0]}'; {guess(args[0], self.list_commands(ctx))}"


class ListGroup(GuessingGroup):
    """Commands about one kind of thing. Without a word, or with options alone, the things are listed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Arguments that begin with no command are those of the list."""
        is_for_list = args[0].startswith("-") if args else not ctx.resilient_parsing
        if is_for_list and not (args and args[0] in ctx.help_option_names):
            args = [LIST, *args]
        return super().parse_args(ctx, args)

    def why_not(self, ctx: click.Context, args: Sequence[str]) -> str:
        """As in any group; an identifier where a command stands means: show it."""
        if "-" in args[0] and any(letter.isdigit() for letter in args[0]) and "show" in self.commands:
            return f"there is no command '{args[0]}'; did you mean '{ctx.command_path} show {args[0]}'?"
        return super().why_not(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, and after a dash the options of the list."""
        if incomplete.startswith("-"):
            listing = self.commands[LIST]
            return listing.shell_complete(click.Context(listing, ctx, resilient_parsing=True), incomplete)
        return super().shell_complete(ctx, incomplete)


def guess(typed: str, known: Iterable[str]) -> str:
    """Which of the known names may be meant, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(typed, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names)}"
