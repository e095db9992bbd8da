"""Every request of the user's document, and the shape of its answer as it stands there."""

from __future__ import annotations

import asyncio
import re

from daemons.core.results import SEED_COLUMNS
from tests.support.orchestrator import SEED_DEVICE

TINY_YOLO = (
    "https://github.com/onnx/models/raw/refs/heads/main/validated/vision/object_detection_segmentation/"
    "tiny-yolov2/model/tinyyolov2-7.onnx"
)
SEED_CAMPAIGN = {
    "model_url": TINY_YOLO,
    "jobs": [
        {"compute_unit": "CPU (ONNX)", "num_inference_runs": 10},
        {"compute_unit": "GPU (CoreML)", "num_inference_runs": 10},
    ],
}
FIGURES = {"LoadMsMedian": 45.23, "InferenceMsMedian": 12.5, "PeakInferenceRamUsage": 256.5}


async def register(api):
    return (await api("POST", "/register", SEED_DEVICE)).document["worker_id"]


async def complete(api, worker, **figures):
    job = await api.claim(worker)
    answer = await api.report(worker, job, **(figures or FIGURES))
    assert answer.document == {"job_id": job["job_id"], "status": "complete", "duplicate": False}
    return job["job_id"]


async def test_health(api):
    answer = await api("GET", "/health")
    assert answer.status == 200
    assert answer.document["status"] == "healthy"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer.document["timestamp"])
    assert answer.document["redis"]["connected"] is True


async def test_register_created_then_updated(api):
    first = await api("POST", "/register", SEED_DEVICE)
    assert first.status == 201
    assert re.fullmatch(r"worker-[0-9a-f]+", first.document["worker_id"])
    assert (first.document["status"], first.document["action"]) == ("registered", "created")
    again = await api("POST", "/register", SEED_DEVICE)
    assert again.status == 200
    assert again.document == first.document | {"action": "updated"}


async def test_list_of_workers_and_one_of_them(api):
    empty = (await api("GET", "/workers")).document
    assert {name: empty[name] for name in ("count", "workers")} == {"count": 0, "workers": []}
    worker = await register(api)
    listing = (await api("GET", "/workers")).document
    assert (listing["count"], [one["worker_id"] for one in listing["workers"]]) == (1, [worker])
    view = (await api("GET", f"/workers/{worker}")).document
    assert view == listing["workers"][0]
    assert view["device_info"] == SEED_DEVICE["device_info"]
    assert view["capabilities"] == SEED_DEVICE["capabilities"]
    assert (view["device_name"], view["ip_address"], view["status"]) == ("MacBook Pro", "192.168.1.100", "active")


async def test_worker_status_by_hand_and_reset(api):
    worker = await register(api)
    for status in ("busy", "cleanup", "faulty", "active"):
        answer = await api("PUT", f"/workers/{worker}/status", {"status": status})
        assert (answer.status, answer.document) == (200, {"worker_id": worker, "status": status})
        assert (await api("GET", f"/workers/{worker}")).document["status"] == status
    await api("PUT", f"/workers/{worker}/status", {"status": "faulty"})
    answer = (await api("PUT", f"/workers/{worker}/reset")).document
    assert (answer["worker_id"], answer["status"]) == (worker, "active")
    assert answer["message"]


async def test_heartbeat_with_and_without_a_body(api):
    worker = await register(api)
    for body in (None, {}, {"job_id": None}):
        answer = await api("POST", f"/workers/{worker}/heartbeat", body)
        assert answer.status == 200
        wanted = {"worker_id": worker, "status": "active", "action": "updated"}
        assert wanted.items() <= answer.document.items()


async def test_health_of_one_worker_and_of_all(api):
    worker = await register(api)
    other = await api.worker("two")
    await api("PUT", f"/workers/{other}/status", {"status": "faulty"})
    one = (await api("GET", f"/workers/{worker}/health")).document
    assert (one["worker_id"], one["is_healthy"]) == (worker, True)
    assert one["last_heartbeat"].endswith("Z")
    assert isinstance(one["seconds_since_heartbeat"], int | float)
    everyone = (await api("GET", "/health/workers")).document
    assert (everyone["total"], everyone["healthy"], everyone["unhealthy"]) == (2, 1, 1)
    assert {entry["worker_id"] for entry in everyone["workers"]} == {worker, other}


