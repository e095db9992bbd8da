"""The form of a new campaign by its keys: what it checks, sends, keeps and asks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tui.screens.new_campaign
from daemons.core.errors import InvalidInput, OrchestratorUnavailable
from tests.support.board_documents import CPU, GPU, event, worker
from tests.support.dashboard import Orchestrator, dashboard, lively_orchestrator, make_desk, populated, tell_events
from tests.tui.test_screens import said, settle
from tui.forms.draft import Draft
from tui.screens.campaign import CampaignScreen
from tui.screens.choosing import ChoosingScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.new_campaign import NewCampaignScreen
from tui.widgets.campaign_form import CampaignForm
from tui.widgets.fields import Choice, Field, Press, Ticks

SIZE = (80, 24)
URL = "https://example.org/net.onnx"
MADE = {"campaign_id": "campaign-1", "warnings": []}
KEPT = {"count": 1, "models": [{"name": "kept.onnx", "sha256": "a" * 64}]}


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch):
    monkeypatch.setattr(tui.screens.new_campaign, "PAUSE_S", 0.05)
    monkeypatch.setattr(tui.screens.new_campaign, "FLEET_EVERY_S", 0.25)


def orchestrator(**answers: Any) -> Orchestrator:
    found = lively_orchestrator()
    found.answers |= {"models": KEPT, "submit": MADE} | answers
    return found


def summary(app) -> str:
    return str(app.screen.query_one("#summary").render())


def complaints(app) -> dict[str, str]:
    fields = app.screen.query(Field)
    shown = {one.key: one.query_one(".why") for one in fields}
    return {key: str(why.render()).removeprefix("✗ ") for key, why in shown.items() if why.has_class("-shown")}


def draft(app) -> Draft:
    return app.screen.query_one(CampaignForm).draft


async def wait_until(pilot, question, what=""):
    for _ in range(400):
        if question():
            return
        await pilot.pause(0.02)
    raise AssertionError(what or "it never came true")


def write(pilot, text):
    """What is typed, at once."""
    pilot.app.screen.focused.insert_text_at_cursor(text)


async def filled(pilot, model=URL):
    """The form, with a model and the first unit."""
    await pilot.press("n")
    await settle(pilot)
    write(pilot, model)
    await pilot.press("tab", "tab", "space")
    await wait_until(pilot, lambda: "job" in summary(pilot.app), "a sentence of what it makes")


async def test_a_campaign_is_submitted_by_keys_alone_and_opened():
    asked = orchestrator()
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot)
        assert summary(pilot.app) == "→ 1 job, for whichever of 2 devices comes first"
        await pilot.press("down", "down", "down", "down", "right")
        await wait_until(pilot, lambda: summary(pilot.app).startswith("→ 4 jobs on 4 devices\n! 1 job would wait"))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, CampaignScreen))
        await wait_until(pilot, lambda: said(pilot.app) == "submitted")
        (order,) = asked.orders("submit")
        assert order["campaign"] == {
            "model_url": URL,
            "jobs": [{"compute_unit": CPU, "devices": "every", "num_inference_runs": 10}],
        }
        await pilot.press("escape", "n")
        await settle(pilot)
        assert draft(pilot.app) == Draft()


async def test_every_field_is_reached_and_left_by_keys():
    async with dashboard(populated(orchestrator())).run_test(size=(60, 15)) as pilot:
        await pilot.press("n")
        await settle(pilot)
        seen = []
        for _ in range(60):
            seen.append(pilot.app.screen.focused)
            await pilot.press("tab")
            if pilot.app.screen.focused is seen[0]:
                break
            await pilot.pause()
            named = [one.widget for one in pilot.app.screen.query(Field) if one.has_class("-here")]
            assert named in ([], [pilot.app.screen.focused])
            assert pilot.app.screen.focused.region.overlaps(pilot.app.screen.query_one(CampaignForm).region)
        assert [one.id for one in seen if isinstance(one, Press)] == ["fold", "submit"]
        assert {type(one) for one in seen} >= {Ticks, Choice, Press}
        await pilot.press("shift+tab")
        assert pilot.app.screen.focused.id == "submit"
        await pilot.press("up", "enter")
        assert pilot.app.screen.query_one(CampaignForm).is_open
        await pilot.press("down")
        assert next(iter(pilot.app.screen.focused.ancestors)).parent.id == "field-num_load_runs"


async def test_what_is_wrong_is_said_while_it_is_typed_and_what_is_missing_when_it_is_submitted():
    asked = orchestrator()
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await pilot.press("n")
        await settle(pilot)
        assert complaints(pilot.app) == {}
        write(pilot, "ftp://x/y")
        await wait_until(pilot, lambda: "model" in complaints(pilot.app))
        assert complaints(pilot.app)["model"].startswith("must begin with http")
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: "units" in complaints(pilot.app))
        assert complaints(pilot.app)["units"].startswith("is missing")
        assert asked.orders("submit") == []


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("jobs[0].threads", "must be less than the server has"),
        ("model_url", "leads to an address that is not allowed here"),
    ],
)
async def test_a_refusal_stands_next_to_the_field_that_it_names_and_nothing_is_lost(field, sentence):
    asked = orchestrator(submit=InvalidInput(f"{field}: {sentence}", field=field))
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot)
        before = draft(pilot.app)
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: complaints(pilot.app))
        where = {"jobs[0].threads": "threads", "model_url": "model"}[field]
        assert complaints(pilot.app) == {where: sentence}
        focused = pilot.app.screen.focused
        assert any(one.id == f"field-{where}" for one in focused.ancestors)
        assert focused.region.height > 0
        assert draft(pilot.app) == before


async def test_a_submission_whose_answer_is_lost_is_repeated_and_not_doubled():
    asked = orchestrator(submit=OrchestratorUnavailable("no answer"))
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot)
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: said(pilot.app) == "no answer")
        asked.answers["submit"] = MADE
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, CampaignScreen))
        first, second = asked.orders("submit")
        assert first == second
        assert first["idempotency_key"]


async def test_a_resize_and_a_visit_elsewhere_lose_nothing():
    async with dashboard(populated(orchestrator())).run_test(size=SIZE) as pilot:
        await filled(pilot)
        await pilot.press("down", "down", "down", "down", "right", "down")
        write(pilot, "lab-2")
        before, focused = draft(pilot.app), pilot.app.screen.focused
        for size in ((60, 15), (220, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
            assert draft(pilot.app) == before
            assert pilot.app.screen.focused is focused
        assert (before.model, before.units, before.which, before.tags) == (URL, (CPU,), "every", "lab-2")
        await pilot.press("up", "2")
        assert pilot.app.current_mode == "workers"
        await pilot.press("n")
        await settle(pilot)
        assert draft(pilot.app) == before
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, NewCampaignScreen)
        await pilot.press("n")
        await settle(pilot)
        assert draft(pilot.app) == before


async def test_units_follow_the_fleet_and_stay_ticked():
    desk = populated(orchestrator())
    async with dashboard(desk).run_test(size=SIZE) as pilot:
        await filled(pilot)
        ticks = pilot.app.screen.query_one(Ticks)
        assert "2 devices" in str(ticks.render())
        tell_events(desk, event("worker", worker(9, 300, capabilities=[CPU, "CPU (Toy)"])))
        await wait_until(pilot, lambda: "CPU (Toy)" in str(ticks.render()))
        assert "3 devices" in str(ticks.render())
        assert ticks.value == (CPU,)
        await wait_until(pilot, lambda: summary(pilot.app).endswith("of 3 devices comes first"))


async def test_what_would_wait_is_said_before_it_is_submitted():
    async with dashboard(populated(orchestrator())).run_test(size=SIZE) as pilot:
        await filled(pilot)
        await pilot.press("space", "down", "down", "space")
        await wait_until(pilot, lambda: "would wait" in summary(pilot.app))
        assert summary(pilot.app).splitlines() == [
            "→ 1 job",
            "! 1 job would wait: no live device offers GPU (ONNX); jobs for it wait until one does",
        ]


async def test_devices_are_chosen_from_the_table():
    asked = orchestrator()
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot)
        await pilot.press("down", "down", "down", "down", "left", "down", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ChoosingScreen)
        table = pilot.app.screen.table
        await pilot.press("space", "down", "space", "space")
        assert table.marked == {"worker-0001"}
        await pilot.press("A", "enter")
        await wait_until(pilot, lambda: "5 devices" in summary(pilot.app))
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("A", "down", "space", "escape")
        assert len(draft(pilot.app).chosen) == 5
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("A", "space", "enter")
        await wait_until(pilot, lambda: len(draft(pilot.app).chosen) == 1)
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: asked.orders("submit"))
        (job,) = asked.orders("submit")[0]["campaign"]["jobs"]
        assert job == {"compute_unit": CPU, "worker_id": "worker-0001", "num_inference_runs": 10}


async def test_models_and_paths_are_suggested(tmp_path):
    (tmp_path / "resnet.onnx").write_bytes(b"model")
    async with dashboard(populated(orchestrator())).run_test(size=SIZE) as pilot:
        await pilot.press("n")
        await settle(pilot)
        entry = pilot.app.screen.focused
        write(pilot, "model:k")
        await wait_until(pilot, lambda: entry._suggestion == "model:kept.onnx")
        await pilot.press("right")
        assert draft(pilot.app).model == "model:kept.onnx"
        entry.value = ""
        write(pilot, f"{tmp_path}/res")
        await wait_until(pilot, lambda: entry._suggestion == f"{tmp_path}/resnet.onnx")
        await pilot.press("right")
        await wait_until(pilot, lambda: complaints(pilot.app) == {})
        assert draft(pilot.app).file == f"{tmp_path}/resnet.onnx"


class Upload:
    """An upload that goes half of the way, and on when it is let."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.begun = 0
        self.cut_off = 0

    def __call__(self, path, name, on_progress) -> Any:
        return self._send(path, name, on_progress)

    async def _send(self, _, name, on_progress):
        self.begun += 1
        on_progress(0, 10_000_000)
        on_progress(5_000_000, 10_000_000)
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        on_progress(10_000_000, 10_000_000)
        return {"name": name, "sha256": "b" * 64}


