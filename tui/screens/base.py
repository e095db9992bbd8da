"""What every screen has: the frame around it, the desk, orders that say in place how they went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import DescendantFocus
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker

from daemons.core.errors import BenchfleetError
from tui.actions import BY_NAME, EVERYWHERE, ROWS, Action, actions_of
from tui.widgets.frame import FooterLine, HeaderLine, Notice, TabsLine
from tui.widgets.rowtable import RowTable

if TYPE_CHECKING:
    from tui.app import Dashboard
    from tui.desk import Desk

MANY: Final = 1000
"""So many changed rows are put in their places at once."""


class BoardChanged(Message):
    """The board, the link or the time are others than when this screen was painted."""

    def can_replace(self, message: Message) -> bool:
        """However often it was said, it is painted once."""
        return isinstance(message, BoardChanged)


class BoardScreen(Screen[None]):
    """A screen that shows the board. It fetches nothing while it paints.

    Textual calls the handler `on_…` of every class of a screen, the most derived first: none calls its super's.
    """

    CONTEXTS: ClassVar[tuple[str, ...]] = ()
    """Whose actions work here, besides those that work everywhere."""
    MODE: ClassVar[str] = ""
    """The tab that it belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self._late: dict[RowTable[Any], set[str]] = {}
        """Rows of each table that have changed and are not yet where they belong."""
        self._rebuilds: dict[RowTable[Any], Worker[None]] = {}

    @property
    def dashboard(self) -> Dashboard:
        """The program."""
        return cast("Dashboard", self.app)

    @property
    def desk(self) -> Desk:
        """What every screen works with."""
        return self.dashboard.desk

    @property
    def crumbs(self) -> Sequence[str]:
        """The way from the tab to here."""
        return ()

    def compose(self) -> ComposeResult:
        """The frame, and the body in it."""
        yield HeaderLine()
        yield TabsLine()
        with Container(classes="body"):
            yield from self.compose_body()
        yield from self.compose_below()
        yield Notice()
        yield FooterLine()

    def compose_body(self) -> Iterable[Widget]:
        """What the screen is about."""
        return ()

    def compose_below(self) -> Iterable[Widget]:
        """What stands between the body and the footer."""
        return ()

    def show_board(self) -> None:
        """Paint what has changed."""

    def show_frame(self) -> None:
        """Paint the lines around the body."""
        width = self.app.size.width
        self.query_one(HeaderLine).show_desk(self.desk)
        self.query_one(TabsLine).show_place(self.MODE, self.crumbs, self.dashboard.keymap, width)
        self.query_one(FooterLine).show_actions(self.working_actions(), self.dashboard.keymap, width)

    def working_actions(self) -> list[Action]:
        """What can be done here and now."""
        contexts = (*self.CONTEXTS, EVERYWHERE, *((ROWS,) if isinstance(self.focused, RowTable) else ()))
        return [action for action in actions_of(*contexts) if self.check_action(action.name, ())]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What changes the fleet is not there where nothing may be changed."""
        known = BY_NAME.get(action)
        if known is not None and known.changes and not self.desk.can_change:
            return False
        return super().check_action(action, parameters)

    def on_board_changed(self) -> None:
        """Something is new."""
        if self.is_mounted and self.is_current:
            self.show_board()
            self.show_frame()

    def on_descendant_focus(self, event: DescendantFocus) -> None:  # noqa: ARG002 (screens look at it)
        """Other keys work elsewhere."""
        if self.is_mounted and self.is_current:
            self.show_frame()

    def on_screen_resume(self) -> None:
        """Seen again: much may have changed meanwhile."""
        self.call_after_refresh(self.on_board_changed)

    def on_resize(self) -> None:
        """Another size."""
        self.call_after_refresh(self.on_board_changed)

    def say(self, sentence: str, *, is_bad: bool = False) -> None:
        """Tell a person how something went."""
        self.query_one(Notice).say(sentence, is_bad=is_bad)

    def hush(self) -> None:
        """What was said is old."""
        self.query_one(Notice).clear()

    def attempt(self, work: Coroutine[Any, Any, str | None]) -> None:
        """Have something done in the background; what it returns or why it failed is said here."""
        self.hush()
        self.run_worker(self._attempted(work), group="orders", exit_on_error=True)

    async def _attempted(self, work: Coroutine[Any, Any, str | None]) -> None:
        try:
            said = await work
        except (BenchfleetError, OSError) as error:
            self.say(str(error), is_bad=True)
        else:
            if said:
                self.say(said)

    def work(self, job: Callable[[], Coroutine[Any, Any, None]], group: str) -> Worker[None]:
        """Do something in the background; what was begun of the same group before is given up."""
        found: Worker[None] = self.run_worker(cast("Any", job), group=group, exclusive=True, exit_on_error=True)
        return found

    def update_rows(self, table: RowTable[Any], changed: Collection[str]) -> None:
        """Rows with these keys have changed, have come or have gone: drawn now, or in steps where they are many."""
        late = self._late.setdefault(table, set())
        late.update(changed)
        if table in self._rebuilds and not self._rebuilds[table].is_finished:
            return  # what has changed meanwhile is put in its place after that
        if len(late) > MANY:
            self.rebuild(table)
        else:
            table.update(late)
            self._late[table] = set()

    def rebuild(self, table: RowTable[Any]) -> None:
        """Filter or sort a table anew, however many rows it has, without keeping a key waiting."""
        self._late[table] = set()
        self._rebuilds[table] = self.work(partial(self._rebuilt, table), f"rebuild {id(table)}")

    async def _rebuilt(self, table: RowTable[Any]) -> None:
        for _ in table.listing.rebuild():
            await asyncio.sleep(0)
        table.redraw()
        self.desk.is_dirty = True
