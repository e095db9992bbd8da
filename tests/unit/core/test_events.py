"""From what Redis publishes to what listeners see."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.events import Event, EventFilter, EventType, Position, event_of, position_of, ready, resync

EPOCH = "0123456789ab"
CAMPAIGN = {
    "campaign_id": "campaign-17",
    "status": "running",
    "model_url": "http://me:secret@models.example/m.onnx",
    "credentials": "lab",
    "total": "2",
    "pending": "1",
    "running": "1",
    "cancel_requested": "1",
    "created_at": "1736432000123",
    "version": "7",
}
JOB = {
    "job_id": "campaign-17-job-1",
    "status": "complete",
    "spec": "0",
    "attempt": "2",
    "worker_id": "worker-1",
    "claim_id": "secret",
    "result": '{"LoadMsMedian":1.5}',
    "ended_at": "1736432000123",
    "spec_json": '{"compute_unit":"CPU (ONNX)","threads":2}',
    "version": "8",
}
WORKER = {
    "worker_id": "worker-1",
    "identity": "udid:secret",
    "instance_id": "secret",
    "device_name": "one",
    "ip_address": "",
    "capabilities": '["CPU (ONNX)"]',
    "device_info": "{}",
    "status": "busy",
    "job_id": "campaign-17-job-1",
    "registered_at": "1736432000123",
    "version": "9",
}
PROGRESS = {
    "job_id": "campaign-17-job-1",
    "worker_id": "worker-1",
    "attempt": 2,
    "progress": '{"phase":"measuring","done":3,"total":10}',
}


def told(kind, state, seq=5):
    message = {"type": kind, "seq": seq, "epoch": EPOCH, "at": "1736432000123", "state": state}
    return event_of(json.dumps(message))


def test_an_event_says_when_it_happened_and_where_it_stands():
    event = told("campaign", CAMPAIGN)
    assert (event.type, event.at, str(event.position)) == ("campaign", "2025-01-09T14:13:20.123Z", f"{EPOCH}-5")


@pytest.mark.parametrize(
    ("kind", "kept", "key"),
    [("campaign", CAMPAIGN, 7), ("job", JOB, 8), ("worker", WORKER, 9), ("progress", PROGRESS, 0)],
)
def test_the_state_is_what_the_api_shows_and_tells_no_secret(kind, kept, key):
    event = told(kind, kept)
    assert event.state.get("version", 0) == key
    assert "secret" not in json.dumps(event.state)


def test_a_job_has_its_options_and_belongs_to_its_campaign_and_device():
    event = told("job", JOB)
    assert event.state["options"] == {"compute_unit": "CPU (ONNX)", "threads": 2}
    assert (event.campaign_id, event.worker_id) == ("campaign-17", "worker-1")


def test_a_job_that_waits_for_one_device_is_about_it():
    waiting = JOB | {"status": "pending", "spec_json": '{"compute_unit":"x","worker_id":"worker-2"}'}
    del waiting["worker_id"]
    assert told("job", waiting).worker_id == "worker-2"


def test_progress_is_decoded_and_belongs_to_the_campaign():
    event = told("progress", PROGRESS)
    assert event.state["progress"] == {"phase": "measuring", "done": 3, "total": 10}
    assert (event.campaign_id, event.worker_id) == ("campaign-17", "worker-1")


def test_what_is_removed_is_named_and_a_reset_tells_nothing_more():
    assert told("worker_removed", {"worker_id": "worker-1"}).state == {"worker_id": "worker-1"}
    assert told("campaign_removed", {"campaign_id": "campaign-17"}).state == {"campaign_id": "campaign-17"}
    reset = event_of(json.dumps({"type": "reset", "seq": 0, "epoch": EPOCH, "at": "1736432000123"}))
    assert (reset.seq, reset.state) == (0, {})


def test_of_an_unknown_kind_nothing_is_shown():
    assert told("from_the_future", {"password": "secret"}).state == {}


def test_a_filter_lets_through_what_it_names_and_what_concerns_everything():
    events = [told("campaign", CAMPAIGN), told("job", JOB), told("worker", WORKER), told("progress", PROGRESS)]
    whole = [ready(Position(EPOCH, 1)), resync(Position(EPOCH, 1), "why"), told("reset", {})]

    def taken(**wanted):
        return [event.type for event in events if EventFilter(**wanted).takes(event)]

    assert taken() == ["campaign", "job", "worker", "progress"]
    assert taken(campaign_id="campaign-17") == ["campaign", "job", "progress"]
    assert taken(worker_id="worker-1") == ["job", "worker", "progress"]
    assert taken(types=frozenset({EventType.JOB})) == ["job"]
    assert taken(types=frozenset({EventType.JOB}), campaign_id="campaign-18") == []
    assert all(EventFilter(frozenset({"job"}), "campaign-18", "worker-2").takes(event) for event in whole)


@given(st.from_regex(r"[0-9a-f]{12}", fullmatch=True), st.integers(0, 10**15 - 1))
def test_a_position_survives_its_text(epoch, seq):
    assert position_of(str(Position(epoch, seq))) == Position(epoch, seq)


@pytest.mark.parametrize("text", ["", "5", EPOCH, f"{EPOCH}-", f"{EPOCH}--1", f"{EPOCH}-5\n", "0123456789AB-5", "x-5"])
def test_another_text_is_no_position(text):
    with pytest.raises(ValueError, match="0123456789ab-42"):
        position_of(text)


def test_what_a_stream_says_of_itself_stands_where_it_is_said():
    assert ready(Position(EPOCH, 7)) == Event(type="ready", seq=7, epoch=EPOCH, at=None, state={})
    assert resync(Position(EPOCH, 7), "why").state == {"reason": "why"}
