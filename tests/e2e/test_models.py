"""A model reaches every device once its source has gone: uploaded, or fetched by the orchestrator for all."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemons.client import Client
from tests.benchmarks.models import MIB, measure
from tests.support.light_models import light_models, serve_light_models
from tests.support.processes import Api, kill, program, running_up, until

CPU = "CPU (ONNX)"
MODEL = "light_squeezenet.onnx"
OTHER = "light_shufflenet.onnx"
DEVICES = 3


def sha256_of(model: str) -> str:
    return hashlib.sha256((light_models() / model).read_bytes()).hexdigest()


def devices(api: Api) -> list[str]:
    """All devices, once all are there."""

    def look() -> list[str] | None:
        workers = (api.get("/workers") or {"workers": []})["workers"]
        return [worker["worker_id"] for worker in workers] if len(workers) == DEVICES else None

    return until(look, f"{DEVICES} devices") or []


def submit(api: Api, model_url: str, workers: list[str], **more: Any) -> str:
    """A campaign of one job for each of the devices."""
    job = {"compute_unit": CPU, "num_inference_runs": 3, "num_load_runs": 1, "warmup_runs": 1, **more}
    jobs = [job | {"worker_id": worker} for worker in workers]
    status, answer = api("POST", "/campaigns", {"model_url": model_url, "jobs": jobs})
    assert status == 201, answer
    return str(answer["campaign_id"])


def rows_at_the_end(api: Api, campaign_id: str) -> list[dict[str, str]]:
    until(lambda: (api.get(f"/campaigns/{campaign_id}") or {}).get("status") not in (None, "running"), "its end")
    _, text = api("GET", f"/campaigns/{campaign_id}/results")
    return list(csv.DictReader(io.StringIO(text)))


def assert_measured_everywhere(rows: list[dict[str, str]], workers: list[str], model: str = MODEL) -> None:
    assert {row["WorkerId"] for row in rows} == set(workers)
    for row in rows:
        assert (row["Status"], row["FileName"], row["ModelHash"]) == ("Complete", model, sha256_of(model)), row
        assert float(row["InferenceMsMedian"]) > 0


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_up(tmp_path_factory.mktemp("stack"), workers=DEVICES) as (_, running):
        yield running


async def upload(api: Api, model: str) -> Any:
    async with Client(f"http://{api.host}:{api.port}") as client:
        return await client.upload_model(light_models() / model)


def test_a_model_uploaded_once_is_benchmarked_on_three_devices_and_there_is_no_source(api: Api) -> None:
    model = asyncio.run(upload(api, MODEL))
    assert model["sha256"] == sha256_of(MODEL)
    workers = devices(api)
    assert_measured_everywhere(rows_at_the_end(api, submit(api, model["model_url"], workers)), workers)


def test_a_model_whose_source_goes_after_the_first_claim_reaches_the_other_devices(api: Api) -> None:
    """The devices measure one after another: the last one has begun at the most when the source has gone."""
    workers = devices(api)
    with serve_light_models() as source:
        campaign_id = submit(api, f"{source}/{OTHER}", workers, num_inference_runs=300)
        until(lambda: api.get(f"/campaigns/{campaign_id}")["model_sha256"], "the first device's claim")
    assert api.get(f"/campaigns/{campaign_id}")["completed_jobs"] < DEVICES
    assert_measured_everywhere(rows_at_the_end(api, campaign_id), workers, OTHER)


def test_a_matrix_of_several_models_is_measured_on_every_device_each_by_its_own_bytes(api: Api) -> None:
    """One model is kept, one is fetched once for all; every row is about its own."""
    workers = devices(api)
    content = (light_models() / MODEL).read_bytes()
    with serve_light_models() as source:
        matrix = {
            "models": [f"{source}/{OTHER}", f"model:sha256:{sha256_of(MODEL)}/{MODEL}"],
            "compute_units": [CPU],
            "devices": "every",
            "options": [{"num_inference_runs": 3, "num_load_runs": 1, "warmup_runs": 1}],
        }
        asyncio.run(upload(api, MODEL))
        status, answer = api("POST", "/campaigns", {"matrix": matrix, "name": "several"})
        assert (status, answer["jobs_total"], answer["runnable_now"]) == (201, 2 * DEVICES, 2 * DEVICES)
        rows = rows_at_the_end(api, answer["campaign_id"])
    assert_measured_everywhere(rows[:DEVICES], workers, OTHER)
    assert_measured_everywhere(rows[DEVICES:], workers)
    assert {row["FileSize"] for row in rows[DEVICES:]} == {str(len(content))}
    shown = api.get(f"/campaigns/{answer['campaign_id']}")
    assert [model["model_sha256"] for model in shown["models"]] == [sha256_of(OTHER), sha256_of(MODEL)]
    status, again = api("POST", "/campaigns", {"matrix": matrix})
    assert again["estimate_s"] > 0, "what was measured once has a history"
    api("POST", f"/campaigns/{again['campaign_id']}/cancel")


def test_without_pull_through_each_device_fetches_by_itself(tmp_path: Path) -> None:
    """So that the test above shows what it says."""
    with running_up(tmp_path, workers=DEVICES, BENCHFLEET_MODELS__PULL_THROUGH="false") as (_, api):
        workers = devices(api)
        with serve_light_models() as source:
            first = submit(api, f"{source}/{MODEL}", workers[:1])
            assert_measured_everywhere(rows_at_the_end(api, first), workers[:1])
            url = f"{source}/{MODEL}"
        rows = rows_at_the_end(api, submit(api, url, workers[1:2]))
        assert {row["Status"] for row in rows} == {"Failed"}
        assert "could not be fetched" in rows[0]["Remark"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process's highest memory")
def test_a_large_model_passes_in_constant_memory(tmp_path: Path) -> None:
    """`python -m tests.benchmarks.models` shows the same with as many GiB as one likes."""
    costs = measure(256 * MIB, tmp_path)
    assert costs.is_the_same
    assert costs.orchestrator_grew_bytes < 64 * MIB
    assert costs.client_peak_bytes < 128 * MIB


def test_an_orchestrator_killed_in_the_middle_of_an_upload_costs_nothing_that_was_there(tmp_path: Path) -> None:
    content = bytes(range(256)) * 200_000
    (tmp_path / "net.onnx").write_bytes(content)
    told: list[int] = []

    with running_up(tmp_path / "data", workers=0) as (process, api):

        def kill_at_half(done: int, total: int) -> None:
            if max(told, default=0) < total // 2 <= done:
                kill(program(process, "daemons", "orchestrator") or process_is_missing())
            told.append(done)

        async def upload() -> Any:
            async with Client(f"http://{api.host}:{api.port}") as client:
                model = await client.upload_model(tmp_path / "net.onnx", on_progress=kill_at_half)
                await client.download_model("net.onnx", tmp_path / "back.onnx")
                return model

        model = asyncio.run(upload())
    assert model["sha256"] == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "back.onnx").read_bytes() == content
    went_back_to = [now for last, now in itertools.pairwise(told) if now < last]
    assert len(went_back_to) <= 1, "where all that was sent had arrived, nothing is sent again"
    assert all(place > len(content) // 4 for place in went_back_to)


def process_is_missing() -> Any:
    raise AssertionError("there is no orchestrator")