async def test_campaign_created(api):
    await register(api)
    answer = await api("POST", "/campaigns", SEED_CAMPAIGN)
    assert answer.status == 201
    campaign = answer.document["campaign_id"]
    assert re.fullmatch(r"campaign-\d+", campaign)
    beyond_the_seed = {"jobs_total", "runnable_now", "waiting", "estimate_s", "estimate_notes"}
    assert {key: value for key, value in answer.document.items() if key not in beyond_the_seed} == {
        "campaign_id": campaign,
        "total_jobs": 2,
        "status": "running",
        "jobs": [
            {"job_id": f"{campaign}-job-0", "compute_unit": "CPU (ONNX)", "status": "pending"},
            {"job_id": f"{campaign}-job-1", "compute_unit": "GPU (CoreML)", "status": "pending"},
        ],
        "warnings": [],
    }


async def test_a_campaign_whose_unit_no_live_device_has_is_accepted_with_a_warning(api):
    worker = await api.worker("one", "CPU (ONNX)")
    answer = await api.submit({"compute_unit": "GPU (CoreML)"}, {"compute_unit": "CPU (ONNX)"})
    assert answer["warnings"] == ["no live device offers GPU (CoreML); jobs for it wait until one does"]
    await api("PUT", f"/workers/{worker}/status", {"status": "faulty"})
    answer = await api.submit({"compute_unit": "CPU (ONNX)", "worker_id": worker})
    assert answer["warnings"] == [f"worker {worker} is away; its jobs wait for it"]


async def test_a_job_for_a_worker_runs_on_its_first_unit(api):
    worker = await register(api)
    answer = await api.submit({"worker_id": worker})
    assert answer["jobs"][0]["compute_unit"] == "CPU (ONNX)"
    assert (await api.claim(worker))["compute_unit"] == "CPU (ONNX)"


async def test_campaigns_listed_and_shown(api):
    worker = await register(api)
    for _ in range(3):
        await api.submit()
    await complete(api, worker)
    listing = (await api("GET", "/campaigns")).document
    assert listing["count"] == len(listing["campaigns"]) == 3
    done = listing["campaigns"][-1]
    shown = (await api("GET", f"/campaigns/{done['campaign_id']}")).document
    assert shown == done | {"models": shown["models"]}
    assert (done["status"], done["total_jobs"], done["completed_jobs"]) == ("completed", 1, 1)
    assert done["job_breakdown"] == {"pending": 0, "running": 0, "complete": 1, "failed": 0, "cancelled": 0}
    page = (await api("GET", "/campaigns?limit=2")).document
    rest = (await api("GET", f"/campaigns?limit=2&cursor={page['next_cursor']}")).document
    assert page["campaigns"] + rest["campaigns"] == listing["campaigns"]


async def test_results_as_csv(api):
    worker = await register(api)
    campaign = (await api.submit())["campaign_id"]
    await complete(api, worker)
    answer = await api("GET", f"/campaigns/{campaign}/results")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{campaign}_results.csv"'
    header, row = answer.document.splitlines()
    assert header.split(",")[: len(SEED_COLUMNS)] == list(SEED_COLUMNS)
    assert row.startswith(
        f"Complete,{campaign}-job-0,m.onnx,,CPU (ONNX),MacBook Pro,Apple M2 Pro,16,Darwin,45.23,,,,12.5"
    )


async def test_job_pending_then_with_its_result(api):
    worker = await register(api)
    campaign = (await api.submit())["campaign_id"]
    job_id = f"{campaign}-job-0"
    pending = (await api("GET", f"/jobs/{job_id}")).document
    assert pending["result"] is None
    wanted = {"job_id": job_id, "campaign_id": campaign, "compute_unit": "CPU (ONNX)"}
    assert (wanted | {"status": "pending"}).items() <= pending["job"].items()
    await complete(api, worker)
    done = (await api("GET", f"/jobs/{job_id}")).document
    assert (wanted | {"status": "complete"}).items() <= done["job"].items()
    assert (FIGURES | {"status": "Complete"}).items() <= done["result"].items()
    assert "LoadMsAverage" not in done["result"]


async def test_queue_status(api):
    worker = await register(api)
    await api.submit({"worker_id": worker}, *[{"compute_unit": "GPU (ONNX)"}] * 2)
    status = (await api("GET", "/queue/status")).document
    assert status["worker_queues"] == {worker: {"device_name": "MacBook Pro", "queue_size": 1}}
    assert status["capability_queues"] == {
        "CPU (ONNX)": 0,
        "GPU (ONNX)": 2,
        "GPU (CoreML)": 0,
        "Neural Engine (CoreML)": 0,
    }
    assert status["results_queue_size"] == 0


