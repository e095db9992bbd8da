"""The checker finds nothing in what is right, and each thing that can go wrong: one that can't fail proves nothing."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from tests.soak.checker import Evidence, check
from tests.support.wire import Exchange

CAMPAIGN = "campaign-1"
FIRST, SECOND, THIRD = (f"{CAMPAIGN}-job-{place}" for place in range(3))
FILE = f"{CAMPAIGN}_20260101_000000_results.csv"


def event(name, attempt, worker):
    return json.dumps({"event": name, "attempt": attempt, "worker_id": worker})


def job(status, attempt, worker, result):
    return {"status": status, "attempt": str(attempt), "worker_id": worker, "result": json.dumps(result), "spec": "0"}


def row(job_id, status, attempt, worker, load=""):
    return {
        "JobId": job_id,
        "Status": status,
        "Attempt": str(attempt),
        "WorkerId": worker,
        "LoadMsMedian": load,
        "InferenceMsMedian": "",
    }


def claim(worker, job_id, attempt, place):
    answer = {"job": {"job_id": job_id, "attempt": attempt}}
    return Exchange("POST", f"/api/workers/{worker}/claim?wait=25", None, {}, place, place + 1, 200, answer)


def report(worker, job_id, attempt, place, *, load=1.5, duplicate=False, status=200):
    body = {"worker_id": worker, "attempt": attempt, "status": "Complete", "LoadMsMedian": load}
    answer = {"status": "complete", "duplicate": duplicate} if status == 200 else {}
    return Exchange("POST", f"/api/jobs/{job_id}/result", None, body, place, place + 1, status, answer)


def submit(key, campaign, place):
    return Exchange("POST", "/api/campaigns", key, {}, place, place + 1, 201, {"campaign_id": campaign})


def evidence():
    """Three jobs: one complete at once, one at its second attempt, one cancelled while it waited."""
    keys = {
        "campaign:campaign-1": {
            "campaign_id": CAMPAIGN,
            "status": "completed",
            "ended_at": "5",
            "pending": "0",
            "running": "0",
            "complete": "2",
            "failed": "0",
            "cancelled": "1",
        },
        "campaign:campaign-1:specs": {"0": "{}"},
        f"job:{FIRST}": job("complete", 1, "worker-a", {"LoadMsMedian": 1.5}),
        f"job:{FIRST}:history": [event("claimed", 1, "worker-a"), event("complete", 1, "worker-a")],
        f"job:{SECOND}": job("complete", 2, "worker-b", {"LoadMsMedian": 2.5}),
        f"job:{SECOND}:history": [
            event("claimed", 1, "worker-a"),
            event("lost", 1, "worker-a"),
            event("claimed", 2, "worker-b"),
            event("complete", 2, "worker-b"),
        ],
        f"job:{THIRD}": {"status": "cancelled", "spec": "0", "result": json.dumps({"Remark": "cancelled"})},
    }
    rows = [
        row(FIRST, "Complete", 1, "worker-a", "1.5"),
        row(SECOND, "Complete", 2, "worker-b", "2.5"),
        row(THIRD, "Cancelled", "", ""),
    ]
    exchanges = [
        submit("k", CAMPAIGN, 0),
        claim("worker-a", FIRST, 1, 2),
        report("worker-a", FIRST, 1, 4),
        claim("worker-a", SECOND, 1, 6),
        claim("worker-b", SECOND, 2, 8),
        report("worker-a", SECOND, 1, 10, load=9.5, status=409),
        report("worker-b", SECOND, 2, 12, load=2.5),
        report("worker-b", SECOND, 2, 14, load=2.5, duplicate=True),
    ]
    return Evidence(
        acknowledged={CAMPAIGN: 3},
        keys=keys,
        files={FILE: rows},
        exchanges=exchanges,
        cancelled=frozenset({THIRD}),
    )


def changed(change):
    """The right evidence with something wrong in it."""
    wrong = copy.deepcopy(evidence())
    return change(wrong) or wrong


def test_what_is_right_is_clean():
    verdict = check(evidence())
    assert verdict.sentences == []
    assert verdict.is_clean
    assert (verdict.jobs, str(verdict)) == (3, "0 lost, 0 doubled, 0 unexpected")


def gone(known):
    del known.keys[f"job:{FIRST}"]


def never_ended(known):
    known.keys[f"job:{FIRST}"]["status"] = "running"


def without_result(known):
    del known.keys[f"job:{FIRST}"]["result"]


def without_row(known):
    del known.files[FILE][0]


def without_campaign(known):
    return replace(known, acknowledged={CAMPAIGN: 3, "campaign-2": 1})


def acknowledged_result_gone(known):
    """The server lost the first attempt's end, and the job was run again."""
    known.keys[f"job:{FIRST}"] |= job("complete", 2, "worker-b", {"LoadMsMedian": 3.5})
    known.keys[f"job:{FIRST}:history"] = [event("claimed", 2, "worker-b"), event("complete", 2, "worker-b")]
    known.files[FILE][0] |= {"Attempt": "2", "WorkerId": "worker-b", "LoadMsMedian": "3.5"}
    known.exchanges.append(report("worker-b", FIRST, 2, 20, load=3.5))


