"""How screens look, as SVG. After a change that is meant: pytest tests/tui --snapshot-update, and look at it."""

from __future__ import annotations

import pytest

from tests.support.dashboard import dashboard, make_desk, populated, tell_snapshot
from tui.board.told import Link

WIDTHS = (80, 120, 160)


def live():
    return populated()


def stale():
    desk = populated()
    desk.tell(Link(is_live=False, why="no answer from the orchestrator", retry_in_s=7.0))
    desk._clocks.elapsed_s = 12.0
    desk._clocks.time = lambda: 1_795_608_012.0
    return desk


def empty():
    desk = make_desk()
    tell_snapshot(desk, [], [])
    return desk


def error():
    desk = make_desk()
    why = "no answer from the orchestrator at http://lab-server:5000 (connection refused); is it running there?"
    desk.tell(Link(is_live=False, why=why, retry_in_s=3.0))
    return desk


def keys(*pressed):
    async def press(pilot):
        await pilot.pause(0.05)
        for key in pressed:
            await pilot.press(key)
            await pilot.pause(0.05)
        await rest(pilot)

    return press


async def rest(pilot):
    """Return when nothing is under way and the screen has looked the same four times."""
    seen = []
    while len(seen) < 4 or len(set(seen[-4:])) > 1:
        assert len(seen) < 100, "the screen never comes to rest"
        others = [one for one in pilot.app.workers if not one.group.startswith("service")]
        await pilot.app.workers.wait_for_complete(others)
        await pilot.pause(0.08)
        seen.append(pilot.app.export_screenshot(simplify=True))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", [live, stale, empty, error], ids=lambda state: state.__name__)
def test_overview(snap_compare, state, width):
    assert snap_compare(dashboard(state()), terminal_size=(width, 24), run_before=keys())


@pytest.mark.parametrize(
    ("pressed", "size"),
    [
        (("2",), (80, 24)),
        (("2", "enter"), (120, 30)),
        (("3",), (120, 24)),
        (("3", "s", "enter"), (160, 24)),
        (("3", "s", "enter", "v"), (80, 24)),
        (("4",), (80, 24)),
        (("5", "v", "v", "v"), (120, 24)),
        (("2", "X"), (80, 24)),
        (("2", "question_mark"), (80, 24)),
        (("1",), (60, 15)),
    ],
    ids=["workers", "worker", "campaigns", "campaign", "chart", "queues", "events", "confirm", "help", "small"],
)
def test_screen(snap_compare, pressed, size):
    assert snap_compare(dashboard(populated()), terminal_size=size, run_before=keys(*pressed))


def test_without_colours_nothing_is_lost(snap_compare, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = dashboard(populated())
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("2"))
