"""How snapshots and events become one story: against a script of what the orchestrator says, without a network."""

from __future__ import annotations

import pytest

from daemons.client import following
from daemons.client.campaign import Campaign
from daemons.core import events
from daemons.core.errors import NotFound, OrchestratorUnavailable
from daemons.core.events import Event, Position

CAMPAIGN = "campaign-1"
JOB = f"{CAMPAIGN}-job-0"


def campaign(version, status="running", *, cancelled=0):
    return {
        "campaign_id": CAMPAIGN,
        "version": version,
        "status": status,
        "job_breakdown": {"pending": 0, "running": 0, "complete": 0, "failed": 0, "cancelled": cancelled},
    }


def job(version, status="pending", job_id=JOB):
    return {"job_id": job_id, "campaign_id": CAMPAIGN, "version": version, "status": status}


def event(kind, state, seq=None):
    return Event(type=kind, seq=seq or state["version"], epoch="e", at=None, state=state)


def ready(seq=0):
    return events.ready(Position("e", seq))


def resync(seq=0):
    return events.resync(Position("e", seq), "it was too long ago")


class Script:
    """A client whose answers are written down: the last document is answered for ever."""

    url = "http://script"

    def __init__(self, campaigns, jobs=([],), stream=()):
        self.campaigns = list(campaigns)
        self.jobs_ = list(jobs)
        self.stream = stream
        self.asked = []

    def with_patience(self, _patience_s):
        return self

    async def campaign(self, campaign_id):
        self.asked.append("campaign")
        found = self.campaigns.pop(0) if len(self.campaigns) > 1 else self.campaigns[0]
        if found is None:
            raise NotFound(f"there is no campaign {campaign_id}")
        return found

    async def jobs(self, *, campaign_id, cursor):
        assert campaign_id == CAMPAIGN
        self.asked.append(("jobs", cursor))
        found = self.jobs_.pop(0) if len(self.jobs_) > 1 else self.jobs_[0]
        return found if isinstance(found, dict) else {"jobs": found}

    async def events(self, **wanted):
        self.asked.append(("events", wanted))
        for one in self.stream:
            if isinstance(one, Exception):
                raise one
            yield one


async def told(script, **options):
    return [
        (one.type, one.state.get("version", one.seq), one.state.get("status"))
        async for one in Campaign(script, CAMPAIGN).follow(**options)
    ]


async def test_what_is_there_comes_first_then_each_change_once_and_the_end_last():
    script = Script(
        [campaign(1)],
        [[job(2)]],
        [
            ready(4),
            event("job", job(2)),  # known
            event("job", job(1, "running")),  # older than what is known
            event("job", job(6, "complete")),
            event("campaign", campaign(7)),
            event("campaign", campaign(8, "completed")),
            event("job", job(9)),  # of the next life
        ],
    )
    assert await told(script) == [
        ("campaign", 1, "running"),
        ("job", 2, "pending"),
        ("job", 6, "complete"),
        ("campaign", 7, "running"),
        ("campaign", 8, "completed"),
    ]


async def test_what_happens_before_the_stream_stands_is_in_the_snapshot():
    script = Script(
        [campaign(1), campaign(3)],
        [[job(4, "running")]],
        [ready(4), event("campaign", campaign(5, "failed"))],
    )
    assert await told(script) == [
        ("campaign", 1, "running"),
        ("campaign", 3, "running"),
        ("job", 4, "running"),
        ("campaign", 5, "failed"),
    ]


async def test_an_ended_campaign_is_told_without_a_stream():
    script = Script([campaign(9, "completed")], [[job(8, "complete")]])
    assert await told(script) == [("job", 8, "complete"), ("campaign", 9, "completed")]
    assert await told(script, with_jobs=False) == [("campaign", 9, "completed")]
    assert not any(asked[0] == "events" for asked in script.asked)


