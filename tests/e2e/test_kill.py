"""Processes are killed at the worst moment; nothing is lost, nothing comes twice, and nothing stays behind."""

from __future__ import annotations

import csv
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.light_models import serve_light_models
from tests.support.processes import Api, descendants, kill, program, running_up, until

QUICK = {
    "BENCHFLEET_FLEET__HEARTBEAT_INTERVAL_S": "0.2",
    "BENCHFLEET_FLEET__HEARTBEAT_TIMEOUT_S": "3",
    "BENCHFLEET_FLEET__RETRY_DELAY_S": "0.1",
}
"""The fleet's times, scaled down."""


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    with serve_light_models() as url:
        yield url


def submit(api: Api, models: str, jobs: int, runs: int) -> str:
    job = {"compute_unit": "CPU (ONNX)", "num_inference_runs": runs, "num_load_runs": 1}
    status, answer = api("POST", "/campaigns", {"model_url": f"{models}/light_squeezenet.onnx", "jobs": [job] * jobs})
    assert status == 201, answer
    return str(answer["campaign_id"])


def running_phase(api: Api, phase: str) -> str | None:
    """The job that some worker has in this phase."""
    for worker in (api.get("/workers") or {"workers": []})["workers"]:
        if (worker["progress"] or {}).get("phase") == phase:
            return str(worker["current_job"])
    return None


def ended(api: Api, campaign_id: str) -> Any:
    campaign = api.get(f"/campaigns/{campaign_id}")
    return campaign if campaign and campaign["status"] != "running" else None


def rows_of(api: Api, campaign_id: str) -> list[dict[str, str]]:
    _, text = api("GET", f"/campaigns/{campaign_id}/results")
    return list(csv.DictReader(io.StringIO(text)))


def assert_each_job_once_and_complete(api: Api, campaign_id: str, jobs: int) -> None:
    rows = rows_of(api, campaign_id)
    assert [row["JobId"] for row in rows] == [f"{campaign_id}-job-{place}" for place in range(jobs)]
    assert {row["Status"] for row in rows} == {"Complete"}
    files = [file["filename"] for file in api.get("/results/files")["files"]]
    assert [name.split("_")[0] for name in files].count(campaign_id) == 1


def test_a_worker_killed_in_mid_job_is_started_again_and_its_job_completes(tmp_path: Path, models: str) -> None:
    with running_up(tmp_path, **QUICK) as (process, api):
        campaign_id = submit(api, models, jobs=2, runs=600)
        job_id = until(lambda: running_phase(api, "measuring"), "a measurement")
        worker = program(process, "daemons", "worker")
        assert worker is not None
        measuring = worker.children(recursive=True)

        kill(worker)

        assert until(lambda: ended(api, campaign_id), "the campaign's end")["status"] == "completed"
        assert_each_job_once_and_complete(api, campaign_id, jobs=2)
        job = api.get(f"/jobs/{job_id}")["job"]
        assert job["attempt"] == 2
        assert [entry["event"] for entry in job["history"]] == ["claimed", "lost", "claimed", "complete"]
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in measuring)


def test_an_orchestrator_killed_under_a_campaign_loses_nothing_and_runs_nothing_again(
    tmp_path: Path, models: str
) -> None:
    with running_up(tmp_path, **QUICK) as (process, api):
        campaign_id = submit(api, models, jobs=4, runs=300)
        until(lambda: running_phase(api, "measuring"), "a measurement")
        orchestrator = program(process, "daemons", "orchestrator")
        assert orchestrator is not None

        kill(orchestrator)

        assert until(lambda: ended(api, campaign_id), "the campaign's end")["status"] == "completed"
        assert_each_job_once_and_complete(api, campaign_id, jobs=4)
        attempts = [row["Attempt"] for row in rows_of(api, campaign_id)]
        assert attempts == ["1"] * 4


def test_no_connection_is_refused_while_the_orchestrator_is_started_again(tmp_path: Path) -> None:
    """Whoever runs the stack holds the port: connections wait, and are answered by the next process."""
    with running_up(tmp_path, workers=0, **QUICK) as (process, api):
        address = (api.host, api.port)
        for _ in range(2):
            orchestrator = program(process, "daemons", "orchestrator")
            assert orchestrator is not None
            kill(orchestrator)
            with socket.create_connection(address, timeout=30) as connection:
                connection.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
            again = program(process, "daemons", "orchestrator")
            assert again is not None
            assert again.pid != orchestrator.pid


def test_everything_killed_at_once_goes_on_where_it_was(tmp_path: Path, models: str) -> None:
    with running_up(tmp_path, **QUICK) as (process, api):
        campaign_id = submit(api, models, jobs=3, runs=400)
        until(lambda: running_phase(api, "measuring"), "a measurement")
        family = descendants(process)
        process.kill()
        process.wait()
        for child in family:
            kill(child)

    with running_up(tmp_path, **QUICK) as (_, api):
        assert until(lambda: ended(api, campaign_id), "the campaign's end")["status"] == "completed"
        assert_each_job_once_and_complete(api, campaign_id, jobs=3)
        assert len(api.get("/workers")["workers"]) == 1


def test_up_ends_on_sigterm_in_mid_job_and_leaves_no_process_and_the_job_unharmed(tmp_path: Path, models: str) -> None:
    with running_up(tmp_path, **QUICK) as (process, api):
        campaign_id = submit(api, models, jobs=1, runs=20_000)
        until(lambda: running_phase(api, "measuring"), "a measurement")
        family = descendants(process)

        process.terminate()

        assert process.wait(timeout=30) == 0
        assert [child for child in family if child.is_running()] == []

    with running_up(tmp_path, workers=0, **QUICK) as (_, api):
        job = api.get(f"/jobs/{campaign_id}-job-0")["job"]
        assert job["status"] == "pending"
        assert job["lost_attempts"] == 0


def test_a_killed_up_leaves_no_process_behind(tmp_path: Path, models: str) -> None:
    with running_up(tmp_path, **QUICK) as (process, api):
        submit(api, models, jobs=1, runs=20_000)
        until(lambda: running_phase(api, "measuring"), "a measurement")
        family = descendants(process)

        process.kill()

        until(lambda: not any(child.is_running() for child in family), "the end of what it had started")
