"""Whether anything was lost, doubled or made up: after Jepsen's checker of queues, on jobs instead of numbers.

Pure: it gets what clients were promised, what passed on the wire, what the store holds and what the files say, all
taken after a full drain, and finds every contradiction between them. What was promised is what a client was answered;
what counts as seen is one end state, one recorded result and one row in the campaign's one file.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daemons.core.results import cell
from tests.support.store import contradictions
from tests.support.wire import Exchange

FINAL = ("complete", "failed", "cancelled")
FIGURES = ("LoadMsMedian", "InferenceMsMedian")

_RESULT = re.compile(r"/api/jobs/([^/?]+)/result")
_CLAIM = re.compile(r"/api/workers/([^/?]+)/claim")
_FILE = re.compile(r"(campaign-\d+)_")


@dataclass(frozen=True)
class Evidence:
    """All that is known of a run."""

    acknowledged: Mapping[str, int]
    """Campaign → how many jobs it was accepted with."""
    keys: Mapping[str, Any]
    """The store: key without its prefix → content, as `tests.support.store.dump` has it."""
    files: Mapping[str, Sequence[Mapping[str, str]]]
    """Name of a CSV file → its rows."""
    exchanges: Sequence[Exchange] = ()
    """Submits, claims and results as they passed on the wire."""
    cancelled: frozenset[str] = frozenset()
    """Campaigns and jobs of which somebody asked to be cancelled."""


@dataclass
class Verdict:
    """What was found, each as a sentence."""

    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unexpected)

    def __str__(self) -> str:
        return f"{len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.unexpected)} unexpected"

    @property
    def sentences(self) -> list[str]:
        """Every finding, the worst kind first."""
        kinds = (("lost", self.lost), ("doubled", self.doubled), ("unexpected", self.unexpected))
        return [f"{kind}: {text}" for kind, texts in kinds for text in texts]


def check(evidence: Evidence) -> Verdict:
    """Everything that contradicts the promises."""
    known = Known(evidence)
    return Verdict(
        jobs=sum(evidence.acknowledged.values()),
        lost=[*_lost(known), *_results_lost(known)],
        doubled=[*_doubled(known), *_taken_twice(known)],
        unexpected=[
            *_nobody_submitted(known),
            *_wrong_rows(known),
            *_wrong_attempts(known),
            *_unfenced(known),
            *_cancelled_unasked(known),
            *contradictions(dict(evidence.keys)),
            *_left_over(known),
        ],
    )


class Known:
    """The evidence, sorted by job."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.jobs: dict[str, Mapping[str, str]] = {
            name.removeprefix("job:"): state
            for name, state in evidence.keys.items()
            if name.startswith("job:") and name.count(":") == 1
        }
        self.rows: dict[str, list[Mapping[str, str]]] = defaultdict(list)
        for rows in evidence.files.values():
            for row in rows:
                self.rows[row["JobId"]].append(row)
        self.promised = [
            f"{campaign}-job-{place}" for campaign, total in evidence.acknowledged.items() for place in range(total)
        ]
        self.claims = [Claim.of(exchange) for exchange in evidence.exchanges if _is_claim(exchange)]
        self.reports = [Report.of(exchange) for exchange in evidence.exchanges if _RESULT.match(exchange.path)]

    def history(self, job_id: str) -> list[dict[str, Any]]:
        """A job's transitions."""
        return [json.loads(entry) for entry in self.evidence.keys.get(f"job:{job_id}:history", ())]


@dataclass(frozen=True)
class Claim:
    """A job as it was given to a worker."""

    job_id: str
    worker_id: str
    attempt: int
    answered: int

    @staticmethod
    def of(exchange: Exchange) -> Claim:
        match = _CLAIM.match(exchange.path)
        assert match is not None
        assert exchange.answered is not None
        job = exchange.answer["job"]
        return Claim(job["job_id"], match[1], job["attempt"], exchange.answered)


@dataclass(frozen=True)
class Report:
    """A result as a worker sent it, and whether it was seen to be taken."""

    job_id: str
    worker_id: str
    attempt: int
    status: str
    figures: tuple[Any, ...]
    asked: int
    was_taken: bool
    ended_it: bool
    """It was taken, now or before, and the job ended with it: a device's failure is taken and ends nothing."""

    @staticmethod
    def of(exchange: Exchange) -> Report:
        match = _RESULT.match(exchange.path)
        assert match is not None
        body, is_taken = exchange.body, exchange.status == 200
        return Report(
            match[1],
            body["worker_id"],
            body["attempt"],
            body["status"].lower(),
            tuple(body.get(name) for name in FIGURES),
            exchange.asked,
            was_taken=is_taken and not exchange.answer["duplicate"],
            ended_it=is_taken and exchange.answer["status"] in FINAL,
        )


def _is_claim(exchange: Exchange) -> bool:
    return bool(_CLAIM.match(exchange.path)) and exchange.status == 200


def _lost(known: Known) -> Iterator[str]:
    for job_id in known.promised:
        state = known.jobs.get(job_id)
        if state is None:
            yield f"{job_id} was accepted and is not there"
        elif state["status"] not in FINAL:
            yield f"{job_id} has not ended: it is {state['status']}"
        elif "result" not in state:
            yield f"{job_id} is {state['status']} and has no result"
        elif not known.rows[job_id]:
            yield f"{job_id} is {state['status']} and has no row"


