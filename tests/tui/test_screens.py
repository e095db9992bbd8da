"""What keys do on each screen: messages and state, with a made-up fleet and orchestrator."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import tui.screens
from daemons.core.errors import Conflict, OrchestratorUnavailable
from tests.support.board_documents import campaign, event, job, worker
from tests.support.dashboard import (
    Orchestrator,
    dashboard,
    lively_orchestrator,
    make_desk,
    populated,
    small_fleet,
    tell_events,
    tell_snapshot,
)
from tui.actions import ACTIONS, EVERYWHERE, ROWS, actions_of
from tui.app import Dashboard
from tui.board.told import Link
from tui.screens.base import BoardScreen
from tui.screens.confirm import ConfirmScreen
from tui.settings import Preferences
from tui.widgets.frame import FooterLine, HeaderLine, Notice
from tui.widgets.rowtable import RowTable

SIZE = (100, 30)


def line(app, kind):
    return app.screen.query_one(kind).text


def rows(app):
    """The keys of the table's rows, from the top."""
    table = app.screen.query_one("#rows", RowTable)
    return [table.listing.key_at(row) for row in range(len(table.listing))]


def said(app):
    notice = app.screen.query_one(Notice)
    return str(notice.render()) if notice.has_class("-shown") else ""


async def settle(pilot, times=3):
    """Let what is under way be painted."""
    for _ in range(times):
        await pilot.app.workers.wait_for_complete(
            [one for one in pilot.app.workers if not one.group.startswith("service") and one.group != "beats"]
        )
        await pilot.pause(0.03)


async def test_the_five_screens_are_reached_by_their_numbers_and_remember_where_one_was():
    async with dashboard(populated()).run_test(size=SIZE) as pilot:
        for key, mode in zip("12345", ("overview", "workers", "campaigns", "queues", "events"), strict=True):
            await pilot.press(key)
            assert pilot.app.current_mode == mode
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("enter", "3", "2")
        assert list(pilot.app.screen.crumbs) == ["mac-mini"]
        await pilot.press("escape")
        assert rows(pilot.app)


def family(kind):
    return [kind, *(one for child in kind.__subclasses__() for one in family(child))]


def test_every_action_has_its_method_where_it_works_and_every_context_a_screen():
    for module in Path(tui.screens.__file__).parent.glob("*.py"):
        importlib.import_module(f"tui.screens.{module.stem}")
    seen = {EVERYWHERE, ROWS}
    for screen in family(BoardScreen):
        seen |= set(screen.CONTEXTS)
        for action in actions_of(*screen.CONTEXTS):
            assert callable(getattr(screen, f"action_{action.name}", None)), (screen, action.name)
    for kind, context in ((Dashboard, EVERYWHERE), (RowTable, ROWS)):
        assert all(callable(getattr(kind, f"action_{action.name}")) for action in actions_of(context))
    assert {context for action in ACTIONS for context in action.contexts} <= seen


async def test_devices_are_sorted_and_filtered_and_the_cursor_stays_on_its_device():
    desk = populated()
    async with dashboard(desk).run_test(size=SIZE) as pilot:
        await pilot.press("2", "j")
        await settle(pilot)
        table = pilot.app.screen.table
        assert [desk.board.workers[key].device_name for key in rows(pilot.app)][:2] == ["mac-mini", "nuc-7"]
        assert table.cursor_key == "worker-0002"
        tell_events(desk, event("worker", worker(9, 200, device_name="a-first")))
        await settle(pilot)
        assert rows(pilot.app)[0] == "worker-0009"
        assert table.cursor_key == "worker-0002", "rows come and go, the cursor stays"
        await pilot.press("s")
        await settle(pilot)
        assert table.listing.sorted_by == "status"
        await pilot.press("slash", *"!mini", "enter")
        await settle(pilot)
        assert "worker-0001" not in rows(pilot.app)
        await pilot.press("escape")
        await settle(pilot)
        assert len(rows(pilot.app)) == 6


async def test_a_device_is_removed_only_after_its_name_was_confirmed():
    orchestrator = lively_orchestrator()
    orchestrator.answers["remove_worker"] = {"message": "the worker is forgotten"}
    async with dashboard(populated(orchestrator)).run_test(size=SIZE) as pilot:
        await pilot.press("2", "X")
        assert isinstance(pilot.app.screen, ConfirmScreen)
        told = "\n".join(str(one.render()) for one in pilot.app.screen.query("#question, #consequences"))
        assert "mac-mini" in told
        assert "worker-0001" in told
        assert "campaign-1-job-1" in told
        await pilot.press("enter")
        assert orchestrator.orders("remove_worker") == []
        await pilot.press("X", "y")
        await settle(pilot)
        assert orchestrator.orders("remove_worker") == [{"worker_id": "worker-0001", "force": True}]
        assert said(pilot.app) == "mac-mini: the worker is forgotten"