async def test_after_a_gap_the_rest_is_fetched_and_nothing_is_told_twice():
    script = Script(
        [campaign(1), campaign(1), campaign(6)],
        [[job(2)], [job(2), job(5, "running", f"{CAMPAIGN}-job-1")]],
        [ready(4), resync(6), event("campaign", campaign(6)), event("campaign", campaign(7, "completed"))],
    )
    assert await told(script) == [
        ("campaign", 1, "running"),
        ("job", 2, "pending"),
        ("campaign", 6, "running"),
        ("job", 5, "running"),
        ("campaign", 7, "completed"),
    ]


async def test_a_stream_that_goes_on_needs_no_snapshot():
    script = Script([campaign(1)], [[]], [ready(1), ready(1), event("campaign", campaign(2, "completed"))])
    await told(script)
    assert script.asked.count("campaign") == 2


async def test_jobs_that_were_cancelled_together_are_told_before_the_end():
    """They have no events of their own, and their versions stay."""
    script = Script(
        [campaign(1)],
        [[job(1)], [job(1, "cancelled")]],
        [ready(1), event("campaign", campaign(2, "cancelled", cancelled=1))],
    )
    assert await told(script) == [
        ("campaign", 1, "running"),
        ("job", 1, "pending"),
        ("job", 1, "cancelled"),
        ("campaign", 2, "cancelled"),
    ]


async def test_jobs_come_from_all_pages():
    pages = [{"jobs": [job(1)], "next_cursor": "1-1"}, {"jobs": [job(2, job_id=f"{CAMPAIGN}-job-1")]}]
    assert [version for _, version, _ in await told(Script([campaign(3, "completed")], pages))] == [1, 2, 3]


async def test_progress_is_passed_on():
    progress = event("progress", {"job_id": JOB, "progress": {"phase": "measuring"}}, 3)
    script = Script([campaign(1)], [[]], [ready(1), progress, event("campaign", campaign(4, "completed"))])
    assert [kind for kind, _, _ in await told(script)] == ["campaign", "progress", "campaign"]


async def test_without_jobs_only_the_campaign_is_asked_for():
    script = Script([campaign(1)], stream=[ready(1), event("campaign", campaign(2, "cancelled", cancelled=5))])
    assert [kind for kind, _, _ in await told(script, with_jobs=False)] == ["campaign", "campaign"]
    assert ("jobs", None) not in script.asked
    [(_, wanted)] = [asked for asked in script.asked if asked[0] == "events"]
    assert wanted["campaign_id"] == CAMPAIGN
    assert "job" not in wanted["types"]


@pytest.mark.parametrize("kind", ["reset", "campaign_removed"])
async def test_a_campaign_that_goes_while_it_is_followed_is_not_found(kind):
    script = Script([campaign(1), campaign(1), None], [[]], [ready(1), event(kind, {}, 2)])
    with pytest.raises(NotFound, match="no campaign"):
        await told(script)


async def test_an_orchestrator_without_a_stream_is_polled(monkeypatch):
    monkeypatch.setattr(following, "POLL_S", 0)
    script = Script(
        [campaign(1), campaign(1), campaign(1), campaign(3, "completed")],
        [[job(1)], [job(2, "complete")]],
        [NotFound("there is nothing at /api/events")],
    )
    assert await told(script) == [
        ("campaign", 1, "running"),
        ("job", 1, "pending"),
        ("job", 2, "complete"),
        ("campaign", 3, "completed"),
    ]


async def test_a_stream_that_is_given_up_ends_the_following():
    script = Script([campaign(1)], [[]], [ready(1), OrchestratorUnavailable("no answer")])
    with pytest.raises(OrchestratorUnavailable, match="no answer"):
        await told(script)


async def test_waiting_answers_the_ended_campaign():
    for last in (campaign(2, "failed"), None):  # None: it was deleted since
        script = Script([campaign(1), last], stream=[ready(1), event("campaign", campaign(2, "failed"))])
        script.campaigns.insert(1, campaign(1))
        assert await Campaign(script, CAMPAIGN).wait() == campaign(2, "failed")
