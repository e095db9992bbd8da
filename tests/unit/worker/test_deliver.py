"""The outbox: on disk before it is sent."""

from __future__ import annotations

import msgspec
import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.results import JobReport, Measurement, Outcome, report
from daemons.worker.deliver import Outbox


def a_report(attempt: int = 1, remark: str | None = None) -> JobReport:
    return report("worker-1", attempt, Outcome(status=ReportStatus.FAILED, measurement=Measurement(remark=remark)))


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path)


def test_a_report_survives_the_process_that_wrote_it(outbox, tmp_path):
    outbox.put("job-1", a_report(remark="why"))
    again = Outbox(tmp_path)
    (path,) = again.waiting()
    parcel = again.open(path)
    assert parcel is not None
    assert parcel.job_id == "job-1"
    assert msgspec.json.decode(parcel.report, type=JobReport) == a_report(remark="why")


def test_the_same_attempt_is_kept_once_and_another_apart(outbox):
    outbox.put("job-1", a_report(1, "first"))
    outbox.put("job-1", a_report(1, "second"))
    outbox.put("job-1", a_report(2))
    outbox.put("job-2", a_report(1))
    assert len(outbox.waiting()) == 3


def test_a_jobs_name_never_becomes_a_path(outbox, tmp_path):
    path = outbox.put("../../../etc/passwd", a_report())
    assert path.parent == tmp_path / "outbox"
    assert outbox.open(path).job_id == "../../../etc/passwd"


def test_reports_are_readable_by_their_owner_alone(outbox, tmp_path):
    path = outbox.put("job-1", a_report())
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_half_a_file_is_put_aside(outbox, tmp_path):
    path = outbox.put("job-1", a_report())
    path.write_bytes(path.read_bytes()[:20])
    assert outbox.open(path) is None
    assert outbox.waiting() == []
    assert [left.name for left in (tmp_path / "rejected").iterdir()] == [path.name]


def test_a_draft_is_no_parcel(outbox, tmp_path):
    """A process that is killed while it writes leaves a draft, under a name that is not looked at."""
    (tmp_path / "outbox" / ".x.json.ab12.draft").write_bytes(b"{")
    assert outbox.waiting() == []
