"""The dashboard paints more often in tests, so that they need not wait."""

from __future__ import annotations

import pytest

import tui.app
import tui.screens.campaign


@pytest.fixture(autouse=True)
def quick_paint(monkeypatch):
    monkeypatch.setattr(tui.app, "PAINT_EVERY_S", 0.02)
    monkeypatch.setattr(tui.screens.campaign, "FIGURES_EVERY_S", 0.05)
