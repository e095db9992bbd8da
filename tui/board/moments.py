"""Times as the API tells them, and as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400


def seconds_of(moment: str | None) -> float | None:
    """Seconds since 1970 of an ISO 8601 time; None for none."""
    if not moment:
        return None
    return datetime.fromisoformat(moment).timestamp()


def clock_time(moment: str | None) -> str:
    """Its time of day in UTC, to the second."""
    seconds = seconds_of(moment)
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: ``4 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; "" for none."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    for size, name, smaller, smaller_name in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{whole} s"


def short_duration(seconds: float | None) -> str:
    """A length of time in its largest unit."""
    return " ".join(duration(seconds).split()[:2])