class Sending(Orchestrator):
    """An orchestrator that takes files."""

    def __init__(self) -> None:
        super().__init__(**orchestrator().answers)
        self.upload = Upload()

    async def __call__(self, method, arguments):
        if method == "upload_model":
            self.asked.append((method, arguments))
            return await self.upload(**arguments)
        return await super().__call__(method, arguments)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my net.onnx"
    path.write_bytes(b"model")
    return path


async def test_a_file_is_uploaded_with_its_progress_and_then_submitted_by_its_hash(file):
    asked = Sending()
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot, str(file))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: "5.0 MB of 10.0 MB" in summary(pilot.app))
        assert summary(pilot.app).startswith("uploading my net.onnx ██████████░░░░░░░░░░")
        asked.upload.goes_on.set()
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, CampaignScreen))
        assert asked.orders("submit")[0]["campaign"]["model_url"] == f"model:sha256:{'b' * 64}/my-net.onnx"
        assert asked.orders("upload_model")[0]["path"] == file


async def test_an_upload_is_stopped_by_esc_and_makes_nothing(file):
    asked = Sending()
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot, str(file))
        before = draft(pilot.app)
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: asked.upload.begun)
        await pilot.press("escape")
        await wait_until(pilot, lambda: asked.upload.cut_off)
        assert said(pilot.app) == "the upload is stopped; it goes on from there when you submit again"
        assert draft(pilot.app) == before
        asked.upload.goes_on.set()
        await wait_until(pilot, lambda: summary(pilot.app).startswith("→ 1 job"))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, CampaignScreen))
        assert len(asked.orders("submit")) == 1