async def test_what_the_server_refuses_is_said_in_place():
    orchestrator = lively_orchestrator()
    orchestrator.answers["reset_worker"] = Conflict("the worker runs a job")
    async with dashboard(populated(orchestrator)).run_test(size=SIZE) as pilot:
        await pilot.press("2", "R")
        await settle(pilot)
        assert said(pilot.app) == "the worker runs a job"
        assert pilot.app.screen.query_one(Notice).has_class("-bad")


async def test_read_only_has_no_key_that_changes_anything():
    orchestrator = lively_orchestrator()
    async with dashboard(populated(orchestrator, can_change=False)).run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert "drain" not in line(pilot.app, FooterLine)
        await pilot.press("d", "X", "3", "x", "r")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, ConfirmScreen)
        assert {method for method, _ in orchestrator.asked} <= {"queue_status", "workers_health"}
        await pilot.press("question_mark")
        assert "Forget a device" not in str(pilot.app.screen.query_one("#text").render())


async def test_a_campaigns_jobs_come_with_their_figures_and_a_chart():
    async with dashboard(populated()).run_test(size=(140, 30)) as pilot:
        await pilot.press("3", "G")
        await settle(pilot)
        pilot.app.screen.table.move_to("campaign-1")
        await pilot.press("enter")
        await settle(pilot, 14)
        screen = pilot.app.screen
        assert len(rows(pilot.app)) == 5
        assert screen.table.listing.scene().figures("campaign-1-job-0").median_ms == 12.5
        await pilot.press("v")
        await settle(pilot)
        drawn = str(screen.query_one("#drawn").render())
        assert "mac-mini · GPU (CoreML)" in drawn
        assert "7.250 ms (7.105 … 7.468)" in drawn
        await pilot.press("escape", "enter")
        await settle(pilot)
        assert "306 inference runs by their time" in str(pilot.app.screen.query_one("#drawn").render())


async def test_cancelling_a_campaign_names_what_is_lost():
    orchestrator = lively_orchestrator()
    orchestrator.answers["cancel"] = {"message": "3 jobs are cancelled, 1 is stopping"}
    async with dashboard(populated(orchestrator)).run_test(size=SIZE) as pilot:
        await pilot.press("3")
        await settle(pilot)
        pilot.app.screen.table.move_to("campaign-1")
        await pilot.press("x")
        told = str(pilot.app.screen.query_one("#consequences").render())
        assert "resnet50.onnx (campaign-1)" in told
        assert "3 waiting jobs" in told
        await pilot.press("y")
        await settle(pilot)
        assert orchestrator.orders("cancel") == [{"campaign_id": "campaign-1"}]


