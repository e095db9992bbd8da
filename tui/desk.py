"""What every screen works with: the board, how the link fares, the time, and somebody to ask and to order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from daemons.core.errors import NotAllowed, OrchestratorUnavailable
from tui.board.board import Board
from tui.board.columns import Scene
from tui.board.headline import LinkState
from tui.board.moments import seconds_of
from tui.board.told import Asked, Happened, Link, Page, Pulse, Told, Whole, question

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""A method of the client, and its arguments."""


class Clocks(Protocol):
    """Where times come from, so that a test can say what time it is."""

    def monotonic(self) -> float:
        """Seconds that only rise."""

    def time(self) -> float:
        """Seconds since 1970."""


class Desk:
    """All that the dashboard knows now. `tell` is where links put what they learn."""

    def __init__(
        self, host: str, clocks: Clocks, ask: Ask, *, can_change: bool = True, is_replay: bool = False
    ) -> None:
        self.host = host
        self.board = Board()
        self.can_change = can_change
        """Whether actions that change the fleet are there."""
        self.is_replay = is_replay
        self.link = Link(is_live=False)
        self.health: dict[str, Any] | None = None
        """The orchestrator's health, as it was last told."""
        self.is_dirty = True
        """Something was told since it was last painted."""
        self._clocks = clocks
        self._ask = ask
        self._offset_s = 0.0
        self._link_at = clocks.monotonic()
        self._live_until: float | None = None
        self._pulse_lost_at: float | None = None
        self._beats: dict[str, tuple[float, float]] = {}
        self.recorded: Callable[[Told], None] | None = None

    def tell(self, told: Told) -> None:
        """Take what a link has learned. OrchestratorUnavailable for what no orchestrator of this kind says."""
        self.is_dirty = True
        try:
            self._take(told)
        except (msgspec.ValidationError, KeyError) as error:
            raise OrchestratorUnavailable(
                f"what the orchestrator tells is not understood ({error}); is it of another version?"
            ) from error
        if self.recorded is not None:
            self.recorded(told)

    def _take(self, told: Told) -> None:
        match told:
            case Happened(event=event):
                self.board.happened(event)
            case Page():
                self.board.page(told)
            case Whole():
                self.board.whole(told)
            case Link():
                self._take_link(told)
            case Pulse():
                self._take_pulse(told)
            case Asked():
                pass

    async def ask(self, method: str, **arguments: Any) -> Any:
        """What the API answers to a question; what it was is in a recording, too. Raises BenchfleetError."""
        answer = await self._ask(method, arguments)
        if self.recorded is not None:
            self.recorded(Asked(question=question(method, arguments), answer=answer))
        return answer

    async def fetch(self, method: str, **arguments: Any) -> Any:
        """As `ask`, for what is too large to be recorded. Raises BenchfleetError."""
        return await self._ask(method, arguments)

    async def order(self, method: str, **arguments: Any) -> Any:
        """Have the orchestrator change something. Raises BenchfleetError."""
        if not self.can_change:
            raise NotAllowed("this dashboard only looks; start it without --read-only to change something")
        return await self._ask(method, arguments)

    @property
    def now_s(self) -> float:
        """Seconds since 1970 by the orchestrator's clock, which may be another than this machine's."""
        return self._clocks.time() + self._offset_s

    def scene(self, figures: Callable[[str], Any] = lambda _job_id: None) -> Scene:
        """What cells are drawn from now."""
        return Scene(self.board, self.now_s, self._beat_age_s, figures)

    def link_state(self) -> LinkState:
        """How the link fares now."""
        now = self._clocks.monotonic()
        retry_in_s, elapsed_s = self.link.retry_in_s, now - self._link_at
        return LinkState(
            is_live=self.link.is_live,
            stale_s=None if self._live_until is None else now - self._live_until,
            retry_in_s=None if retry_in_s is None or retry_in_s <= elapsed_s else retry_in_s - elapsed_s,
            why=self.link.why,
            is_orchestrator_away=self._pulse_lost_at is not None,
            is_replay=self.is_replay,
        )

    def heard(self, ages_s: dict[str, float]) -> None:
        """So long ago these devices were heard of."""
        now = self._clocks.monotonic()
        self._beats.update({worker_id: (age, now) for worker_id, age in ages_s.items()})
        self.is_dirty = True

    def _beat_age_s(self, worker_id: str) -> float | None:
        known = self._beats.get(worker_id)
        if known is None:
            return None
        age, at = known
        return age + self._clocks.monotonic() - at

    def _take_link(self, link: Link) -> None:
        now = self._clocks.monotonic()
        if self.link.is_live and not link.is_live:
            self._live_until = now
        self.link, self._link_at = link, now

    def _take_pulse(self, pulse: Pulse) -> None:
        if pulse.health is None:
            self._pulse_lost_at = self._pulse_lost_at or self._clocks.monotonic()
            return
        self._pulse_lost_at = None
        self.health = pulse.health
        told = seconds_of(pulse.health.get("timestamp"))
        if told is not None:
            self._offset_s = told - self._clocks.time()