async def test_quitting_in_the_middle_of_an_upload_asks_first(file):
    asked = Sending()
    app = dashboard(populated(asked))
    async with app.run_test(size=SIZE) as pilot:
        await filled(pilot, str(file))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: asked.upload.begun)
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await wait_until(pilot, lambda: isinstance(app.screen, NewCampaignScreen))
        assert asked.upload.cut_off == 0
        await pilot.press("down", "2", "q")
        await wait_until(pilot, lambda: isinstance(app.screen, ConfirmScreen), "the question, from another screen")
        await pilot.press("y")
    assert (asked.upload.cut_off, asked.orders("submit"), app.return_value) == (1, [], 0)


async def test_quitting_loses_no_written_form_unasked_and_asks_for_no_empty_one():
    app = dashboard(populated(orchestrator()))
    async with app.run_test(size=SIZE) as pilot:
        await filled(pilot)
        await pilot.press("q")
        await wait_until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n", "escape", "q")
    assert app.return_value == 0


async def test_a_campaign_submitted_while_one_looks_elsewhere_is_opened_when_one_comes_back(file):
    asked = Sending()
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await filled(pilot, str(file))
        await pilot.press("ctrl+s", "2")
        asked.upload.goes_on.set()
        await wait_until(pilot, lambda: asked.orders("submit"))
        assert pilot.app.current_mode == "workers"
        await pilot.press("1")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, CampaignScreen))