async def test_results_are_saved_beside_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign-1_results.csv").write_text("mine")
    orchestrator = lively_orchestrator()
    orchestrator.answers["results"] = "Status,JobId\r\n"
    async with dashboard(populated(orchestrator)).run_test(size=(160, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        pilot.app.screen.table.move_to("campaign-1")
        await pilot.press("w")
        await settle(pilot)
        assert (tmp_path / "campaign-1_results.csv").read_text() == "mine"
        assert (tmp_path / "campaign-1_results-2.csv").read_bytes() == b"Status,JobId\r\n"
        assert "campaign-1_results-2.csv" in said(pilot.app)


async def test_queues_say_who_could_take_what_waits_and_a_job_can_be_withdrawn():
    orchestrator = lively_orchestrator()
    orchestrator.answers["jobs"] = {"count": 2, "jobs": [job(7, 1, 40), job(8, 1, 41)]}
    orchestrator.answers["cancel_job"] = {"job_id": "campaign-1-job-7", "status": "cancelled", "stopping": False}
    async with dashboard(populated(orchestrator)).run_test(size=SIZE) as pilot:
        await pilot.press("4")
        await settle(pilot)
        queues = pilot.app.screen.table.listing.items
        stuck = {key for key, queue in queues.items() if queue.is_stuck}
        assert stuck == {"unit:GPU (ONNX)", "unit:CPU (ONNX)+lab-2,quiet"}
        assert queues["unit:CPU (ONNX)"].waiting == 36, "those with tags have a queue of their own"
        pilot.app.screen.table.move_to("unit:CPU (ONNX)")
        await pilot.press("enter")
        await settle(pilot)
        assert rows(pilot.app) == ["campaign-1-job-7", "campaign-1-job-8"]
        await pilot.press("x", "y")
        await settle(pilot)
        assert orchestrator.orders("cancel_job") == [{"job_id": "campaign-1-job-7"}]
        assert rows(pilot.app) == ["campaign-1-job-8"]


async def test_events_are_paused_and_filtered_by_severity():
    desk = populated()
    async with dashboard(desk).run_test(size=SIZE) as pilot:
        await pilot.press("5")
        await settle(pilot)
        shown = rows(pilot.app)
        assert shown == sorted(shown, reverse=True)
        tell_events(desk, event("job", job(5, 1, 300, status="failed", attempt=1)))
        await settle(pilot)
        assert len(rows(pilot.app)) == len(shown) + 1
        await pilot.press("p")
        tell_events(desk, event("job", job(6, 1, 301, status="failed", attempt=1)))
        await settle(pilot)
        assert len(rows(pilot.app)) == len(shown) + 1
        await pilot.press("p", "v", "v")
        await settle(pilot)
        assert {key.lstrip("0") for key in rows(pilot.app)} == {"300", "301", "101", "103"}
        await pilot.press("slash", *"job-6", "enter")
        await settle(pilot)
        assert [key.lstrip("0") for key in rows(pilot.app)] == ["301"]


async def test_enter_on_the_overview_opens_what_is_there():
    async with dashboard(populated()).run_test(size=SIZE) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        assert list(pilot.app.screen.crumbs) == ["resnet50.onnx"]
        await pilot.press("escape", "tab", "enter")
        assert list(pilot.app.screen.crumbs) == ["mac-mini"]
        await pilot.press("escape", "tab", "enter")
        await settle(pilot)
        assert list(pilot.app.screen.crumbs) == ["CPU (ONNX)"]
        await pilot.press("escape", "tab", "enter")
        assert list(pilot.app.screen.crumbs)


async def test_the_header_says_how_stale_what_is_shown_is():
    desk = populated()
    async with dashboard(desk).run_test(size=(120, 20)) as pilot:
        await settle(pilot)
        assert "● live" in line(pilot.app, HeaderLine)
        desk.tell(Link(is_live=False, why="no answer from the orchestrator", retry_in_s=4.0))
        desk._clocks.elapsed_s += 3
        await settle(pilot)
        assert "stale 3 s, reconnecting in 1 s" in line(pilot.app, HeaderLine)
        assert desk.board.workers, "what was known stays"


async def test_it_can_be_started_before_the_orchestrator():
    desk = make_desk(Orchestrator(queue_status=OrchestratorUnavailable("no answer")))
    async with dashboard(desk).run_test(size=SIZE) as pilot:
        desk.tell(Link(is_live=False, why="no answer from the orchestrator at lab-server", retry_in_s=2.0))
        await settle(pilot)
        assert "reconnecting in 2 s" in line(pilot.app, HeaderLine)
        tell_snapshot(desk, small_fleet(), [campaign(1)])
        await settle(pilot)
        assert "5 devices" in line(pilot.app, HeaderLine)


@pytest.mark.parametrize("size", [(60, 15), (220, 60)])
async def test_every_screen_fits_a_small_and_a_large_terminal(size):
    async with dashboard(populated()).run_test(size=size) as pilot:
        for key in "12345":
            await pilot.press(key)
            await settle(pilot, 1)
            assert pilot.app.screen.query_one(FooterLine).region.bottom == size[1]
            assert "quit" in line(pilot.app, FooterLine)
            assert len(line(pilot.app, FooterLine)) < size[0]
        await pilot.resize_terminal(90, 25)
        await settle(pilot, 1)
        assert pilot.app.screen.query_one(FooterLine).region.bottom == 25


async def test_keys_can_be_remapped():
    orchestrator = lively_orchestrator()
    orchestrator.answers["drain_worker"] = {"message": "the worker takes no more jobs"}
    preferences = Preferences(keymap={"drain": "z"})
    async with dashboard(populated(orchestrator), preferences).run_test(size=SIZE) as pilot:
        await pilot.press("2", "d")
        await settle(pilot)
        assert orchestrator.orders("drain_worker") == []
        await pilot.press("z")
        await settle(pilot)
        assert len(orchestrator.orders("drain_worker")) == 1
        assert "z drain" in line(pilot.app, FooterLine)


async def test_the_palette_offers_what_works_here():
    async with dashboard(populated()).run_test(size=SIZE) as pilot:
        await pilot.press("2")
        commands = {one.title for one in pilot.app.get_system_commands(pilot.app.screen)}
        assert "Forget a device" in commands
        assert "Show the events" in commands
        assert "Save a campaign's results as a CSV file here" not in commands
