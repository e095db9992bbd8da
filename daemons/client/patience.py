"""How long something is tried again, and how long is waited in between. Pure: whoever asks brings the clock."""

from __future__ import annotations

from typing import Final

FIRST_DELAY_S: Final = 0.2
LONGEST_DELAY_S: Final = 5.0


class Patience:
    """Delays that double, for `patience_s` after the last success."""

    def __init__(self, patience_s: float, now_s: float) -> None:
        self._patience_s = patience_s
        self._ends_s = now_s + patience_s
        self._delay_s = FIRST_DELAY_S

    def delay_s(self, now_s: float, at_least_s: float = 0.0) -> float | None:
        """How long to wait before trying again; None once it is no use any more."""
        delay = max(self._delay_s, at_least_s)
        if now_s + delay > self._ends_s:
            return None
        self._delay_s = min(LONGEST_DELAY_S, self._delay_s * 2)
        return delay

    def renew(self, now_s: float) -> None:
        """It has worked: begin anew."""
        self._ends_s = now_s + self._patience_s
        self._delay_s = FIRST_DELAY_S
