"""The table of waiting jobs."""

from __future__ import annotations

from typing import Final

from tui.board.campaigns import model
from tui.board.cells import Cell, plain
from tui.board.columns import Column, Scene, Sortable, by_number, by_text
from tui.board.moments import seconds_of, short_duration
from tui.board.things import Job


def waits_s(job: Job, scene: Scene) -> float | None:
    """How long ago its campaign was submitted."""
    campaign = scene.board.campaigns.get(job.campaign_id)
    created = seconds_of(campaign.created_at) if campaign else None
    return None if created is None else max(0.0, scene.now_s - created)


def _model(job: Job, scene: Scene) -> str:
    campaign = scene.board.campaigns.get(job.campaign_id)
    return model(campaign) if campaign else plain(job.campaign_id)


def _by_submission(job: Job, _scene: Scene) -> Sortable:
    """Campaigns are numbered by time."""
    number = float(job.campaign_id.partition("-")[2] or 0)
    return (False, number * 1e6 + job.position)


COLUMNS: Final[tuple[Column[Job], ...]] = (
    Column("job", 6, lambda one, _: Cell(str(one.position)), lambda one, _: by_number(one.position), 0),
    Column(
        "model", 16, lambda one, scene: Cell(_model(one, scene)), lambda one, scene: by_text(_model(one, scene)), 1, 3
    ),
    Column(
        "submitted",
        9,
        lambda one, scene: Cell(short_duration(waits_s(one, scene))),
        _by_submission,
        2,
        is_right=True,
        heading="waits",
    ),
    Column(
        "attempt",
        8,
        lambda one, _: Cell(str(one.attempt) if one.attempt else ""),
        lambda one, _: by_number(one.attempt),
        3,
        is_right=True,
        heading="attempts",
    ),
    Column("unit", 18, lambda one, _: Cell(plain(one.compute_unit)), lambda one, _: by_text(one.compute_unit), 4, 2),
    Column(
        "campaign",
        17,
        lambda one, _: Cell(plain(one.campaign_id).removeprefix("campaign-")),
        lambda one, _: by_text(one.campaign_id),
        5,
    ),
)
