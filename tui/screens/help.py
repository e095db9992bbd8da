"""? : every key, from the registry of actions, with those first that work on the screen below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import CONTEXTS, Action, actions_of, keys_of, shown_key

STATES = (
    "Header: ● live, or how stale what is shown is and when it is tried again. Below: devices and jobs by status, "
    "and jobs per minute over the last ten."
)


class HelpScreen(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "close")]

    def __init__(self, here: Sequence[str], keymap: Mapping[str, str], *, can_change: bool) -> None:
        """`here`: the contexts of the screen below."""
        super().__init__()
        self._order = [*here, *(context for context in CONTEXTS if context not in here)]
        self._keymap = keymap
        self._can_change = can_change

    def compose(self) -> ComposeResult:
        """One list."""
        with VerticalScroll(id="box"):
            yield Static(Text("\n").join(self._lines()), id="text")

    def _lines(self) -> Iterator[Text]:
        yield Text("Keys (esc closes this)", "bold")
        for context in self._order:
            actions = [one for one in actions_of(context) if self._can_change or not one.changes]
            if actions:
                yield Text("")
                yield Text(CONTEXTS[context], "bold underline")
                yield from (self._line(action) for action in actions)
        yield Text("")
        yield Text(STATES)

    def _line(self, action: Action) -> Text:
        keys = " or ".join(shown_key(key) for key in keys_of(action, self._keymap))
        asks = " (asks first)" if action.is_dangerous else ""
        return Text.assemble((f"{keys:<18}", "bold"), f"{action.sentence}{asks}")
