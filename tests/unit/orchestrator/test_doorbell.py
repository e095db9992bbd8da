"""Who is woken for what."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from daemons.core.models import ClaimedJob, ClaimRequest
from daemons.orchestrator.dispatch import Dispatcher, Doorbell
from daemons.store.queue import Claimed


@pytest.fixture
def bell():
    return Doorbell()


@pytest.fixture
def waiting(bell):
    """A function that makes a claim wait for queues; its ticket."""
    with contextlib.ExitStack() as stack:

        def wait(*queues, tags=()):
            ticket = stack.enter_context(bell.waiting())
            bell.listen(ticket, queues, frozenset(tags))
            return ticket

        yield wait


def woken(*tickets):
    return [bool(ticket.wakeups) for ticket in tickets]


def test_as_many_as_there_are_jobs_the_longest_waiting_first(bell, waiting):
    tickets = [waiting("a") for _ in range(3)]
    bell.ring({"a": 2})
    assert woken(*tickets) == [True, True, False]


def test_those_who_sleep_come_before_those_who_are_awake(bell, waiting):
    tickets = [waiting("a") for _ in range(2)]
    bell.ring({"a": 1})
    bell.ring({"a": 1})
    assert woken(*tickets) == [True, True]


UNIT = "unit:A+B (X)"


def test_a_queue_with_tags_wakes_those_of_the_unit_who_have_them_all(bell, waiting):
    tickets = [waiting(UNIT, tags=tags) for tags in ("", "a", "ab", "abc", "bc")]
    tickets.append(waiting("unit:A (X)", tags="ab"))
    bell.ring({f"{UNIT}+a+b": 5})
    assert woken(*tickets) == [False, False, True, True, False, False]


def test_a_wake_up_for_a_queue_with_tags_is_passed_on_to_one_who_has_them(bell, waiting):
    with bell.waiting() as leaving:
        bell.listen(leaving, (UNIT,), frozenset("ab"))
        bell.ring({f"{UNIT}+a": 1})
        others = [waiting(UNIT), waiting(UNIT, tags="b"), waiting(UNIT, tags="a")]
    assert woken(*others) == [False, False, True]


def test_whoever_listens_anew_listens_with_new_tags(bell, waiting):
    ticket = waiting(UNIT, tags="a")
    bell.listen(ticket, (UNIT,), frozenset("b"))
    bell.ring({f"{UNIT}+a": 1})
    assert woken(ticket) == [False]
    bell.ring({f"{UNIT}+b": 1})
    assert woken(ticket) == [True]


def test_other_queues_wake_nobody(bell, waiting):
    ticket = waiting("a", "b")
    bell.ring({"c": 5})
    assert woken(ticket) == [False]
    bell.ring({"b": 1})
    assert woken(ticket) == [True]


def test_a_wake_up_that_is_left_is_passed_on(bell, waiting):
    with bell.waiting() as leaving:
        bell.listen(leaving, ("a",))
        staying = waiting("a")
        bell.ring({"a": 1})
        assert woken(leaving, staying) == [True, False]
    assert woken(staying) == [True]


def test_one_that_was_answered_is_not_passed_on(bell, waiting):
    with bell.waiting() as leaving:
        bell.listen(leaving, ("a", "b"))
        staying = waiting("a", "b")
        bell.ring({"a": 1})
        leaving.took_from("a")
    assert woken(staying) == [False]


def test_a_job_from_another_queue_leaves_the_wake_up_to_others(bell, waiting):
    with bell.waiting() as leaving:
        bell.listen(leaving, ("a", "b"))
        staying = waiting("a")
        bell.ring({"a": 1})
        leaving.took_from("b")
    assert woken(staying) == [True]


def test_a_try_that_found_nothing_spends_only_what_came_before_it(bell, waiting):
    ticket = waiting("a")
    bell.ring({"a": 1})
    before = len(ticket.wakeups)
    bell.ring({"a": 1})
    ticket.spend(before)
    assert woken(ticket) == [True]


async def test_whoever_left_is_rung_no_more(bell):
    with bell.waiting() as ticket:
        bell.listen(ticket, ("a",))
        assert len(bell) == 1
    bell.ring({"a": 1})
    assert (len(bell), woken(ticket)) == (0, [False])


class ScriptedQueue:
    """Answers tries with what the test has put there, and lets it act while a try is under way."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.tries = 0
        self.during = {}

    async def claim(self, worker_id, request):  # noqa: ARG002 (the signature is the store's)
        self.tries += 1
        await asyncio.sleep(0)
        self.during.get(self.tries, lambda: None)()
        return self.answers.pop(0) if self.answers else NOTHING


NOTHING = Claimed(queues=("a", "b"))
JOB = Claimed(
    job=ClaimedJob(job_id="j", campaign_id="c", attempt=1, model_url="http://h/m", compute_unit="CPU (ONNX)"), queue="a"
)


def dispatcher(queue):
    return Dispatcher(type("Store", (), {"queue": queue})())


async def test_a_claim_listens_before_the_try_that_it_trusts():
    queue = ScriptedQueue(NOTHING, JOB)
    assert await dispatcher(queue).claim("w", ClaimRequest(), 60.0, lambda: False) == JOB.job
    assert queue.tries == 2


async def test_a_job_that_comes_while_a_try_is_under_way_is_not_slept_through():
    queue = ScriptedQueue(NOTHING, NOTHING, NOTHING, JOB)
    dispatch = dispatcher(queue)
    queue.during = {2: lambda: dispatch.doorbell.ring({"a": 1}), 3: lambda: dispatch.doorbell.ring({"b": 1})}
    claim = dispatch.claim("w", ClaimRequest(), 60.0, lambda: False)
    assert await asyncio.wait_for(claim, 3.0) == JOB.job
    assert queue.tries == 4


async def test_one_whose_caller_is_gone_tries_no_more():
    queue = ScriptedQueue(JOB)
    assert await dispatcher(queue).claim("w", ClaimRequest(), 60.0, lambda: True) is None
    assert queue.tries == 0


@pytest.mark.parametrize("is_ready", [True, False])
async def test_closing_answers_everybody_also_who_may_take_nothing(is_ready):
    queue = ScriptedQueue(*[Claimed(queues=("a",), is_ready=is_ready)] * 9)
    dispatch = dispatcher(queue)
    claim = asyncio.create_task(dispatch.claim("w", ClaimRequest(), 60.0, lambda: False))
    while len(dispatch.doorbell) == 0 or queue.tries < (2 if is_ready else 1):  # noqa: ASYNC110 (tries ring no bell)
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    dispatch.close()
    assert await asyncio.wait_for(claim, 3.0) is None
