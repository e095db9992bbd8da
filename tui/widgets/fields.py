"""What a form is made of: choices, ticks, things to press, and the line around each that says what is wrong there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Label, Static

from tui.board.cells import plain


class Edited(Message):
    """A person has changed what stands in a field."""


class Choice(Widget, can_focus=True):
    """One of several, on one line."""

    HINT = "← → choose"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "turn(1)", "choose the next", show=False),
        Binding("left,h", "turn(-1)", "choose the one before", show=False),
    ]

    def __init__(self, choices: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:  # noqa: A002
        """`choices` are values and the words for them."""
        super().__init__(id=id)
        self._choices = list(choices)
        self._value = value if value in dict(choices) else self._choices[0][0]

    @property
    def value(self) -> str:
        """What is chosen."""
        return self._value

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self.refresh()

    def action_turn(self, step: int) -> None:
        """Choose another one."""
        values = [value for value, _ in self._choices]
        self.value = values[(values.index(self._value) + step) % len(values)]
        self.post_message(Edited())

    def render(self) -> RenderResult:
        """All of them, the chosen one in brackets."""
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for value, word in self._choices:
            is_chosen = value == self._value
            text.append(f"[{word}]" if is_chosen else f" {word} ", "bold" if is_chosen else "")
            text.append(" ")
        return text


class Tick(NamedTuple):
    """Something that can be ticked."""

    key: str
    about: str


class Ticks(Widget, can_focus=True):
    """Any of several, one a line."""

    HINT = "space ticks, ↑ ↓ move"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "tick", "tick", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("up,k", "move(-1)", "up", show=False),
    ]

    def __init__(self, ticked: Collection[str] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._entries: list[Tick] = []
        self._ticked = list(ticked)
        self._at = 0

    @property
    def value(self) -> tuple[str, ...]:
        """What is ticked, in the order of ticking."""
        return tuple(self._ticked)

    def offer(self, entries: Sequence[Tick]) -> None:
        """These can be ticked. What stands there already keeps its place, and the cursor its entry."""
        found = {one.key: one for one in entries}
        kept = [found.pop(one.key) for one in self._entries if one.key in found]
        entries = [*kept, *found.values()]
        if entries != self._entries:
            is_longer = len(entries) != len(self._entries)
            self._entries = entries
            self._at = min(self._at, max(0, len(entries) - 1))
            self.refresh(layout=is_longer)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """One line for each."""
        return max(1, len(self._entries))

    def action_tick(self) -> None:
        """Tick, or no longer."""
        if self._entries:
            key = self._entries[self._at].key
            if key in self._ticked:
                self._ticked.remove(key)
            else:
                self._ticked.append(key)
            self.refresh()
            self.post_message(Edited())

    def action_move(self, step: int) -> None:
        """To the next entry, and beyond the last to the next field."""
        at = self._at + step
        if 0 <= at < len(self._entries):
            self._at = at
            self.refresh()
            self._show_cursor()
        elif step > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def on_focus(self) -> None:
        """The cursor is seen only here."""
        self.refresh()
        self._show_cursor()

    def on_blur(self) -> None:
        """The cursor is seen no longer."""
        self.refresh()

    def _show_cursor(self) -> None:
        """Have the entry in sight, also where the terminal is lower than the list."""
        region = Region(0, self._at, max(1, self.size.width), 1)
        self.call_after_refresh(self._bring, region)

    def _bring(self, region: Region) -> None:
        for ancestor in self.ancestors:
            if isinstance(ancestor, VerticalScroll):
                place = self.region.offset - ancestor.content_region.offset + ancestor.scroll_offset
                ancestor.scroll_to_region(region.translate(place), animate=False)
                return

    def render(self) -> RenderResult:
        """A box and a word for each."""
        width = max((len(plain(one.key)) for one in self._entries), default=0)
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for place, one in enumerate(self._entries):
            is_here = self.has_focus and place == self._at
            box = "[x]" if one.key in self._ticked else "[ ]"
            text.append("\n" if place else "")
            text.append(f"{'❯' if is_here else ' '}{box} {plain(one.key):<{width}}", "bold" if is_here else "")  # noqa: RUF001
            text.append(f"  {one.about}", "" if is_here else "dim")
        return text if self._entries else Text("waiting for the orchestrator")


class Press(Static, can_focus=True):
    """A line that does something."""

    HINT = "enter"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", "do it", show=False)]

    class Pressed(Message):
        """A person wants it done."""

        def __init__(self, press: Press) -> None:
            super().__init__()
            self.press = press

        @property
        def control(self) -> Press:
            """What was pressed."""
            return self.press

    def say(self, sentence: str) -> None:
        """What it would do."""
        self.update(Content(f"[ {plain(sentence)} ]"))

    def action_press(self) -> None:
        """Do it."""
        self.post_message(self.Pressed(self))

    def on_click(self, _: events.Click) -> None:
        """The same by mouse."""
        self.action_press()


class Field(Vertical):
    """A field with its name before it and, below, what is wrong with what stands there."""

    def __init__(self, key: str, label: str, widget: Widget, about: str = "") -> None:
        super().__init__(id=f"field-{key}")
        self.key = key
        self.widget = widget
        self.about = about
        """What is told while it is edited."""
        self._label = label
        self._complaint: str | None = None

    def compose(self) -> ComposeResult:
        """Name and field, and the complaint."""
        with Horizontal(classes="row"):
            yield Label(self._label, markup=False, classes="label")
            yield self.widget
        yield Static(classes="why", markup=False)

    def on_descendant_focus(self) -> None:
        """It is edited now, and its name says so."""
        self.add_class("-here")

    def on_descendant_blur(self) -> None:
        """Another one is."""
        self.remove_class("-here")

    def complain(self, sentence: str | None) -> None:
        """Say what is wrong; None: nothing is."""
        if sentence == self._complaint:
            return
        self._complaint = sentence
        why = self.query_one(".why", Static)
        why.update(f"✗ {plain(sentence)}" if sentence else "")
        why.set_class(sentence is not None, "-shown")
