"""The names of keys and channels, and which identifiers can be part of one.

Everything that this project keeps in Redis stands under one prefix:

====================================  ===========  ==================================================================
``campaign:ID``                       hash         a campaign's state and counters
``campaign:ID:specs``                 hash         index → JSON of a job spec; equal jobs share one
``campaign:ID:models``                hash         URL → JSON of a model that jobs name instead of the campaign's own
``job:ID``                            hash         a job's state; while it waits, its status and spec alone
``job:ID:history``                    list         its transitions, as JSON
``job:ID:evidence``                   string       its raw timings and the device's conditions, as JSON
``queue:unit:U``, ``queue:worker:ID`` sorted set   waiting jobs by priority, then arrival
``queue:unit:U+T+T``                  sorted set   those for devices that have the unit and these tags, likewise
``tag_sets:U``                        set          the tags that the queues of a unit have, where jobs wait in them
``queue:health:ID``                   sorted set   waiting health jobs of a device, likewise
``delayed``                           sorted set   jobs that wait for a retry, by due time
``longest_delay``                     string       the longest time that a retry was ever to wait
``running``                           hash         job → its worker, attempt and time limit
``worker:ID``, ``workers``            hash, set    a device's state; all of them
``devices``, ``beats``                hash         identity → worker; worker → signs of life counted
``units``                             set          every compute unit that a device has offered
``durations``, ``durations_used``     hash, z. set mean ms of attempts by unit and model; those by when they were used
``campaigns``, ``ended``              sorted set   all of them, by creation; those that have ended, by their end
``checkup_campaigns``                 sorted set   those of kind health, by creation; ``campaigns`` has all others
``checkups``, ``checked``             sorted set   devices by when they are to be checked; by when they last were
``health:ID``                         hash         compute unit → JSON of what a device's passed checkups have shown
``leaving``                           hash         campaigns that are forgotten → how far their jobs are removed
``results``                           stream       jobs that have ended and whose CSV is not yet written
``webhooks``                          sorted set   ended campaigns whose webhook is to be sent, by when
``idempotency:K``                     hash         a request's key → the campaign that it made
``duties``                            hash         who holds the lease of the periodic duties
``duty_times``, ``duty_problems``     hash         when each duty was last done, and what stands in its way
``outputs``                           string       the mark of the folder that the holder writes results to
``counters``                          hash         what has happened how often, for monitoring
``event_log``                         stream       the newest events, each with an identifier made of its number
``event_halves``                      hash         how long that may still grow, and from where on it is then kept
``epoch``, ``seq``, ``arrivals``      string       the fleet's life, its event number, its arrival number
====================================  ===========  ==================================================================

Channels: ``events`` (what has changed) and ``wake`` (which queues have new jobs).
"""

from __future__ import annotations

import re

from daemons.core.errors import NotFound

_CAMPAIGN = re.compile(r"campaign-\d{1,20}")
_JOB = re.compile(r"(campaign-\d{1,20})-job-(\d{1,6})")
_TAGGED = re.compile(r"(unit:.*\))\+([^()]+)")
_WORKER = re.compile(r"worker-[0-9a-f]{1,32}")


def check_campaign_id(campaign_id: str) -> str:
    """The identifier, if it can be a campaign's; otherwise NotFound."""
    if _CAMPAIGN.fullmatch(campaign_id) is None:
        raise NotFound(f"there is no campaign {campaign_id[:80]!r}; GET /api/campaigns lists them")
    return campaign_id


def check_job_id(job_id: str) -> str:
    """The identifier, if it can be a job's; otherwise NotFound."""
    if _JOB.fullmatch(job_id) is None:
        raise NotFound(f"there is no job {job_id[:80]!r}; a job is named like campaign-1234567890-job-0")
    return job_id


def check_worker_id(worker_id: str) -> str:
    """The identifier, if it can be a worker's; otherwise NotFound."""
    if _WORKER.fullmatch(worker_id) is None:
        raise NotFound(f"there is no worker {worker_id[:80]!r}; GET /api/workers lists them")
    return worker_id


def campaign_of(job_id: str) -> str:
    """The campaign that a job belongs to."""
    match = _JOB.fullmatch(check_job_id(job_id))
    assert match is not None  # noqa: S101 (checked on the line above)
    return match[1]


def position_of(job_id: str) -> int:
    """A job's place in its campaign, from 0."""
    return int(job_id.rpartition("-")[2])


def job_id_at(campaign_id: str, position: int) -> str:
    """The job at a place of a campaign."""
    return f"{campaign_id}-job-{position}"


def parts_of(queue: str) -> tuple[str, list[str]]:
    """The queue of a unit without tags, and the tags; any other queue is itself, with none."""
    found = _TAGGED.fullmatch(queue)
    return (queue, []) if found is None else (found[1], tags_of(found[2]))


def tags_of(text: str) -> list[str]:
    """The tags in the name of a queue, which stand there with signs between them that no tag has."""
    return text.split("+")


def as_glob(prefix: str) -> str:
    """A pattern that matches what begins with `prefix`, and nothing else."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", prefix) + "*"
