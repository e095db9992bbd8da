"""Asks before anything is destroyed, and names what will be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.board.cells import Cell, plain
from tui.widgets.line import Line


class ConfirmScreen(ModalScreen[bool]):
    """A question with yes and no; anything else than `y` is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q,enter", "answer(False)", "no"),
    ]

    def __init__(self, question: str, consequences: Sequence[str]) -> None:
        super().__init__()
        self._question = question
        self._consequences = [plain(one) for one in consequences]

    def compose(self) -> ComposeResult:
        """The question, what it would do, and the two answers."""
        with Vertical(id="box"):
            yield Static(plain(self._question), markup=False, id="question")
            yield Static("\n".join(f"• {one}" for one in self._consequences), markup=False, id="consequences")
            yield Line([Cell("y", "key"), Cell("yes, do it"), Cell("n", "key"), Cell("no, leave it")], id="keys")

    def action_answer(self, answer: bool) -> None:
        """Yes or no."""
        self.dismiss(answer)
