"""What stands in a cell: text and the tone in which it is said. A tone is never the only thing that says it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

GOOD: Final = "good"
BUSY: Final = "busy"
WARN: Final = "warn"
BAD: Final = "bad"
DIM: Final = "dim"

TONES: Final = (GOOD, BUSY, WARN, BAD, DIM)

_STATUSES: Final = {
    "active": ("●", GOOD),
    "busy": ("▸", BUSY),
    "cleanup": ("◌", WARN),
    "faulty": ("✗", BAD),
    "offline": ("○", DIM),
    "drained": ("‖", WARN),
    "pending": ("·", DIM),
    "running": ("▸", BUSY),
    "stopping": ("◌", WARN),
    "complete": ("✓", GOOD),
    "completed": ("✓", GOOD),
    "failed": ("✗", BAD),
    "cancelled": ("⊘", WARN),
    "stable": ("✓", GOOD),
    "noisy": ("~", WARN),
    "invalid": ("✗", BAD),
    "fine": ("·", DIM),
    "info": ("i", ""),
    "warning": ("!", WARN),
    "error": ("✗", BAD),
}

SHADES: Final = "▁▂▃▄▅▆▇█"
EIGHTHS: Final = " ▏▎▍▌▋▊▉"


class Cell(NamedTuple):
    """A cell's text and tone."""

    text: str
    tone: str = ""


NOTHING: Final = Cell("")


def plain(value: Any) -> str:
    """A value from outside as one line of text that no terminal obeys; empty for None."""
    if value is None:
        return ""
    text = str(value)
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def status_cell(status: str) -> Cell:
    """A status: its glyph and its word, so that colour says nothing that is not said without it."""
    glyph, tone = _STATUSES.get(status, ("?", ""))
    return Cell(f"{glyph} {plain(status)}", tone)


def tone_of(status: str) -> str:
    """The tone in which a status is said."""
    return _STATUSES.get(status, ("?", ""))[1]


def figure(value: float | None, significant: int = 4) -> str:
    """A figure with so many significant digits, whole ones all kept; empty where it is not known."""
    if value is None:
        return ""
    whole_digits = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(0, significant - whole_digits)}f}"


def with_unit(value: float | None, unit: str, significant: int = 4) -> str:
    """A figure and its unit; empty where it is not known."""
    return "" if value is None else f"{figure(value, significant)} {unit}"


def bar(done: float, total: float, width: int) -> str:
    """How much of `total` is done, in `width` characters, to an eighth of one."""
    share = 0.0 if total <= 0 else min(1.0, max(0.0, done / total))
    eighths = math.floor(share * width * 8)
    full, rest = divmod(eighths, 8)
    body = "█" * full + (EIGHTHS[rest] if rest else "")
    return body + "░" * (width - len(body))


def sparkline(values: Sequence[int]) -> str:
    """A character for each value: the tallest for the largest, the lowest for 0."""
    tallest = max(values, default=0)
    if tallest == 0:
        return SHADES[0] * len(values)
    return "".join(SHADES[math.ceil(value / tallest * (len(SHADES) - 1))] for value in values)


def short_id(identifier: str | None) -> str:
    """An identifier without the word that its column says already: ``worker-12ab`` → ``12ab``."""
    return plain(identifier).partition("-")[2] if identifier else ""