@pytest.mark.parametrize(
    "change", [gone, never_ended, without_result, without_row, without_campaign, acknowledged_result_gone]
)
def test_lost(change):
    assert check(changed(change)).lost


def two_rows(known):
    known.files[FILE].append(known.files[FILE][0])


def two_files(known):
    known.files[f"{CAMPAIGN}_20260101_000001_results.csv"] = []


def two_ends(known):
    known.keys[f"job:{FIRST}:history"].append(event("failed", 1, "worker-a"))


def taken_twice(known):
    known.exchanges.append(report("worker-a", FIRST, 1, 20))


def two_campaigns_of_one_submit(known):
    known.exchanges.append(submit("k", "campaign-2", 20))


@pytest.mark.parametrize("change", [two_rows, two_files, two_ends, taken_twice, two_campaigns_of_one_submit])
def test_doubled(change):
    assert check(changed(change)).doubled


def nobodys_campaign(known):
    known.keys["campaign:campaign-2"] = dict(known.keys["campaign:campaign-1"], campaign_id="campaign-2")


def nobodys_row(known):
    known.files[FILE].append(row("campaign-1-job-7", "Complete", 1, "worker-a"))


def row_of_another_attempt(known):
    known.files[FILE][1]["Attempt"] = "1"


def row_with_other_figures(known):
    known.files[FILE][0]["LoadMsMedian"] = "7"


def end_of_an_old_attempt(known):
    known.keys[f"job:{SECOND}"] |= {"attempt": "1", "worker_id": "worker-a"}


def figures_of_another_attempt(known):
    """What a missing fence leaves: the newest attempt's name on the old one's figures."""
    known.keys[f"job:{SECOND}"]["result"] = json.dumps({"LoadMsMedian": 9.5})
    known.files[FILE][1]["LoadMsMedian"] = "9.5"


def old_attempt_taken(known):
    known.exchanges[5] = report("worker-a", SECOND, 1, 10, load=9.5)


def cancelled_unasked(known):
    return replace(known, cancelled=frozenset())


def counted_wrong(known):
    known.keys["campaign:campaign-1"]["complete"] = "3"


def result_still_waiting(known):
    known.keys["results"] = [("1-1", {"job_id": FIRST})]


@pytest.mark.parametrize(
    "change",
    [
        nobodys_campaign,
        nobodys_row,
        row_of_another_attempt,
        row_with_other_figures,
        end_of_an_old_attempt,
        figures_of_another_attempt,
        old_attempt_taken,
        cancelled_unasked,
        counted_wrong,
        result_still_waiting,
    ],
)
def test_unexpected(change):
    assert check(changed(change)).unexpected


def test_a_retry_by_hand_ends_a_job_a_second_time():
    def opened_again(known):
        known.keys[f"job:{FIRST}"] |= job("complete", 2, "worker-b", {"LoadMsMedian": 3.5})
        known.keys[f"job:{FIRST}:history"] = [
            event("claimed", 1, "worker-a"),
            event("failed", 1, "worker-a"),
            event("retried", 1, "worker-a"),
            event("claimed", 2, "worker-b"),
            event("complete", 2, "worker-b"),
        ]
        known.files[FILE][0] |= {"Attempt": "2", "WorkerId": "worker-b", "LoadMsMedian": "3.5"}
        known.exchanges.append(report("worker-b", FIRST, 2, 20, load=3.5))

    assert check(changed(opened_again)).sentences == []
