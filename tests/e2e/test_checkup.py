"""Real workers measure the real reference model: one whose disk fails is set aside, and is back when it works again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemons.core import health
from tests.support.light_models import serve_light_models
from tests.support.processes import Api, running_up, until

QUICK = {
    "BENCHFLEET_FLEET__HEARTBEAT_INTERVAL_S": "0.2",
    "BENCHFLEET_FLEET__RETRY_DELAY_S": "0.1",
    "BENCHFLEET_FLEET__HEALTH_INTERVAL_S": "1",
}
"""The fleet's times, scaled down. A device is checked again after the interval, whatever the pause is."""
NEVER = {"BENCHFLEET_FLEET__HEALTH_INTERVAL_S": "null"}


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    with serve_light_models() as url:
        yield url


def the_worker(api: Api) -> Any:
    (worker,) = api.get("/workers")["workers"]
    return worker


def test_a_device_set_aside_by_its_failures_comes_back_by_itself(tmp_path: Path, models: str) -> None:
    with running_up(tmp_path, **QUICK) as (_, api):
        folder = tmp_path / "workers/1/models"
        folder.rename(folder.with_name("models-aside"))
        folder.write_text("in the place of a folder of models: nothing can be kept here")
        job = {"compute_unit": "CPU (ONNX)", "num_inference_runs": 3, "num_load_runs": 1}
        _, campaign = api("POST", "/campaigns", {"model_url": f"{models}/light_squeezenet.onnx", "jobs": [job]})

        worker = until(lambda: (one := the_worker(api))["health"]["passed"] is False and one, "a failed checkup")

        assert worker["status"] == "faulty"
        assert "its reference model failed on" in worker["faulty_reason"]
        view = api.get(f"/jobs/{campaign['campaign_id']}-job-0")["job"]
        assert (view["status"], view["device_failures"], view["lost_attempts"]) == ("pending", 3, 0)

        folder.unlink()

        until(lambda: api.get(f"/campaigns/{campaign['campaign_id']}")["status"] == "completed", "the campaign's end")
        worker = the_worker(api)
        assert worker["faulty_reason"] is None
        assert worker["health"]["passed"] is True
        checkups = api.get("/campaigns?kind=health")["campaigns"]
        assert {checkup["kind"] for checkup in checkups} == {"health"}
        assert {"failed", "completed"} <= {checkup["status"] for checkup in checkups}
        events = [entry["event"] for entry in api.get(f"/jobs/{campaign['campaign_id']}-job-0")["job"]["history"]]
        assert events == [*["claimed", "device_failed"] * 3, "claimed", "complete"]
        assert len(api.get("/results/files")["files"]) == 1, "of the user's campaign"


def test_a_checkup_measures_every_unit_that_takes_the_model(tmp_path: Path) -> None:
    with running_up(tmp_path, **NEVER) as (_, api):
        worker = the_worker(api)
        status, started = api("POST", f"/workers/{worker['worker_id']}/check")
        assert status == 201, started

        worker = until(lambda: (one := the_worker(api))["health"]["checked_at"] and one, "the checkup's end")

        assert (worker["status"], worker["health"]["passed"]) == ("active", True), worker["health"]["reason"]
        assert set(worker["health"]["units"]) == set(worker["capabilities"]) & set(health.UNITS)
        assert all(one["median_ms"] > 0 for one in worker["health"]["units"].values())
        result = api.get(f"/jobs/{started['campaign_id']}-job-0")["result"]
        assert (result["FileName"], result["ModelHash"]) == ("health-1.onnx", health.MODEL_SHA256)
        assert result["OutputsAgree"] is True
