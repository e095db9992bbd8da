"""The table of campaigns."""

from __future__ import annotations

from typing import Final

from daemons.core.urls import model_file_name
from tui.board.cells import BAD, DIM, Cell, bar, plain, status_cell
from tui.board.columns import Column, Scene, by_number, by_text
from tui.board.moments import seconds_of, short_duration
from tui.board.things import Campaign

BAR_WIDTH: Final = 10


def ended(campaign: Campaign) -> int:
    """Its jobs that have ended, however."""
    jobs = campaign.job_breakdown
    return jobs.complete + jobs.failed + jobs.cancelled


def share(campaign: Campaign) -> float:
    """How much of it is done, from 0 to 1."""
    return ended(campaign) / campaign.total_jobs if campaign.total_jobs else 1.0


def progress(campaign: Campaign, width: int = BAR_WIDTH) -> str:
    """How much of it is done, as a bar and as a percentage."""
    return f"{bar(ended(campaign), campaign.total_jobs, width)} {share(campaign):>4.0%}"


def model(campaign: Campaign) -> str:
    """Its name if it has one, else its model's file."""
    return plain(campaign.name or model_file_name(campaign.model_url))


def age_s(campaign: Campaign, scene: Scene) -> float | None:
    """How long ago it was submitted."""
    created = seconds_of(campaign.created_at)
    return None if created is None else max(0.0, scene.now_s - created)


def left_s(campaign: Campaign, scene: Scene) -> float | None:
    """How long it will still take at its own pace so far; None before its first job has ended, and after its last."""
    done, age = ended(campaign), age_s(campaign, scene)
    if campaign.status != "running" or not done or age is None:
        return None
    return age / done * (campaign.total_jobs - done)


def left(campaign: Campaign, scene: Scene) -> Cell:
    """How long it will still take, roughly."""
    seconds = left_s(campaign, scene)
    return Cell(f"~{short_duration(seconds)}" if seconds is not None else "")


def counts(campaign: Campaign) -> str:
    """How many of its jobs have ended, of how many."""
    return f"{ended(campaign):,}/{campaign.total_jobs:,}"


def _failed(campaign: Campaign, _scene: Scene) -> Cell:
    failed = campaign.job_breakdown.failed
    return Cell(f"{failed:,}", BAD if failed else DIM)


COLUMNS: Final[tuple[Column[Campaign], ...]] = (
    Column("model", 16, lambda one, _: Cell(model(one)), lambda one, _: by_text(model(one)), 0, 3),
    Column("status", 11, lambda one, _: status_cell(one.status), lambda one, _: by_text(one.status), 1),
    Column("progress", 15, lambda one, _: Cell(progress(one)), lambda one, _: by_number(share(one)), 2),
    Column("jobs", 9, lambda one, _: Cell(counts(one)), lambda one, _: by_number(one.total_jobs), 3, is_right=True),
    Column("failed", 6, _failed, lambda one, _: by_number(one.job_breakdown.failed), 4, is_right=True),
    Column(
        "age",
        7,
        lambda one, scene: Cell(short_duration(age_s(one, scene))),
        lambda one, _: by_number(-(seconds_of(one.created_at) or 0.0)),
        5,
        is_right=True,
    ),
    Column("left", 8, left, lambda one, scene: by_number(left_s(one, scene)), 6, is_right=True, heading="left"),
    Column(
        "running",
        7,
        lambda one, _: Cell(f"{one.job_breakdown.running:,}"),
        lambda one, _: by_number(one.job_breakdown.running),
        7,
        is_right=True,
    ),
    Column(
        "pending",
        7,
        lambda one, _: Cell(f"{one.job_breakdown.pending:,}"),
        lambda one, _: by_number(one.job_breakdown.pending),
        8,
        is_right=True,
    ),
    Column(
        "id",
        17,
        lambda one, _: Cell(plain(one.campaign_id).removeprefix("campaign-")),
        lambda one, _: by_text(one.campaign_id),
        9,
    ),
    Column(
        "url",
        20,
        lambda one, _: Cell(plain(one.model_url)),
        lambda one, _: by_text(one.model_url),
        10,
        4,
        heading="model URL",
    ),
)
