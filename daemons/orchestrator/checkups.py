"""Has every device measure the reference model: daily, after its machine was started anew, and while set aside."""

from __future__ import annotations

import structlog

from daemons.core.health import Judgement, judge
from daemons.core.results import JobReport
from daemons.store import Store

log = structlog.get_logger(__name__)


class Checkups:
    """One round starts all that is due, in portions. `interval_s` None starts none."""

    def __init__(self, store: Store, interval_s: float | None) -> None:
        self._store = store
        self._interval_s = interval_s

    async def round(self) -> None:
        """Start what is due. Raises StoreUnavailable."""
        if self._interval_s is None:
            return
        started, has_more = 0, True
        while has_more:
            count, has_more = await self._store.health.start_due(self._interval_s)
            started += count
        if started:
            log.info("checkups started", devices=started)


async def judgement_on(store: Store, job_id: str, report: JobReport) -> Judgement | None:
    """What a report says of its device, if it is about a health job. Raises StoreUnavailable."""
    job = await store.health.job(job_id)
    if job is None:
        return None
    judgement = judge(report, job.unit, job.past)
    if judgement.passed is not True:
        log.warning("reference model not passed", worker=report.worker_id, job=job_id, reason=judgement.reason)
    return judgement
