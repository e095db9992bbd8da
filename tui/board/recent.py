"""The newest events that matter, ready to be a table."""

from __future__ import annotations

from daemons.core.events import Event
from tui.board.events import key_of
from tui.board.journal import SEVERITIES, Journal, severity_of


class RecentEvents:
    """The last events that matter, by their numbers as text that sorts."""

    def __init__(self, count: int, least: str) -> None:
        """`count` of them at most, from the severity `least` on."""
        self.shown: dict[str, Event] = {}
        self._count = count
        self._least = SEVERITIES.index(least)
        self._last = 0

    def update(self, journal: Journal) -> set[str]:
        """Take in what is new; the keys that have come and gone."""
        changed: set[str] = set()
        if journal.last < self._last:  # another epoch has begun
            changed |= self.shown.keys()
            self.shown.clear()
            self._last = 0
        for number in journal.numbers_after(self._last):
            event = journal.get(number)
            if event is not None and SEVERITIES.index(severity_of(event)) >= self._least:
                self.shown[key_of(event)] = event
                changed.add(key_of(event))
            self._last = number
        for key in sorted(self.shown)[: -self._count]:
            del self.shown[key]
            changed.add(key)
        return changed
