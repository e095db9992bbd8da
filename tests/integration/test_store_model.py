"""The scripts against a plain model of them, over sequences of steps that nobody thought of.

Each step may be sent twice, as after a lost reply, and may name an attempt that is long over. Hypothesis shortens a
sequence that fails to the few steps that matter.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from daemons.core.errors import BenchfleetError, Conflict, NotFound, StaleAttempt
from daemons.core.models import JobSpec, Progress
from daemons.store import Store
from daemons.store.connect import REPLY_TIMEOUT_S, SUBMIT_TIMEOUT_S, connect
from tests.support.checkups import PASSING
from tests.support.fleet_model import DEVICE_FAILURE, ENDS, Fleet, Refused, Try
from tests.support.store import AT_ONCE, CPU, OF_DUTIES, OF_EVENTS, Drive, contradictions, dump

NAMES = ("one", "two", "three")
TAG_SETS = tuple(map(frozenset, ((), ("a",), ("b",), ("a", "b"))))
TRANSIENT = frozenset({"version", "last_heartbeat", "progress"})
"""What a step that is sent again may change: signs of life."""
MOST_OPEN = 5


OPERATING = (
    "cancel_job",
    "cancel_campaign",
    "retry",
    "retry",
    "drain",
    "check",
    "check",
    "set_aside",
    "recover",
    "remove",
    "reset",
)
ENDING = ("release", "beat_without_a_job", "say_goodbye", "overdue")


class Machine(RuleBasedStateMachine):
    """Does each step on the store and on the model; both must say the same after it."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store, self.close = self.runner.run(self._open())
        self.drive, self.fleet, self.births, self.keys = Drive(self.store), Fleet(), 0, 0
        self.lease: tuple[str | None, int] = (None, 0)

    async def _open(self) -> tuple[Store, Callable[[], Awaitable[None]]]:
        quick = connect(self.url, reply_timeout_s=REPLY_TIMEOUT_S, max_connections=4)
        patient = connect(self.url, reply_timeout_s=SUBMIT_TIMEOUT_S, max_connections=4)

        async def close() -> None:
            await store.server.reset()
            await quick.aclose()
            await patient.aclose()

        store = Store(quick, patient, f"model-{secrets.token_hex(4)}:")
        return store, close

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.runner.close()

    # How a step is taken

    def do(self, step: Callable[[], Awaitable[Any]], *, twice: bool) -> Any:
        """The step's answer; Refused if the store refuses it. Sent again, it changes nothing more."""
        answer = self._once(step)
        if twice:
            before = self._settled()
            self._once(step)
            assert self._settled() == before, "sent twice, it had another effect than once"
        if isinstance(answer, StaleAttempt | Conflict):
            raise Refused from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _once(self, step: Callable[[], Awaitable[Any]]) -> Any:
        async def take() -> Any:
            return await step()

        try:
            return self.runner.run(take())
        except BenchfleetError as error:
            return error

    def _settled(self) -> Any:
        """All that the store holds, but for what any sign of life changes."""
        keys = self.runner.run(dump(self.store, without=(*OF_DUTIES, *OF_EVENTS, "beats", "counters")))
        return {
            name: {field: value for field, value in content.items() if field not in TRANSIENT}
            if isinstance(content, dict)
            else content
            for name, content in keys.items()
        }

    def both(self, on_store: Callable[[], Awaitable[Any]], on_model: Callable[[], Any], *, twice: bool = False) -> Any:
        """The step on both; they agree whether it is refused. What the store answered and what the model expects."""
        try:
            answer = self.do(on_store, twice=twice)
        except Refused:
            with pytest.raises(Refused):
                on_model()
            return None, None
        return answer, on_model()

    # What is chosen from

    # By place, for the identifiers themselves are others in each run.

    def worker(self, data: Any) -> str:
        return self.one_of(data, sorted(self.fleet.workers, key=lambda worker: self.fleet.workers[worker].name))

    def job(self, data: Any) -> str:
        return self.one_of(data, list(self.fleet.jobs)[::-1])

    def attempt(self, data: Any) -> Try:
        """Any attempt that there ever was, the newest ones first when a failure is made short."""
        return self.one_of(data, self.fleet.tries()[::-1])

    def one_of(self, data: Any, choices: Any) -> Any:
        return choices[data.draw(st.integers(0, len(choices) - 1))]

    def has_workers(self) -> bool:
        return bool(self.fleet.workers)

    def has_jobs(self) -> bool:
        return bool(self.fleet.jobs)

    def has_tries(self) -> bool:
        return bool(self.fleet.tries())

    # Rare steps share a rule, so that the common ones come often enough to lead somewhere

    @rule(data=st.data(), what=st.sampled_from(OPERATING), twice=st.booleans())
    def somebody_operates(self, data: Any, what: str, twice: bool) -> None:
        if self.fleet.workers and self.fleet.jobs:
            getattr(self, what)(data, twice)

    @rule(data=st.data(), what=st.sampled_from(ENDING), twice=st.booleans())
    def an_attempt_ends_otherwise(self, data: Any, what: str, twice: bool) -> None:
        if self.fleet.workers and self.fleet.tries():
            getattr(self, what)(data, twice)

    # Steps of people and scripts

    @initialize()
    def begin(self) -> None:
        for name, tags in zip(NAMES, (frozenset("ab"), frozenset("a"), frozenset()), strict=True):
            self.start(name, tags)

    @precondition(lambda self: len(self.fleet.waiting()) < MOST_OPEN)
    @rule(
        count=st.integers(1, 2),
        is_named=st.booleans(),
        tags=st.just(frozenset()) | st.sampled_from(TAG_SETS),
        priority=st.sampled_from((0, 0, 5, -5)),
    )
    def submit(self, count: int, is_named: bool, tags: frozenset[str], priority: int) -> None:
        """With an Idempotency-Key it may be sent twice; without one, twice means two campaigns."""
        self.keys += 1
        key = f"key-{self.keys}" if is_named else None
        spec = JobSpec(compute_unit=CPU, tags=sorted(tags), priority=priority)
        jobs = self.do(lambda: self.drive.submit(*[spec] * count, key=key), twice=is_named)
        assert not set(jobs) & set(self.fleet.jobs), "identifiers are never used again"
        self.fleet.submit(jobs, tags, priority)

    def cancel_job(self, data: Any, twice: bool) -> None:
        job_id = self.job(data)
        self.both(lambda: self.store.campaigns.cancel_job(job_id), lambda: self.fleet.cancel_job(job_id), twice=twice)

    def cancel_campaign(self, data: Any, twice: bool) -> None:
        campaign = self.job(data).rpartition("-job-")[0]
        self.both(lambda: self.store.campaigns.cancel(campaign), lambda: self.fleet.cancel(campaign), twice=twice)

    def retry(self, data: Any, twice: bool) -> None:
        job_id, is_one = self.job(data), data.draw(st.booleans())
        campaign, campaigns = job_id.rpartition("-job-")[0], self.store.campaigns
        answer, retried = self.both(
            lambda: campaigns.retry_job(job_id) if is_one else campaigns.retry(campaign),
            lambda: self.fleet.retry(campaign, job_id if is_one else None),
            twice=twice,
        )
        assert answer is None or answer["retried"] == retried

    def drain(self, data: Any, twice: bool) -> None:
        worker, drained = self.worker(data), data.draw(st.booleans())
        self.do(lambda: self.store.fleet.drain(worker, "maintenance" if drained else None), twice=twice)
        self.fleet.workers[worker].is_drained = drained

    def check(self, data: Any, twice: bool) -> None:
        worker = self.worker(data)
        can_be_checked = self.fleet.workers[worker].can_be_checked
        try:
            started = self.do(lambda: self.store.health.start(worker), twice=twice)
        except Refused:
            assert not can_be_checked
        else:
            assert can_be_checked
            self.fleet.check(worker, f"{started['campaign_id']}-job-0")

    def set_aside(self, data: Any, twice: bool) -> None:
        worker = self.worker(data)
        self.do(lambda: self.store.fleet.set_status(worker, "faulty", "smells of smoke"), twice=twice)
        self.fleet.set_aside(worker)

    def recover(self, data: Any, twice: bool) -> None:
        worker = self.worker(data)
        self.do(lambda: self.store.fleet.recover(worker), twice=twice)
        self.fleet.recover(worker)

    def remove(self, data: Any, twice: bool) -> None:  # noqa: ARG002 (a second time there is no such worker)
        worker, force = self.worker(data), data.draw(st.booleans())
        self.both(lambda: self.store.fleet.remove(worker, force=force), lambda: self.fleet.remove(worker, force=force))

    def reset(self, data: Any, twice: bool) -> None:  # noqa: ARG002 (a second time there is nothing)
        if data.draw(st.integers(0, 3)) == 3:
            self.runner.run(self.store.server.reset())
            assert self.runner.run(dump(self.store, without=("epoch",))) == {}, "a key of ours is left"
            self.fleet.reset()
            self.lease = (None, 0)

    # Steps of workers

    @rule(name=st.sampled_from(NAMES), tags=st.sampled_from(TAG_SETS))
    def start(self, name: str, tags: frozenset[str]) -> None:
        """A new process registers as the device, whose tags may be others now: the old one is gone."""
        self.births += 1
        instance = f"{name} {self.births}"
        worker = self.do(lambda: self.drive.worker(name, instance=instance, tags=sorted(tags)), twice=True)
        self.fleet.register(worker, name, tags)

    @precondition(has_workers)
    @rule(data=st.data(), claim=st.none() | st.just("c"), twice=st.booleans())
    def claim(self, data: Any, claim: str | None, twice: bool) -> None:
        worker = self.worker(data)
        current = self.fleet.current(worker)
        if claim and current:
            return  # a claim under another name gives the job back: told in the tests of that alone
        got = self.do(lambda: self.drive.claim(worker, claim), twice=twice)
        wanted = self.fleet.claim(worker)
        assert (got and got.job_id) == wanted
        assert not got or got.attempt == len(self.fleet.jobs[wanted].tries)

    @precondition(has_workers)
    @rule(data=st.data(), twice=st.booleans())
    def claim_again(self, data: Any, twice: bool) -> None:
        """As often as all that can end an attempt."""
        self.claim(data, None, twice)

    @precondition(has_tries)
    @rule(data=st.data(), end=st.sampled_from(sorted(ENDS)), twice=st.booleans())
    def finish(self, data: Any, end: str, twice: bool) -> None:
        attempt, is_device_failure = self.attempt(data), end == DEVICE_FAILURE
        status, figures = "Failed" if is_device_failure else end, PASSING if end == "Complete" else {}
        answer, is_duplicate = self.both(
            lambda: self.drive.finish(
                attempt.job_id, attempt.worker, attempt.number, status, is_device_failure=is_device_failure, **figures
            ),
            lambda: self.fleet.finish(attempt, end),
            twice=twice,
        )
        assert answer is None or answer["duplicate"] == is_duplicate

    @precondition(has_tries)
    @rule(data=st.data(), twice=st.booleans())
    def beat(self, data: Any, twice: bool) -> None:
        attempt = self.attempt(data)
        if attempt.worker not in self.fleet.workers:
            with pytest.raises(NotFound):
                self.do(lambda: self.drive.beat(attempt.worker, attempt.job_id, attempt.number), twice=False)
            return
        progress = Progress(phase="measuring", done=1, total=2)
        self.both(
            lambda: self.drive.beat(attempt.worker, attempt.job_id, attempt.number, progress=progress),
            lambda: self.fleet.beat(attempt),
            twice=twice,
        )

    def beat_without_a_job(self, data: Any, twice: bool) -> None:
        worker = self.worker(data)
        self.do(lambda: self.drive.beat(worker, None), twice=twice)
        self.fleet.beat_without_a_job(worker)

    def release(self, data: Any, twice: bool) -> None:
        attempt = self.attempt(data)
        self.both(
            lambda: self.drive.release(attempt.job_id, attempt.worker, attempt.number),
            lambda: self.fleet.release(attempt),
            twice=twice,
        )

    def say_goodbye(self, data: Any, twice: bool) -> None:
        worker = self.worker(data)
        self.do(lambda: self.store.fleet.goodbye(worker, None), twice=twice)
        self.fleet.say_goodbye(worker)

    # Steps of the orchestrators

    @precondition(has_workers)
    @rule(data=st.data())
    def fall_silent(self, data: Any) -> None:
        worker = self.worker(data)
        beats = self.runner.run(self.store.fleet.beats())[worker]
        if data.draw(st.sampled_from([False, False, True])):
            self.beat_without_a_word(worker, beats)
            return
        current = self.fleet.current(worker)
        lost = self.do(lambda: self.store.fleet.lose(worker, beats, 30.0, AT_ONCE), twice=False)
        assert bool(lost) == self.fleet.fall_silent(worker)
        assert lost in (False, current or True)
        again = self.do(lambda: self.store.fleet.lose(worker, beats, 30.0, AT_ONCE), twice=False)
        assert again is False, "two reapers at once lose a worker once"

    def beat_without_a_word(self, worker: str, beats: int) -> None:
        """A sign of life between the reaper's look and its step: nobody is lost."""
        self.do(lambda: self.drive.beat(worker), twice=False)
        self.fleet.workers[worker].heard_from()
        assert self.do(lambda: self.store.fleet.lose(worker, beats, 30.0, AT_ONCE), twice=True) is False

    def overdue(self, data: Any, twice: bool) -> None:
        attempt = self.attempt(data)
        job = type("Claim", (), {"job_id": attempt.job_id, "attempt": attempt.number})
        lost = self.do(lambda: self.drive.overdue(job, attempt.worker), twice=twice)
        assert lost == self.fleet.overdue(attempt)

    @rule(replica=st.sampled_from("ab"), does=st.sampled_from(["look", "look", "take over", "leave"]))
    def a_replica_makes_its_round(self, replica: str, does: str) -> None:
        """The lease changes hands only when it was given up, or its counter has stood still."""
        if does == "leave":
            self.drop_duties(replica)
            return
        has_stood_still = does == "take over"
        holder, counter = self.lease
        if holder in (None, replica) or has_stood_still:
            holder, counter = replica, counter + 1
        seen = self.lease[1] if has_stood_still else -1
        lease = self.runner.run(self.store.duties.take(replica, seen))
        assert (lease.holder, lease.counter) == (holder, counter)
        self.lease = (holder, counter)

    def drop_duties(self, replica: str) -> None:
        self.runner.run(self.store.duties.drop(replica))
        if self.lease[0] == replica:
            self.lease = (None, 0)

    # What holds at any time

    @invariant()
    def both_say_the_same(self) -> None:
        keys = self.runner.run(dump(self.store))
        assert contradictions(keys) == []
        self.fleet.conclude_checkups()
        told = {job_id: keys[f"job:{job_id}"] for job_id in self.fleet.jobs}
        assert {job_id: state["status"] for job_id, state in told.items()} == {
            job_id: job.status for job_id, job in self.fleet.jobs.items()
        }
        for count in ("losses", "device_failures"):
            assert {job_id: int(state.get(count, 0)) for job_id, state in told.items()} == {
                job_id: getattr(job, count) for job_id, job in self.fleet.jobs.items()
            }
        self._check_workers(keys)
        for campaign in self.fleet.campaigns:
            assert keys[f"campaign:{campaign}"]["status"] == self.fleet.campaign_status(campaign)
        for tags in TAG_SETS:
            queue = "+".join((f"unit:{CPU}", *sorted(tags)))
            assert self.runner.run(self.drive.waiting(queue)) == self.fleet.waiting_with(tags)
        for worker in self.fleet.workers:
            assert self.runner.run(self.drive.waiting(f"health:{worker}")) == self.fleet.waiting(worker)

    @invariant()
    def every_result_waits_for_its_row(self) -> None:
        """Nothing is acknowledged here: whatever has ended once stands in the stream."""
        waiting = set(self.runner.run(self.store.outbox.waiting()).values())
        ended = {job_id for job_id, job in self.fleet.jobs.items() if job.is_final}
        of_devices = {job_id for job_id, job in self.fleet.jobs.items() if job.device}
        assert ended - of_devices <= waiting
        assert not of_devices & waiting, "a checkup has no file"

    def _check_workers(self, keys: Any) -> None:
        known = {name.removeprefix("worker:") for name in keys if name.startswith("worker:")}
        assert known == set(self.fleet.workers)
        for worker, one in self.fleet.workers.items():
            state = keys[f"worker:{worker}"]
            away = {None: None, "offline": "offline"}.get(one.cause, "faulty")
            assert state["status"] == (away or ("busy" if self.fleet.current(worker) else "active"))
            assert state.get("faulty_cause") == (one.cause if away == "faulty" else None)
            assert ("drained" in state) == one.is_drained
            assert state.get("checkup") == (one.checkup and one.checkup.rpartition("-job-")[0])


@pytest.mark.timeout(600)
def test_the_scripts_do_what_the_model_says(valkey_url: str) -> None:
    machine = type("MachineHere", (Machine,), {"url": valkey_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