def _results_lost(known: Known) -> Iterator[str]:
    """A worker was told that its result is taken, and it is not the one that stands. A retry by hand replaces one."""
    for report in known.reports:
        state = known.jobs.get(report.job_id)
        if not report.ended_it or state is None or _was_opened_again(known, report.job_id):
            continue
        stands = (state["status"], int(state.get("attempt", 0)), state.get("worker_id"))
        if stands != (report.status, report.attempt, report.worker_id):
            yield (
                f"{report.job_id} ended as {report.status} in attempt {report.attempt} on {report.worker_id}, as that "
                f"was told, and stands as {stands}"
            )


def _was_opened_again(known: Known, job_id: str) -> bool:
    return any(entry["event"] == "retried" for entry in known.history(job_id))


def _doubled(known: Known) -> Iterator[str]:
    for job_id, rows in known.rows.items():
        if len(rows) > 1:
            yield f"{job_id} has {len(rows)} rows"
    files = Counter(match[1] for name in known.evidence.files if (match := _FILE.match(name)))
    for campaign, count in files.items():
        if count > 1:
            yield f"{campaign} has {count} files"
    for job_id in known.jobs:
        events = Counter(entry["event"] for entry in known.history(job_id))
        ended = sum(events[name] for name in FINAL)
        if ended > 1 + events["retried"]:
            yield f"{job_id} ended {ended} times and was opened again {events['retried']} times"


def _taken_twice(known: Known) -> Iterator[str]:
    taken = Counter((report.job_id, report.attempt) for report in known.reports if report.was_taken)
    for (job_id, attempt), count in taken.items():
        if count > 1:
            yield f"attempt {attempt} of {job_id} was taken {count} times"
    answers = defaultdict(set)
    for exchange in known.evidence.exchanges:
        if exchange.key and exchange.status == 201:
            answers[exchange.key].add(exchange.answer["campaign_id"])
    for key, campaigns in answers.items():
        if len(campaigns) > 1:
            yield f"one submit made several campaigns: {', '.join(sorted(campaigns))} ({key})"


def _nobody_submitted(known: Known) -> Iterator[str]:
    accepted = known.evidence.acknowledged
    for name in known.evidence.keys:
        campaign = name.removeprefix("campaign:")
        if name.startswith("campaign:") and ":" not in campaign and campaign not in accepted:
            yield f"{campaign} is there and nobody was told of it"
    promised = set(known.promised)
    for job_id in (known.jobs.keys() | known.rows.keys()) - promised:
        yield f"{job_id} is there and nobody submitted it"


def _wrong_rows(known: Known) -> Iterator[str]:
    """A row that says something else than the store."""
    for job_id, rows in known.rows.items():
        state = known.jobs.get(job_id)
        if state is None or state["status"] not in FINAL:
            yield f"{job_id} has a row and has not ended"
            continue
        result = json.loads(state.get("result", "{}"))
        wanted = {
            "Status": state["status"].capitalize(),
            "Attempt": state.get("attempt", ""),
            "WorkerId": state.get("worker_id", ""),
            **{name: cell(result.get(name)) for name in FIGURES},
        }
        for row in rows:
            found = {name: row[name] for name in wanted}
            if found != wanted:
                yield f"{job_id} has the row {found}, and the store says {wanted}"


def _wrong_attempts(known: Known) -> Iterator[str]:
    """An end that is not of the attempt that was given out last, or figures that this attempt never reported."""
    reported = {
        (report.job_id, report.worker_id, report.attempt, report.status, report.figures) for report in known.reports
    }
    for job_id, state in known.jobs.items():
        claims = [entry for entry in known.history(job_id) if entry["event"] == "claimed"]
        attempt, worker = int(state.get("attempt", 0)), state.get("worker_id")
        if claims and (claims[-1]["attempt"], claims[-1]["worker_id"]) != (attempt, worker):
            yield f"{job_id} was last given to {claims[-1]['worker_id']} and stands as attempt {attempt} of {worker}"
        if state["status"] == "complete":
            result = json.loads(state.get("result", "{}"))
            figures = tuple(result.get(name) for name in FIGURES)
            if (job_id, worker, attempt, "complete", figures) not in reported:
                yield f"{job_id} has figures that attempt {attempt} on {worker} never reported"


def _unfenced(known: Known) -> Iterator[str]:
    """A result that was taken although a newer attempt had been given out before it was sent."""
    newest: dict[str, list[Claim]] = defaultdict(list)
    for claim in known.claims:
        newest[claim.job_id].append(claim)
    for report in known.reports:
        if not report.was_taken:
            continue
        for claim in newest[report.job_id]:
            if claim.attempt > report.attempt and claim.answered < report.asked:
                yield (
                    f"attempt {report.attempt} of {report.job_id} was taken from {report.worker_id} after "
                    f"attempt {claim.attempt} was given to {claim.worker_id}"
                )


def _cancelled_unasked(known: Known) -> Iterator[str]:
    for job_id, state in known.jobs.items():
        asked = {job_id, job_id.rpartition("-job-")[0]} & known.evidence.cancelled
        if state["status"] == "cancelled" and not asked:
            yield f"{job_id} is cancelled and nobody asked for it"


def _left_over(known: Known) -> Iterator[str]:
    if waiting := known.evidence.keys.get("results"):
        yield f"{len(waiting)} results still wait for their file"
