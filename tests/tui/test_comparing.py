"""Two campaigns are marked, compared and turned round by keys; what is shown is what their rows hold."""

from __future__ import annotations

from typing import Any

import pytest

import tui.screens.compare
from daemons.core.errors import OrchestratorUnavailable
from tests.support.board_documents import CPU, campaign, event, job, record
from tests.support.dashboard import Orchestrator, dashboard, make_desk, small_fleet, tell_events, tell_snapshot
from tests.tui.test_new_campaign import wait_until
from tests.tui.test_screens import said, settle
from tui.screens.compare import CompareScreen
from tui.screens.job import JobScreen
from tui.widgets.line import Line

SIZE = (120, 24)
MEDIANS = {1: {"mac-mini": 10.0, "nuc-7": 20.0, "rack-gpu": 5.0}, 2: {"mac-mini": 8.0, "nuc-7": 20.2, "phone-rig": 9.0}}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(tui.screens.compare, "LOOK_EVERY_S", 0.25)


def two_campaigns(**answers: Any) -> Orchestrator:
    def number(campaign_id: str) -> int:
        return int(campaign_id.rpartition("-")[2])

    def jobs(campaign_id: str, **_: Any) -> Any:
        found = number(campaign_id)
        options = {"compute_unit": CPU} | ({"threads": 4} if found == 2 else {})
        return {"jobs": [job(place, found, options=options) for place in range(len(MEDIANS[found]))]}

    def records(campaign_id: str) -> Any:
        found = number(campaign_id)
        rows = enumerate(MEDIANS[found].items())
        return [record(place, found, ms, DeviceName=name, WorkerId=f"worker-{name}") for place, (name, ms) in rows]

    known = {"jobs": jobs, "records_of_campaign": records}
    known["campaign"] = lambda campaign_id: campaign(number(campaign_id))
    return Orchestrator(**known | answers)


def desk_of(orchestrator: Orchestrator):
    desk = make_desk(orchestrator)
    told = [
        campaign(1, 21, {"complete": 3}, status="completed", created_at="2026-11-25T11:00:00.000Z", name="before"),
        campaign(2, 22, {"complete": 3}, status="completed", created_at="2026-11-25T11:30:00.000Z", name="after"),
        campaign(3, 23, {"pending": 3}),
    ]
    tell_snapshot(desk, small_fleet(), told)
    return desk


async def compared(pilot):
    await pilot.press("3")
    await settle(pilot)
    table = pilot.app.screen.table
    for key in ("campaign-2", "campaign-1"):  # the order of marking says nothing: the older is the base
        table.move_to(key)
        await pilot.press("space")
    await pilot.press("c")
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen.table.cursor_key)
    await settle(pilot)


def cells(screen) -> dict[str, list[str]]:
    listing = screen.table.listing
    pairs = [listing.items[listing.key_at(row)] for row in range(len(listing))]
    names = ("change", "interval", "outcome")
    columns = [column for column in listing.columns if column.name in names]
    return {
        pair.device: [column.cell(pair, None).text.replace("\N{MINUS SIGN}", "-") for column in columns]
        for pair in pairs
    }


async def test_two_marked_campaigns_are_compared_and_turned_round():
    async with dashboard(desk_of(two_campaigns())).run_test(size=SIZE) as pilot:
        await compared(pilot)
        assert cells(pilot.app.screen) == {
            "mac-mini": ["-20.0 %", "-23.9 … -15.9 %", "▼ faster"],
            "nuc-7": ["+1.0 %", "-3.9 … +6.2 %", "≈ noise"],
            "phone-rig": ["", "", "+ only head"],
            "rack-gpu": ["", "", "- only base"],
        }
        facts = str(pilot.app.screen.query_one("#facts").render())
        title = pilot.app.screen.query_one("#title", Line).text
        assert "4 pairs" in title
        assert all(f"1 {word}" in title for word in ("▼ faster", "≈ noise", "+ only head", "- only base")), facts
        await pilot.press("o")
        await wait_until(pilot, lambda: cells(pilot.app.screen)["mac-mini"][2] == "▲ slower")
        assert cells(pilot.app.screen)["phone-rig"][2] == "- only base"
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, JobScreen))
        assert list(pilot.app.screen.crumbs) == ["campaign-1", "job 0"]


async def test_marks_are_seen_and_it_takes_two():
    async with dashboard(desk_of(two_campaigns())).run_test(size=SIZE) as pilot:
        await pilot.press("3")
        await settle(pilot)
        await pilot.press("c")
        assert said(pilot.app) == "0 campaigns are marked; space marks, and two can be compared"
        await pilot.press("space")
        table = pilot.app.screen.table
        assert table.render_line(1).text.startswith("\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}✓")
        await pilot.press("down", "space", "down", "space", "c")
        assert said(pilot.app) == "3 campaigns are marked; space marks, and two can be compared"
        await pilot.press("space")
        assert len(table.marked) == 2
        assert table.render_line(3).text.startswith("\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT} ")


async def test_what_comes_while_one_looks_is_compared_too(monkeypatch):
    monkeypatch.setitem(MEDIANS, 2, {"mac-mini": 8.0})
    desk = desk_of(two_campaigns())
    async with dashboard(desk).run_test(size=SIZE) as pilot:
        await compared(pilot)
        assert cells(pilot.app.screen)["nuc-7"][2] == "- only base"
        MEDIANS[2]["nuc-7"] = 40.0
        tell_events(desk, event("campaign", campaign(2, 200, {"complete": 2}, name="after")))
        await wait_until(pilot, lambda: cells(pilot.app.screen)["nuc-7"][2] == "▲ slower")


async def test_what_can_not_be_fetched_is_said_and_asked_for_again():
    asked = two_campaigns(campaign=OrchestratorUnavailable("no answer from the orchestrator"))
    async with dashboard(desk_of(asked)).run_test(size=SIZE) as pilot:
        await pilot.press("3")
        await settle(pilot)
        pilot.app.screen.table.marked = {"campaign-1", "campaign-2"}
        await pilot.press("c")
        await wait_until(pilot, lambda: said(pilot.app) == "no answer from the orchestrator")
        asked.answers["campaign"] = two_campaigns().answers["campaign"]
        await wait_until(pilot, lambda: len(pilot.app.screen.table.listing) == 4)


@pytest.mark.parametrize("width", [80, 120])
def test_how_a_comparison_looks(snap_compare, width):
    async def press(pilot):
        await compared(pilot)
        await pilot.pause(0.2)

    assert snap_compare(dashboard(desk_of(two_campaigns())), terminal_size=(width, 24), run_before=press)