async def test_a_campaign_is_run_again_with_changes():
    asked = orchestrator(
        jobs={
            "count": 2,
            "jobs": [
                {
                    "job_id": f"campaign-1-job-{n}",
                    "campaign_id": "campaign-1",
                    "compute_unit": unit,
                    "status": "complete",
                    "version": n + 1,
                    "options": {
                        "compute_unit": unit,
                        "worker_id": "worker-0001",
                        "threads": 4,
                        "num_inference_runs": 50,
                    },
                }
                for n, unit in enumerate((CPU, GPU))
            ],
        }
    )
    async with dashboard(populated(asked)).run_test(size=SIZE) as pilot:
        await pilot.press("3")
        await settle(pilot)
        table = pilot.app.screen.table
        table.move_to("campaign-2")
        await pilot.press("a")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, NewCampaignScreen))
        await settle(pilot)
        found = draft(pilot.app)
        assert (found.name, found.units, found.which, found.chosen, found.runs, found.options) == (
            "nightly",
            (CPU, GPU),
            "chosen",
            ("worker-0001",),
            "50",
            {"threads": "4"},
        )
        assert pilot.app.screen.query_one(CampaignForm).is_open
        assert "only the first 2 of its 12 jobs" in said(pilot.app)


async def test_where_nothing_may_be_changed_there_is_no_form():
    async with dashboard(populated(orchestrator(), can_change=False)).run_test(size=SIZE) as pilot:
        await pilot.press("n", "3", "a")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, NewCampaignScreen)


async def test_before_anything_is_known_the_form_is_there_and_says_what_is_missing():
    async with dashboard(make_desk(Orchestrator())).run_test(size=SIZE) as pilot:
        await filled(pilot)
        assert "would wait: no live device offers" in summary(pilot.app)


@pytest.mark.parametrize(
    ("state", "width", "height"), [("wrong", 60, 15), ("filled", 80, 24), ("wrong", 80, 24), ("filled", 120, 30)]
)
def test_how_the_form_looks(snap_compare, width, height, state):
    async def press(pilot):
        await pilot.press("n")
        await settle(pilot)
        write(pilot, URL if state == "filled" else "net")
        await pilot.press("tab", "tab", "space")
        if state == "wrong":
            await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: "fill in" not in str(pilot.app.screen.query_one("#summary").render()))
        await pilot.pause(0.3)
        pilot.app.screen.set_focus(pilot.app.screen.form.query_one("Ticks"))
        await pilot.pause(0.1)

    assert snap_compare(dashboard(populated(orchestrator())), terminal_size=(width, height), run_before=press)
