"""A form filled with what an earlier campaign asked for. What it can't say of it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from daemons.core.targeting import Device
from tui.board.things import Campaign
from tui.forms.draft import Draft, Which, document_of
from tui.forms.options import options


class Refilled(NamedTuple):
    """The form, and what it doesn't say of the campaign that it was filled from."""

    draft: Draft
    left_out: tuple[str, ...]


def refill(campaign: Campaign, jobs: Sequence[Mapping[str, Any]], fleet: Sequence[Device]) -> Refilled:
    """From a campaign and its jobs, as the API tells of them."""
    asked = [job.get("options") or {} for job in jobs]
    units = tuple(dict.fromkeys(str(job["compute_unit"]) for job in jobs))
    workers = tuple(dict.fromkeys(str(one["worker_id"]) for one in asked if one.get("worker_id")))
    which: Which = "chosen" if workers else "any"
    common, differing = _common(asked)
    tags, runs = common.get("tags") or [], common.get("num_inference_runs", 10)
    draft = Draft(
        model=campaign.model_url,
        name=campaign.name or "",
        units=units,
        which=which,
        chosen=workers,
        tags=", ".join(tags),
        runs=str(runs),
        options={
            option.name: option.text_of(value)
            for option in options()
            for value in [common.get(option.name) if option.is_of_job else (campaign.labels or None)]
            if value is not None and (option.is_of_job or option.name == "labels")
        },
    )
    return Refilled(draft, tuple(_left_out(campaign, jobs, document_of(draft, fleet)["jobs"], differing)))


def _common(asked: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """What most jobs say of each option, and the options of which they don't say the same."""
    common: dict[str, Any] = {}
    differing = []
    for name in sorted({name for one in asked for name in one} - {"worker_id", "compute_unit", "devices"}):
        values = Counter(msgspec.json.encode(one.get(name)) for one in asked)
        if len(values) > 1:
            differing.append(name)
        value = msgspec.json.decode(values.most_common(1)[0][0])
        if value is not None:
            common[name] = value
    return common, differing


def _left_out(
    campaign: Campaign, jobs: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]], differing: Sequence[str]
) -> Iterator[str]:
    if differing:
        names = ", ".join(name.replace("_", " ") for name in differing)
        yield f"its jobs differ in {names}: what most of them have is filled in"
    if campaign.total_jobs > len(jobs):
        yield f"only the first {len(jobs):,} of its {campaign.total_jobs:,} jobs were looked at"
    had = Counter((job["compute_unit"], (job.get("options") or {}).get("worker_id")) for job in jobs)
    if had != Counter((job["compute_unit"], job.get("worker_id")) for job in made):
        yield f"it had {len(jobs):,} jobs, and the form makes one for each unit and device: {len(made):,}"
