"""A device is measured when it is fit for it, and the wait for that has an end."""

from __future__ import annotations

import asyncio

import pytest

from daemons.worker import calm
from daemons.worker.calm import Calm


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calm, "LOOK_EVERY_S", 0.001)


def looks(*shares: float) -> tuple[Calm, list[float]]:
    """A device on which each look finds the next share, and the shares not yet looked at."""
    left = [0.0, *shares]
    return Calm(30.0, 0.0, lambda: left.pop(0)), left


async def test_calm_is_three_free_looks_in_a_row() -> None:
    device, left = looks(0.5, 0.01, 0.02, 0.3, 0.01, 0.01, 0.01, 0.9)

    assert await device.settle() is True
    assert left == [0.9]


async def test_a_device_that_never_calms_down_is_measured_all_the_same() -> None:
    device = Calm(0.02, 0.0, lambda: 1.0)

    assert await device.settle() is False


async def test_without_limits_nothing_is_waited_for() -> None:
    def nobody_looks() -> float:
        raise AssertionError("looked")

    device = Calm(0.0, 0.0, nobody_looks)
    device.note_end()

    assert await device.settle() is True


async def test_the_device_rests_between_measurements_and_not_before_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    device = Calm(0.0, 60.0)
    monkeypatch.setattr(asyncio, "sleep", sleep)

    await device.settle()
    device.note_end()
    await device.settle()

    assert [round(rest, -1) for rest in rests] == [60.0]
