"""Times as people say them. Pure: the present is passed in."""

from __future__ import annotations

from datetime import datetime
from typing import Final

MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S
_STEPS: Final = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min"))


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one ISO 8601 time to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def seconds_since(moment: str | None, now: datetime) -> float | None:
    """Seconds from an ISO 8601 time to `now`, not below 0; None where there is no time."""
    return None if moment is None else max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())


def span(seconds: float | None) -> str:
    """About how long that is, in one unit: ``8 s``, ``5 min``, ``3 h``, ``12 d``; a dash where it is not known."""
    if seconds is None:
        return "—"
    for size, word in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {word}"
    return f"{int(seconds)} s"


def span_of(earlier: str | None, later: str | None, now: datetime) -> str:
    """How long something took, or has taken until `now` if it has not ended."""
    if earlier is None:
        return "—"
    return span(seconds_between(earlier, later) if later is not None else seconds_since(earlier, now))
