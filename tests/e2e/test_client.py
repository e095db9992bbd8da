"""The client and a whole stack: the examples of docs/client.md, a notebook, and an orchestrator that is killed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from daemons.client import SyncClient
from tests.support.light_models import light_models
from tests.support.processes import kill, program, running_up

PAGE = Path(__file__).parents[2] / "docs/client.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
CPU = "CPU (ONNX)"


class Stack(NamedTuple):
    """A running one."""

    url: str
    orchestrator: psutil.Process


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_up(tmp_path_factory.mktemp("stack")) as (process, api):
        orchestrator = program(process, "orchestrator")
        assert orchestrator is not None
        yield Stack(f"http://{api.host}:{api.port}", orchestrator)


async def run_cell(code: str, names: dict[str, Any]) -> None:
    """What a notebook does with a cell."""
    compiled = compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(compiled, names)
    if inspect.isawaitable(outcome):
        await outcome


async def test_the_examples_do_what_the_page_says(stack, tmp_path, monkeypatch, capsys):
    """Those without await run while a loop runs, as in a notebook."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHFLEET_URL", stack.url)
    monkeypatch.delenv("BENCHFLEET_TOKEN_FILE", raising=False)
    await asyncio.to_thread(shutil.copy, light_models() / "light_squeezenet.onnx", tmp_path / "net.onnx")
    names: dict[str, Any] = {}
    said = []
    for example in EXAMPLES:
        await run_cell(example, names)
        said.append(capsys.readouterr().out)
    url, waited, results, followed, events, lists, synchronous, refused = said
    assert url.strip() == stack.url
    assert waited.startswith("completed [")
    assert [record["Status"] for record in names["everything"]] == ["Complete"]
    assert all(record["InferenceMsMedian"] > 0 for record in names["everything"])
    assert len(results.splitlines()) == 1
    assert names["text"].count("Complete") == 1
    assert [line.split()[-1] for line in followed.splitlines() if "-job-0 " in line][-1] == "complete"
    assert " ready " in events
    assert CPU in names["units"]
    assert names["failed"] == []
    assert len(lists.splitlines()) == 1
    assert synchronous.splitlines() == ["job complete", "campaign completed"]
    assert len(names["records"]) == 1
    assert "campaign-1" in refused


def test_following_without_await_outlives_an_orchestrator_that_is_killed(stack):
    with SyncClient(stack.url) as client:
        url = client.upload_model(light_models() / "light_squeezenet.onnx")["model_url"]
        jobs = [{"compute_unit": CPU, "num_inference_runs": 10}]
        campaign = client.campaign_of(client.submit({"model_url": url, "jobs": jobs})["campaign_id"])
        told = []
        for event in campaign.follow():
            told.append(event)
            if event.type == "job" and event.state["status"] == "running" and stack.orchestrator.is_running():
                kill(stack.orchestrator)
        assert told[-1].state["status"] == "completed"
        ends = [event.state["job_id"] for event in told if event.state.get("status") == "complete"]
        assert ends == [f"{campaign.campaign_id}-job-0"]
        assert not stack.orchestrator.is_running()
        assert client.campaign_of(campaign.campaign_id).wait()["completed_jobs"] == 1
