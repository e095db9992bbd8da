"""The scripts against a plain model of them, over long random sequences of steps that nobody thought of."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from daemons.core.errors import StaleAttempt
from tests.support.store import Drive, contradictions, dump

STEPS = 150

MAX_LOSSES = 3
WORKERS = ("one", "two", "three")
ENDS = {"Complete": "complete", "Failed": "failed", "Cancelled": "cancelled"}


@dataclass
class Job:
    """What a job is, as one would tell it to a colleague."""

    status: str = "pending"
    tries: list[str] = field(default_factory=list)
    losses: int = 0
    is_cancelled: bool = False
    is_adoptable: bool = False
    is_reported: bool = False

    @property
    def is_final(self) -> bool:
        return self.status not in ("pending", "running")

    def is_newest(self, worker: str, attempt: int) -> bool:
        return attempt == len(self.tries) and self.tries[-1] == worker

    def lose(self, *, is_adoptable: bool) -> None:
        self.losses += 1
        self.is_adoptable = is_adoptable
        if self.is_cancelled:
            self.status = "cancelled"
        else:
            self.status = "failed" if self.losses >= MAX_LOSSES else "pending"

    def give_back(self) -> None:
        self.status = "cancelled" if self.is_cancelled else "pending"


class Fleet:
    """The same steps on the store and on the model; both must say the same after each."""

    def __init__(self, drive: Drive, dice: random.Random) -> None:
        self.drive = drive
        self.dice = dice
        self.jobs: dict[str, Job] = {}
        self.cause: dict[str, str | None] = dict.fromkeys(WORKERS)
        self.births = dict.fromkeys(WORKERS, 0)
        self.ids: dict[str, str] = {}

    async def begin(self) -> None:
        for name in WORKERS:
            self.ids[name] = await self.drive.worker(name, instance=f"{name} 0")

    def current(self, worker):
        running = (job_id for job_id, job in self.jobs.items() if job.status == "running" and job.tries[-1] == worker)
        return next(running, None)

    def heard_from(self, worker):
        if self.cause[worker] == "silent":
            self.cause[worker] = None

    def is_set_aside(self, worker):
        return self.cause[worker] == "by hand"

    def some_worker(self):
        return self.dice.choice(WORKERS)

    def some_attempt(self):
        """An attempt of any job, most often the newest of a recent one; None before the first."""
        tried = [(job_id, job) for job_id, job in self.jobs.items() if job.tries]
        if not tried:
            return None
        job_id, job = self.dice.choice(tried[-3:] if self.dice.random() < 0.7 else tried)
        number = len(job.tries) if self.dice.random() < 0.7 else self.dice.randint(1, len(job.tries))
        return job_id, job.tries[number - 1], number

    async def refuses(self, step) -> bool:
        try:
            await step
        except StaleAttempt:
            return True
        return False

    async def submit(self):
        if sum(not job.is_final for job in self.jobs.values()) < 4:
            (job_id,) = await self.drive.submit()
            assert job_id not in self.jobs
            self.jobs[job_id] = Job()

    async def claim(self):
        worker = self.some_worker()
        got = await self.drive.claim(self.ids[worker])
        self.heard_from(worker)
        first = next((job_id for job_id, job in self.jobs.items() if job.status == "pending"), None)
        wanted = self.current(worker) or (None if self.is_set_aside(worker) else first)
        assert (got and got.job_id) == wanted
        if got and self.jobs[wanted].status == "pending":
            job = self.jobs[wanted]
            job.status, job.is_adoptable, job.is_reported = "running", False, False
            job.tries.append(worker)
        assert not got or got.attempt == len(self.jobs[wanted].tries)

    async def finish(self):
        if (picked := self.some_attempt()) is None:
            return
        job_id, worker, number = picked
        job, end = self.jobs[job_id], self.dice.choice(sorted(ENDS))
        step = self.drive.finish(job_id, self.ids[worker], number, end)
        if not job.is_newest(worker, number) or (job.is_final and not job.is_reported):
            assert await self.refuses(step)
            return
        assert (await step)["duplicate"] == job.is_reported
        if not job.is_reported:
            job.status, job.is_reported = ENDS[end], True
            self.heard_from(worker)

    async def beat(self):
        if (picked := self.some_attempt()) is None:
            return
        job_id, worker, number = picked
        job, current = self.jobs[job_id], self.current(worker)
        is_refused = await self.refuses(self.drive.beat(self.ids[worker], job_id, number))
        self.heard_from(worker)
        is_newest = job.is_newest(worker, number)
        if is_newest and job.status == "pending" and job.is_adoptable and not current and not self.is_set_aside(worker):
            job.status, job.is_adoptable = "running", False
            job.losses -= 1
        is_running = is_newest and job.status == "running"
        assert is_refused != is_running
        if not is_running and current not in (None, job_id):
            self.jobs[current].give_back()

    async def beat_without_a_job(self):
        worker = self.some_worker()
        await self.drive.beat(self.ids[worker], None)
        self.heard_from(worker)
        if current := self.current(worker):
            self.jobs[current].give_back()

    async def fall_silent(self):
        worker = self.some_worker()
        current = self.current(worker)
        lost = await self.drive.lose(self.ids[worker])
        assert bool(lost) == (self.cause[worker] is None)
        if lost:
            self.cause[worker] = "silent"
            assert lost == (current or True)
            if current:
                self.jobs[current].lose(is_adoptable=True)

    async def start_again(self):
        worker = self.some_worker()
        current = self.current(worker)
        self.births[worker] += 1
        await self.drive.worker(worker, instance=f"{worker} {self.births[worker]}")
        self.heard_from(worker)
        if current:
            self.jobs[current].lose(is_adoptable=False)

    async def release(self):
        if (picked := self.some_attempt()) is None:
            return
        job_id, worker, number = picked
        job = self.jobs[job_id]
        is_running = job.status == "running" and job.is_newest(worker, number)
        assert await self.refuses(self.drive.release(job_id, self.ids[worker], number)) != is_running
        if is_running:
            job.give_back()

    async def cancel(self):
        if not self.jobs:
            return
        job_id = self.dice.choice(list(self.jobs)[-4:])
        job, campaigns = self.jobs[job_id], self.drive.store.campaigns
        if self.dice.random() < 0.5:
            await campaigns.cancel(job_id.partition("-job-")[0])
        else:
            await campaigns.cancel_job(job_id)
        job.is_cancelled |= job.status == "running"
        if job.status == "pending":
            job.status = "cancelled"

    async def set_aside(self):
        worker = self.some_worker()
        await self.drive.store.fleet.set_status(self.ids[worker], "faulty", "smells of smoke")
        self.cause[worker] = "by hand"
        if current := self.current(worker):
            self.jobs[current].give_back()

    async def recover(self):
        worker = self.some_worker()
        await self.drive.store.fleet.recover(self.ids[worker])
        self.cause[worker] = None

    async def check(self) -> None:
        """Both say the same."""
        keys = await dump(self.drive.store)
        assert contradictions(keys) == []
        assert {job_id: keys[f"job:{job_id}"]["status"] for job_id in self.jobs} == {
            job_id: job.status for job_id, job in self.jobs.items()
        }
        assert {job_id: int(keys[f"job:{job_id}"].get("losses", 0)) for job_id in self.jobs} == {
            job_id: job.losses for job_id, job in self.jobs.items()
        }
        for name, worker in self.ids.items():
            wanted = "faulty" if self.cause[name] else "busy" if self.current(name) else "active"
            assert keys[f"worker:{worker}"]["status"] == wanted
        waiting = [job_id for job_id, job in self.jobs.items() if job.status == "pending"]
        assert await self.drive.waiting() == waiting


RATES = {
    Fleet.submit: 12,
    Fleet.claim: 25,
    Fleet.finish: 8,
    Fleet.beat: 14,
    Fleet.beat_without_a_job: 2,
    Fleet.fall_silent: 12,
    Fleet.start_again: 4,
    Fleet.release: 4,
    Fleet.cancel: 3,
    Fleet.set_aside: 4,
    Fleet.recover: 6,
}
"""How often each step is taken, out of all."""


@pytest.mark.parametrize("seed", range(6))
async def test_the_scripts_do_what_the_model_says(store, seed):
    fleet = Fleet(Drive(store), random.Random(seed))
    await fleet.begin()
    for turn in range(STEPS):
        (step,) = fleet.dice.choices(list(RATES), list(RATES.values()))
        try:
            await step(fleet)
            await fleet.check()
        except AssertionError as error:
            error.add_note(f"seed {seed}, step {turn}: {step.__name__}")
            raise
