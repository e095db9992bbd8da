"""How far a file is on its way, in words. Pure."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from tui.board.cells import bar

MB: Final = 10**6
BAR_WIDTH: Final = 20


class Sent(Struct, frozen=True, kw_only=True):
    """How much of a file is over."""

    name: str
    done_bytes: int = 0
    total_bytes: int = 0
    """0: it is still being read, for its hash."""
    first_bytes: int = 0
    """What the orchestrator had already when sending began."""
    elapsed_s: float = 0.0
    """Since sending began."""

    @property
    def words(self) -> str:
        """A bar, how much of how much, and how fast."""
        if not self.total_bytes:
            return f"reading {self.name}"
        amount = f"{size_of(self.done_bytes)} of {size_of(self.total_bytes)}"
        speed = (self.done_bytes - self.first_bytes) / self.elapsed_s if self.elapsed_s > 0 else 0.0
        pace = f", {size_of(round(speed))}/s" if speed >= 1 else ""
        return f"uploading {self.name} {bar(self.done_bytes, self.total_bytes, BAR_WIDTH)} {amount}{pace}"


def size_of(count: int) -> str:
    """A number of bytes in the unit that suits it; MB is 10^6 bytes, as in the API's sentences about files."""
    for size, unit in ((10**9, "GB"), (MB, "MB"), (10**3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
