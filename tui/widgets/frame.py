"""What stands around every screen: the line above, the tabs, what was said last, the filter, the keys below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label, Static

from tui.actions import BY_NAME, Action, keys_of, shown_key
from tui.board.cells import Cell, plain
from tui.board.headline import headline
from tui.widgets.line import Line

if TYPE_CHECKING:
    from tui.desk import Desk

TABS = (
    ("overview", "Overview"),
    ("workers", "Workers"),
    ("campaigns", "Campaigns"),
    ("queues", "Queues"),
    ("events", "Events"),
)


class HeaderLine(Line):
    """Which orchestrator, how the link fares, devices and jobs by status, jobs per minute."""

    def show_desk(self, desk: Desk) -> None:
        """What is so now."""
        width = max(20, self.app.size.width - 2)
        self.show(headline(plain(desk.host), desk.link_state(), desk.board, desk.now_s, width))


class TabsLine(Line):
    """The five screens, and where one is."""

    def show_place(self, mode: str, crumbs: Sequence[str], keymap: Mapping[str, str], width: int) -> None:
        """The tabs as far as they fit, and the way from them to here."""
        tabs = [
            Cell(f"{shown_key(keys_of(BY_NAME[name], keymap)[0])} {title}", "here" if name == mode else "")
            for name, title in TABS
        ]
        here = [Cell(f"› {plain(crumb)}", "title") for crumb in crumbs]  # noqa: RUF001
        if sum(len(cell.text) + 2 for cell in (*tabs, *here)) > width:
            tabs = [cell for cell in tabs if cell.tone == "here"]
        self.show([*tabs, *here])


class Notice(Static):
    """What the last action has brought: a sentence, until the next key that does something."""

    def say(self, sentence: str, *, is_bad: bool) -> None:
        """Show this."""
        self.update(plain(sentence))
        self.set_class(is_bad, "-bad")
        self.set_class(not is_bad, "-good")
        self.add_class("-shown")

    def clear(self) -> None:
        """Show nothing."""
        self.remove_class("-shown")


class FooterLine(Line):
    """The keys that work here and now."""

    def __init__(self) -> None:
        super().__init__(gap=" ")

    def show_actions(self, actions: Iterable[Action], keymap: Mapping[str, str], width: int) -> None:
        """As many as fit; help and quit always."""
        parts: list[tuple[Cell, Cell]] = []
        for action in actions:
            if action.word:
                key = shown_key(keys_of(action, keymap)[0])
                parts.append((Cell(key, "key"), Cell(f"{action.word} ")))
        always = parts[-2:]
        room = width - 2 - sum(_length(pair) for pair in always)
        shown: list[tuple[Cell, Cell]] = []
        for pair in parts[:-2]:
            if _length(pair) > room:
                break
            shown.append(pair)
            room -= _length(pair)
        self.show([cell for pair in (*shown, *always) for cell in pair])


def _length(pair: tuple[Cell, Cell]) -> int:
    return len(pair[0].text) + len(pair[1].text) + 3


class FilterBar(Horizontal):
    """Where a filter is written. It works while it is written; enter keeps it, esc clears it."""

    class Changed(Message):
        """The filter is another one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """Nothing more is written."""

    def compose(self) -> ComposeResult:
        """A sign and an input."""
        yield Label("/")
        yield Input(placeholder="words  !word  column:word")

    @property
    def input(self) -> Input:
        """Where it is written."""
        return self.query_one(Input)

    @property
    def text(self) -> str:
        """The filter."""
        return self.input.value

    def open(self) -> None:
        """Begin to write."""
        self.add_class("-shown")
        self.input.focus()

    def close(self) -> None:
        """End writing; what was written stays."""
        self.set_class(bool(self.text), "-shown")
        self.post_message(self.Closed())

    def clear(self) -> None:
        """No filter any more."""
        self.input.value = ""
        self.close()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another text."""
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep it."""
        event.stop()
        self.close()

    def on_key(self, event: Any) -> None:
        """Down and up go back to the rows."""
        if event.key in ("down", "up"):
            event.stop()
            self.close()
