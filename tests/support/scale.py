"""How large a fault test is: small in every test run, as large as its promise with ``FAULTS=full`` (make faults)."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

IS_FULL = os.environ.get("FAULTS") == "full"


def scaled(*, small: T, full: T) -> T:
    """The one that this run is about."""
    return full if IS_FULL else small


def tell(what: str, **figures: object) -> None:
    """Say what was measured, for docs/reliability.md; seen with ``pytest -s``."""
    print(f"\n  measured: {what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)
