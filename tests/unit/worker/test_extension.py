"""A noisy run goes on within its limits, and a steady one ends where it was told to."""

from __future__ import annotations

import pytest

from daemons.worker.bench.measure import Extension, may_go_on

STEADY = [10_000_000] * 10
NOISY = [10_000_000, 15_000_000] * 5


@pytest.mark.parametrize(
    ("runs", "elapsed_s", "limits", "goes_on"),
    [
        (NOISY, 1.0, Extension(100, 60.0), True),
        (STEADY, 1.0, Extension(100, 60.0), False),
        (NOISY, 1.0, Extension(10, 60.0), False),
        (NOISY, 60.0, Extension(100, 60.0), False),
        ([10_000_000] * 5, 1.0, Extension(100, 60.0), True),
    ],
)
def test_doubt_and_limits_decide(runs: list[int], elapsed_s: float, limits: Extension, goes_on: bool) -> None:
    assert may_go_on(runs, elapsed_s, limits) is goes_on
