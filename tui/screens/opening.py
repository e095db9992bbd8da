"""From an event to the screen of what it is about."""

from __future__ import annotations

from daemons.core.events import Event
from tui.board.journal import campaign_of, device_of
from tui.screens.base import BoardScreen
from tui.screens.campaign import CampaignScreen
from tui.screens.worker import WorkerScreen


def open_event(screen: BoardScreen, event: Event) -> None:
    """The campaign that it is about, else the device; or say that neither is there any more."""
    board = screen.desk.board
    if event.type != "worker" and campaign_of(event) in board.campaigns:
        screen.app.push_screen(CampaignScreen(campaign_of(event)))
    elif device_of(event) in board.workers:
        screen.app.push_screen(WorkerScreen(device_of(event)))
    else:
        screen.say("what it is about is not there any more", is_bad=True)
