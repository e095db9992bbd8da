"""The words for states agree with each other."""

from __future__ import annotations

from typing import get_args

from daemons.core.lifecycle import (
    CampaignStatus,
    JobStatus,
    ReportStatus,
    SettableStatus,
    WorkerStatus,
)


def test_a_report_names_the_end_state_that_its_job_gets():
    assert {status.job_status for status in ReportStatus} == {status for status in JobStatus if status.is_final}


def test_what_is_final():
    assert [status for status in JobStatus if not status.is_final] == [JobStatus.PENDING, JobStatus.RUNNING]
    assert [status for status in CampaignStatus if not status.is_final] == [CampaignStatus.RUNNING]


def test_offline_is_reached_by_a_goodbye_alone():
    assert set(WorkerStatus) - set(get_args(SettableStatus)) == {WorkerStatus.OFFLINE}
