"""How far a campaign is, from events to lines: no clock, no terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.cli.bars import ASCII, MOST_JOBS, UNICODE, Following, bar, counts, summary
from daemons.core.events import Event

ID = "campaign-1736432000123456"
BEGAN = "2025-01-09T14:00:00.000Z"


def a_campaign(version=1, status="running", **breakdown):
    jobs = {"pending": 0, "running": 0, "complete": 0, "failed": 0, "cancelled": 0} | breakdown
    return {
        "campaign_id": ID,
        "model_url": "https://example.org/nets/net.onnx",
        "status": status,
        "total_jobs": sum(jobs.values()),
        "job_breakdown": jobs,
        "created_at": BEGAN,
        "version": version,
    }


def event(kind, state, at=None):
    return Event(type=kind, seq=1, epoch="0" * 12, at=at, state=state)


def a_job(place=0, status="running", worker="worker-1", attempt=1, unit="CPU (ONNX)"):
    return {
        "job_id": f"{ID}-job-{place}",
        "status": status,
        "worker_id": worker,
        "attempt": attempt,
        "compute_unit": unit,
    }


def progress(place=0, **what):
    return event("progress", {"job_id": f"{ID}-job-{place}", "progress": what})


@given(done=st.floats(-5, 50), total=st.floats(0, 40), width=st.integers(1, 60))
def test_a_bar_has_its_width_and_is_full_only_at_the_end(done, total, width):
    text = bar(done, total, width, ASCII)
    assert len(text) == width
    assert set(text) <= {"#", "-"}
    assert ("-" not in text) == (total > 0 and done >= total)
    assert text == "".join(sorted(text)), "no gap before what is done"


def test_bars_grow_with_what_is_done():
    assert [bar(done, 4, 8, UNICODE).count("█") for done in range(5)] == [0, 2, 4, 6, 8]


def test_what_there_is_none_of_is_not_counted_aloud():
    assert counts(a_campaign(complete=2, failed=1, pending=3)) == ["2 complete", "1 failed"]


def test_a_summary_names_the_campaign_its_model_its_status_and_its_counts():
    told = summary(a_campaign(status="completed", complete=1500, failed=1))
    assert told == f"{ID} (net.onnx): completed; 1,501 jobs: 1,500 complete, 1 failed"
    assert summary(a_campaign(pending=1)) == f"{ID} (net.onnx): running; 1 job: 1 waiting"


def test_each_thing_that_happens_to_a_job_is_a_line_once():
    following = Following(a_campaign(pending=1))
    following.names["worker-1"] = "mac-mini"
    jobs = [a_job(), a_job(), a_job(status="pending"), a_job(attempt=2), a_job(status="complete", attempt=2)]
    assert [following.apply(event("job", job), 0) for job in jobs] == [
        f"{ID}-job-0: CPU (ONNX) running on mac-mini",
        None,
        f"{ID}-job-0: CPU (ONNX) waits again",
        f"{ID}-job-0: CPU (ONNX) running on mac-mini, attempt 2",
        f"{ID}-job-0: CPU (ONNX) complete on mac-mini",
    ]


def test_jobs_that_have_only_waited_so_far_are_no_news():
    following = Following(a_campaign(pending=1))
    assert following.apply(event("job", a_job(status="pending", worker=None, attempt=0)), 0) is None


def test_a_job_that_no_device_took_ends_on_none():
    following = Following(a_campaign(pending=1))
    told = following.apply(event("job", a_job(status="cancelled", worker=None, attempt=0)), 0)
    assert told == f"{ID}-job-0: CPU (ONNX) cancelled"


def test_a_frame_has_the_campaign_and_its_running_jobs():
    following = Following(a_campaign(running=2, complete=1, pending=1))
    following.apply(event("job", a_job(0)), 0)
    following.apply(event("job", a_job(1, worker="worker-2", unit="GPU (ONNX)")), 0)
    following.apply(progress(1, phase="measuring", done=50, total=100), 0)
    assert following.frame(0, ASCII) == [
        "######------------------ 1/4 jobs, 1 complete, 2 running",
        "  worker-1, CPU (ONNX), starting",
        "  worker-2, GPU (ONNX), measuring ######------ 50/100",
    ]


def test_what_has_ended_leaves_the_frame_with_its_progress():
    following = Following(a_campaign(running=1))
    following.apply(event("job", a_job()), 0)
    following.apply(progress(phase="measuring", done=5, total=10), 0)
    following.apply(event("job", a_job(status="pending")), 0)
    assert len(following.frame(0, ASCII)) == 1
    following.apply(progress(phase="measuring", done=6, total=10), 0)  # of the attempt that was lost
    following.apply(event("job", a_job(attempt=2)), 0)
    assert following.frame(0, ASCII)[1] == "  worker-1, CPU (ONNX), starting"


def test_a_frame_stays_small_with_many_running_jobs():
    following = Following(a_campaign(running=5000))
    for place in range(5000):
        following.apply(event("job", a_job(place)), 0)
    frame = following.frame(0, ASCII)
    assert len(frame) == MOST_JOBS + 2
    assert frame[-1] == f"  and {5000 - MOST_JOBS:,} more running"


def test_the_time_left_is_told_by_history_first_and_by_the_campaign_itself_then():
    following = Following(a_campaign(pending=4), estimate_s=120.0, now_s=1000.0)
    assert "about 2 min left" in following.frame(1000.0, ASCII)[0]
    assert "about 30 s left" in following.frame(1090.0, ASCII)[0]
    ended = a_campaign(version=2, pending=3, complete=1)
    told = following.apply(event("campaign", ended, at="2025-01-09T14:00:20.000Z"), 1095.0)  # 20 s for one of four
    assert told is None, "its jobs tell it"
    assert "about 1 min left" in following.frame(1095.0, ASCII)[0]
    assert "left" not in following.frame(2000.0, ASCII)[0], "longer than thought: nothing is claimed"


def test_of_very_many_jobs_each_hundredth_is_a_line():
    following = Following(a_campaign(pending=1000), has_jobs=False)
    ended = [a_campaign(done + 1, complete=done, pending=1000 - done) for done in range(1, 1001)]
    told = [following.apply(event("campaign", state, at=BEGAN), 0) for state in ended]
    lines = [line for line in told if line]
    assert len(lines) == 100
    assert lines[0] == f"{ID}: 10/1,000 jobs, 10 complete"
    assert lines[-1] == f"{ID}: 1,000/1,000 jobs, 1,000 complete"


def test_an_older_state_changes_nothing():
    following = Following(a_campaign(version=5, complete=1, pending=1))
    following.apply(event("campaign", a_campaign(version=4, pending=2), at=BEGAN), 0)
    assert following.campaign["version"] == 5
    assert not following.has_ended


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_it_has_ended_when_the_campaign_has(status):
    following = Following(a_campaign(pending=1))
    following.apply(event("campaign", a_campaign(2, status, complete=1), at=BEGAN), 0)
    assert following.has_ended
    assert "left" not in following.frame(0, ASCII)[0]


def test_events_of_other_kinds_are_no_news():
    following = Following(a_campaign(pending=1))
    for kind in ("ready", "resync", "worker", "a kind of a later version"):
        assert following.apply(event(kind, {}), 0) is None