async def test_results_files_and_download(api):
    worker = await register(api)
    assert (await api("GET", "/results/files")).document == {"count": 0, "files": []}
    campaign = (await api.submit())["campaign_id"]
    await complete(api, worker)
    listing = (await api("GET", "/results/files")).document
    assert listing["count"] == 1
    (file,) = listing["files"]
    assert re.fullmatch(rf"{campaign}_\d{{8}}_\d{{6}}_results\.csv", file["filename"])
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", file["modified"])
    assert file["size_mb"] > 0
    answer = await api("GET", f"/results/download/{file['filename']}")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.document == (await api("GET", f"/campaigns/{campaign}/results")).document


async def test_monitoring_stats(api):
    worker = await register(api)
    await api.submit()
    await api.claim(worker)
    stats = (await api("GET", "/monitoring/stats")).document
    assert (stats["health_monitor"]["workers_total"], stats["health_monitor"]["workers_healthy"]) == (1, 1)
    assert stats["timeout_handler"]["attempts_running"] == 1


async def test_reset_clears_all_but_the_files(api):
    worker = await register(api)
    campaign = (await api.submit())["campaign_id"]
    await complete(api, worker)
    file = (await api("GET", "/results/files")).document["files"][0]["filename"]
    answer = (await api("POST", "/reset")).document
    assert answer["status"] == "reset"
    assert answer["message"]
    assert [answer[f"{what}_cleared"] for what in ("workers", "campaigns", "jobs", "queues", "results")] == [True] * 5
    assert (await api("GET", "/workers")).document["count"] == 0
    assert (await api("GET", "/campaigns")).document["count"] == 0
    assert (await api("GET", f"/campaigns/{campaign}")).status == 404
    assert (await api("GET", f"/results/download/{file}")).status == 200
    assert (await api("GET", f"/campaigns/{campaign}/results")).document.startswith("Status,")
    assert (await api("GET", f"/campaigns/{campaign}_{file.split('_')[1]}/results")).status == 404


async def test_cancel_of_a_campaign_and_of_a_job(api):
    worker = await register(api)
    accepted = await api.submit(*[{"compute_unit": "CPU (ONNX)"}] * 3)
    campaign, jobs = accepted["campaign_id"], [job["job_id"] for job in accepted["jobs"]]
    await api.claim(worker)
    one = (await api("POST", f"/jobs/{jobs[2]}/cancel")).document
    assert one == {"job_id": jobs[2], "status": "cancelled", "stopping": False}
    answer = (await api("POST", f"/campaigns/{campaign}/cancel")).document
    assert (answer["cancelled"], answer["stopping"], answer["status"]) == (1, 1, "running")
    beat = {"job_id": jobs[0], "attempt": 1}
    assert (await api("POST", f"/workers/{worker}/heartbeat", beat)).document["cancel"] == jobs[0]
    await api.report(worker, {"job_id": jobs[0], "attempt": 1}, "Cancelled")
    assert (await api("GET", f"/campaigns/{campaign}")).document["status"] == "cancelled"
    table = (await api("GET", f"/campaigns/{campaign}/results")).document
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == ["Cancelled"] * 3


async def test_release_and_goodbye(api):
    worker = await register(api)
    await api.submit()
    job = await api.claim(worker)
    body = {"worker_id": worker, "attempt": 1, "reason": "told to stop"}
    assert (await api("POST", f"/jobs/{job['job_id']}/release", body)).document == {
        "job_id": job["job_id"],
        "status": "pending",
    }
    answer = (await api("POST", f"/workers/{worker}/goodbye", {})).document
    assert answer == {"worker_id": worker, "status": "offline"}


async def test_64_campaigns_at_once_get_64_identifiers(api):
    answers = await asyncio.gather(*(api("POST", "/campaigns", SEED_CAMPAIGN) for _ in range(64)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.document["campaign_id"] for answer in answers}) == 64


async def test_an_idempotency_key_makes_one_campaign_of_many_posts(api):
    answers = await asyncio.gather(*(api.submit(Idempotency_Key="a key") for _ in range(8)))
    assert len({answer["campaign_id"] for answer in answers}) == 1
    other = await api("POST", "/campaigns", SEED_CAMPAIGN, Idempotency_Key="a key")
    assert (other.status, other.document["code"]) == (409, "conflict")
    assert (await api("GET", "/campaigns")).document["count"] == 1
