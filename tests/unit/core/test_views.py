"""From what the store keeps to what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.models import JobSpec
from daemons.core.views import (
    campaign_view,
    iso_time,
    job_view,
    model_file_name,
    public_url,
    result_row,
    result_view,
    worker_health,
    worker_view,
)

CAMPAIGN = {
    "campaign_id": "campaign-1",
    "model_url": "https://me:pw@h/m.onnx",
    "status": "running",
    "total": "3",
    "complete": "1",
}
SPEC = JobSpec(compute_unit="CPU (ONNX)")
WORKER = {
    "worker_id": "worker-1",
    "device_name": "d",
    "ip_address": "",
    "capabilities": '["CPU (ONNX)"]',
    "device_info": '{"Soc":"M9"}',
    "status": "busy",
    "job_id": "campaign-1-job-0",
    "progress": '{"phase":"load"}',
    "last_heartbeat": "1000",
}


def test_times_are_utc_to_the_millisecond_and_unknown_ones_none():
    assert iso_time("1736432000123") == "2025-01-09T14:13:20.123Z"
    assert iso_time(None) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@h:1/m?q#f", "https://h:1/m?q#f"),
        ("https://me@h/m", "https://h/m"),
        ("https://a@b@h/m", "https://h/m"),
        ("https://h/m@2", "https://h/m@2"),
    ],
)
def test_credentials_are_not_shown(url, shown):
    assert public_url(url) == shown


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/tinyyolov2-7.onnx?x=/y", "tinyyolov2-7.onnx"),
        ("https://h/a%20b.onnx", "a b.onnx"),
        ("https://h/a%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://h/..%5C..%5Cx.onnx", "x.onnx"),
        ("https://h/%2e%2e", "model"),
        ("https://h/", "model"),
        ("https://h", "model"),
        ("https://h/a%00%1Bb", "ab"),
        ("https://[h/m", "m"),
    ],
)
def test_a_file_name_is_the_last_part_of_the_path_and_never_a_path(url, name):
    assert model_file_name(url) == name


@given(st.text())
def test_no_url_makes_a_file_name_that_is_a_path(url):
    name = model_file_name(url)
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert "\\" not in name
    assert name.isprintable()
    assert len(name) <= 255


def test_a_campaign_with_all_of_its_counters():
    view = campaign_view(CAMPAIGN)
    assert view["model_url"] == "https://h/m.onnx"
    assert (view["total_jobs"], view["completed_jobs"], view["failed_jobs"]) == (3, 1, 0)
    assert view["job_breakdown"] == {"pending": 0, "running": 0, "complete": 1, "failed": 0, "cancelled": 0}


def test_a_waiting_job_knows_nothing_of_a_device():
    view = job_view("campaign-1-job-0", "campaign-1", {"status": "pending", "spec": "0"}, SPEC)
    assert (view["attempt"], view["worker_id"], view["started_at"]) == (0, None, None)
    assert view["options"] == {"compute_unit": "CPU (ONNX)"}


def test_a_worker_and_its_health():
    view = worker_view(WORKER)
    assert (view["capabilities"], view["device_info"]) == (["CPU (ONNX)"], {"Soc": "M9"})
    assert (view["current_job"], view["progress"]) == ("campaign-1-job-0", {"phase": "load"})
    assert worker_health(WORKER, 6000)["seconds_since_heartbeat"] == 5.0
    assert worker_health(WORKER, 0)["seconds_since_heartbeat"] == 0.0  # the clock was set back
    assert [
        worker_health(WORKER | {"status": status}, 0)["is_healthy"]
        for status in ("active", "busy", "faulty", "offline")
    ] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("status", ["pending", "running"])
def test_no_row_before_the_end(status):
    assert result_row("campaign-1-job-0", {"status": status, "result": "{}"}, SPEC, CAMPAIGN) is None


def test_a_row_has_the_reports_word_on_the_model_over_the_urls():
    state = {"status": "failed", "result": '{"FileName":"real.onnx","Remark":"no"}', "device": '{"Soc":"M9"}'}
    row = result_row("campaign-1-job-0", state, SPEC, CAMPAIGN)
    assert (row["Status"], row["FileName"], row["Soc"], row["Remark"]) == ("Failed", "real.onnx", "M9", "no")
    assert row["Attempt"] is None
    assert "Attempt" not in result_view(row)
    assert result_view(row)["status"] == "Failed"
