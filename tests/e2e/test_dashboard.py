"""A newcomer's way: a campaign by keys alone, in a real terminal, against the real programs; its result on screen."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.support.light_models import light_models
from tests.support.processes import BENCHFLEET, running_up, until
from tests.support.tmux import HAS_TMUX, Tmux, in_tmux

pytestmark = pytest.mark.skipif(not HAS_TMUX, reason="needs tmux: the dashboard is driven inside it")

MODEL = "light_squeezenet.onnx"
UNSET = " ".join(f"-u {name}" for name in os.environ if name.startswith("BENCHFLEET_"))
MS = r"([0-9.,]+)"


def fill_in_and_submit(screen: Tmux, model: Path) -> None:
    screen.wait_for("live", "1 active")
    screen.press("n")
    screen.wait_for("› new campaign", "CPU (ONNX)", "1 device")  # noqa: RUF001
    screen.write(str(model))
    screen.wait_for(str(model)[-20:])
    screen.press("Tab")
    screen.wait_for("what people call the campaign")
    screen.write("first one")
    screen.press("Tab")
    screen.wait_for("space ticks")
    screen.press("Space")
    screen.wait_for("[x] CPU (ONNX)", "→ 1 job on 1 device")
    screen.press("C-s")


def median_on(screen: Tmux) -> str | None:
    """The figure in the row of the one job, once it is there."""
    found = re.search(rf"✓ complete .* CPU \(ONNX\) .* {MS} +[~✓✗] \w", screen.screen)
    return found.group(1) if found else None


def test_a_campaign_is_submitted_by_keys_alone_and_its_result_is_read_on_screen(tmp_path: Path) -> None:
    model = tmp_path / "my net.onnx"
    model.write_bytes((light_models() / MODEL).read_bytes())
    with running_up(tmp_path / "up") as (_, api):
        script = shlex.join([*BENCHFLEET, "tui", "--url", f"http://{api.host}:{api.port}"])
        with in_tmux(f"env {UNSET} {script}; echo it ended with $?", 80, 24) as screen:
            fill_in_and_submit(screen, model)
            screen.wait_for("› first one")  # noqa: RUF001
            screen.wait_for("✓ completed", "100%")
            shown_ms = until(lambda: median_on(screen), "the job's figure")
            screen.press("Enter")
            job = screen.wait_for("inference", "95 % of the median", "inference runs by their time")
            screen.press("3")
            table = screen.wait_for("first one", "100%")
            screen.press("q")
            screen.wait_for("it ended with 0")
        campaign = (api.get("/campaigns") or {})["campaigns"][0]
        (row,) = api("GET", f"/campaigns/{campaign['campaign_id']}/results?format=json")[1]["results"]
    assert (campaign["name"], campaign["status"]) == ("first one", "completed")
    assert campaign["model_url"].endswith("/my-net.onnx")
    median_ms = row["InferenceMsMedian"]
    assert float(shown_ms.replace(",", "")) == pytest.approx(median_ms, rel=1e-3)
    assert re.search(rf"median {MS} ms", job), job
    assert "1/1" in table
