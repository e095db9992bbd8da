"""The same done to each of several things: what became of each is told, and one that fails doesn't stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from daemons.cli.asking import print_json
from daemons.core.errors import BenchfleetError, Unavailable
from daemons.runtime import boot
from daemons.runtime.logs import escape

Document = dict[str, Any]


async def each_of(names: Sequence[str], do: Callable[[str], Awaitable[Document]], *, as_json: bool) -> int:
    """Do it to each, and tell what the server says; the exit status of the worst.

    The document holds the ``answers``, in their order, of those with which it went well.
    """
    answers: list[Document] = []
    status = boot.DONE
    for name in names:
        try:
            answer = await do(name)
        except Unavailable:
            raise
        except BenchfleetError as error:
            status = max(status, boot.USED_WRONGLY)
            click.echo(f"benchfleet: {escape(str(error))}", err=True)
            continue
        answers.append(answer)
        if not as_json:
            click.echo(f"{name}: {escape(said(answer))}")
    if as_json:
        print_json({"count": len(answers), "answers": answers})
    return status


def said(answer: Document) -> str:
    """What an answer says for people."""
    if "message" in answer:
        return str(answer["message"])
    return "it is told to stop" if answer.get("stopping") else f"it is {answer['status']}"
