"""The dashboard: one program, whose screens show one board."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from textual import events
from textual.app import App, SystemCommand
from textual.screen import Screen

from tui.actions import ACTIONS, BY_NAME, EVERYWHERE, keys_of, shown_key
from tui.bindings import bindings_of, keymap_of
from tui.desk import Desk
from tui.forms.draft import Draft
from tui.screens.base import BoardChanged, BoardScreen
from tui.screens.campaigns import CampaignsScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.events import EventsScreen
from tui.screens.help import HelpScreen
from tui.screens.new_campaign import NewCampaignScreen
from tui.screens.overview import OverviewScreen
from tui.screens.queues import QueuesScreen
from tui.screens.workers import WorkersScreen
from tui.settings import Preferences
from tui.styles import CSS as STYLES

PAINT_EVERY_S: Final = 0.1
"""However much happens, it is painted no more often."""
TICK_EVERY_S: Final = 1.0
"""Ages rise also while nothing happens."""
SWITCH_HIDDEN_S: Final = 0.001
"""A kept screen has its layout within one turn of the loop; nothing half done is seen before."""

Service = Callable[[], Awaitable[None]]


class Dashboard(App[int]):
    """Shows what is on the desk, and lets its services put things there."""

    TITLE = "benchfleet"
    CSS = STYLES
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS = bindings_of(EVERYWHERE)
    DEFAULT_MODE: ClassVar[str] = "overview"
    MODES: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {  # type: ignore[assignment]
        "overview": OverviewScreen,
        "workers": WorkersScreen,
        "campaigns": CampaignsScreen,
        "queues": QueuesScreen,
        "events": EventsScreen,
    }

    def __init__(self, desk: Desk, services: Iterable[Service] = (), preferences: Preferences | None = None) -> None:
        """`services` run for as long as the program does: what follows the fleet, or replays it."""
        # Without colours Textual would still draw shades of grey; a terminal's own colours are then filtered to none.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.desk = desk
        self.preferences = preferences or Preferences()
        self._services = list(services)
        self._input_at = time.monotonic()
        self.form: NewCampaignScreen | None = None
        """The form of a new campaign, while there is one."""
        self.draft: Draft | None = None
        """What was written in the form that was left last, and not submitted."""
        self.set_keymap(keymap_of(self.preferences.keymap))

    @property
    def keymap(self) -> Mapping[str, str]:
        """Action → its keys, for those that a person has changed."""
        return self.preferences.keymap

    def serve(self, service: Service) -> None:
        """Run this, too, once the program runs."""
        self._services.append(service)

    def on_mount(self) -> None:
        """Paint first; what is to be known comes meanwhile."""
        self.theme = self.preferences.theme
        self.set_interval(PAINT_EVERY_S, self._paint)
        self.set_interval(TICK_EVERY_S, self._tick)
        self.call_after_refresh(self._start)

    async def on_event(self, event: events.Event) -> None:
        """Remember when a key was pressed last."""
        if isinstance(event, events.InputEvent):
            self._input_at = time.monotonic()
        await super().on_event(event)

    def idle_s(self) -> float:
        """How long ago a person has done something."""
        return time.monotonic() - self._input_at

    def _start(self) -> None:
        for number, service in enumerate(self._services):
            self.run_worker(service(), group=f"service {number}", exit_on_error=True)

    def _tick(self) -> None:
        self.desk.is_dirty = True

    def _paint(self) -> None:
        if self.desk.is_dirty and isinstance(self.screen, BoardScreen):
            self.desk.is_dirty = False
            self.screen.post_message(BoardChanged())

    def delay_update(self, delay: float = SWITCH_HIDDEN_S) -> None:
        """Hide a switch of screens for a moment: Textual's own 50 ms is all the time that a key may take."""
        super().delay_update(min(delay, SWITCH_HIDDEN_S))

    def _go(self, mode: str) -> None:
        while len(self.screen_stack) > 1 and not isinstance(self.screen, BoardScreen):
            self.pop_screen()
        self.switch_mode(mode)

    def action_overview(self) -> None:
        """1."""
        self._go("overview")

    def action_workers(self) -> None:
        """2."""
        self._go("workers")

    def action_campaigns(self) -> None:
        """3."""
        self._go("campaigns")

    def action_queues(self) -> None:
        """4."""
        self._go("queues")

    def action_events(self) -> None:
        """5."""
        self._go("events")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What changes the fleet is not there where nothing may be changed."""
        known = BY_NAME.get(action)
        if known is not None and known.changes and not self.desk.can_change:
            return False
        return super().check_action(action, parameters)

    def action_new_campaign(self) -> None:
        """The form of a new campaign: as it was left, if it was not submitted."""
        self.fill_in(None, ())

    def fill_in(self, draft: Draft | None, remarks: Sequence[str]) -> None:
        """Show the form: with this in it, or as it was left. There is one at a time."""
        if self.form is None:
            self.push_screen(NewCampaignScreen(draft or self.draft or Draft(), remarks))
            return
        self._go(self.form.mode)
        if draft is not None:
            self.form.say("a campaign is being filled in here already; submit it or leave it first", is_bad=True)

    def action_help(self) -> None:
        """Every key."""
        here = self.screen.CONTEXTS if isinstance(self.screen, BoardScreen) else ()
        self.push_screen(HelpScreen(here, self.keymap, can_change=self.desk.can_change))

    async def action_back(self) -> None:
        """Out of what was opened last: a filter, then a screen."""
        go_back = getattr(self.screen, "go_back", None)
        if go_back is not None and go_back():
            return
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_palette(self) -> None:
        """Search for what can be done."""
        self.action_command_palette()

    async def action_quit(self) -> None:
        """End. What is under way is cancelled, after having asked; the fleet doesn't notice."""
        question = self.form.before_quitting() if self.form is not None else None
        if question is None:
            self.exit(0)
        else:
            self.push_screen(ConfirmScreen(*question), lambda yes: self.exit(0) if yes else None)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: what can be done on this screen, by its name in the registry."""
        working = screen.working_actions() if isinstance(screen, BoardScreen) else []
        for action in ACTIONS:
            if action in working and action.in_palette:
                key = shown_key(keys_of(action, self.keymap)[0])
                yield SystemCommand(action.sentence, f"key {key}", self._runner(screen, action.name))
        yield SystemCommand("Change the theme", "colours, until the end of this run", self.action_change_theme)

    def _runner(self, screen: Screen[Any], name: str) -> Callable[[], Awaitable[Any]]:
        async def run() -> None:
            await self.run_action(name if EVERYWHERE in BY_NAME[name].contexts else f"screen.{name}", screen)

        return run
