"""When an orchestrator says that it is well, and what it says when it isn't."""

from __future__ import annotations

import pytest

from daemons.orchestrator.health import DEGRADED, HEALTHY, LATE_S, UNHEALTHY, Replica, judge
from daemons.store.duties import FleetFacts

REDIS = {"append_only": True, "append_fsync": "always", "append_only_error": False, "may_evict": False}
DUTIES = {"reaper": 0.0, "retention": 60.0}
ME = Replica(is_holder=True, duties=DUTIES, uptime_s=3600.0, mark="here/too")
WELL = FleetFacts(duties={"reaper": 500.0, "retention": 59_000.0}, holder="me", outputs="here/too")


def changed(facts=WELL, **more):
    given = {name: getattr(facts, name) for name in facts.__struct_fields__} | more
    return FleetFacts(**given)


def test_nothing_wrong_is_healthy():
    assert judge(REDIS, WELL, ME) == (HEALTHY, [])


@pytest.mark.parametrize(
    ("redis", "said"),
    [
        ({"append_only": False}, "no append-only file"),
        ({"append_fsync": "everysec"}, "syncs its append-only file everysec"),
        ({"append_only_error": True}, "can't write its append-only file"),
        ({"may_evict": True}, "throws keys away"),
    ],
)
def test_a_store_that_may_forget_is_named(redis, said):
    status, (problem,) = judge(REDIS | redis, WELL, ME)
    assert status == DEGRADED
    assert said in problem


def test_a_server_that_does_not_tell_how_it_syncs_is_believed():
    assert judge(REDIS | {"append_fsync": None}, WELL, ME)[0] == HEALTHY


@pytest.mark.parametrize(("lag_s", "status"), [(LATE_S - 1, HEALTHY), (LATE_S + 1, UNHEALTHY)], ids=["in time", "late"])
def test_a_holder_that_does_not_do_its_duty_is_unhealthy(lag_s, status):
    facts = changed(duties={"reaper": lag_s * 1000, "retention": 0.0})
    found, problems = judge(REDIS, facts, ME)
    assert found == status
    assert all("the duty reaper was not done for" in problem for problem in problems)


def test_another_replica_that_holds_them_and_is_late_degrades_this_one():
    late = changed(duties={"reaper": 90_000.0, "retention": 0.0}, holder="other")
    assert judge(REDIS, late, ME._replace(is_holder=False))[0] == DEGRADED


def test_duties_that_nobody_holds_are_this_ones_fault_too():
    late = changed(duties={"reaper": 90_000.0, "retention": 0.0}, holder=None)
    status, problems = judge(REDIS, late, ME._replace(is_holder=False))
    assert status == UNHEALTHY
    assert "nobody holds the lease" in problems[0]


def test_one_that_has_just_started_had_no_time_to_be_late():
    long_ago = changed(duties={"reaper": 3_600_000.0}, holder=None)
    assert judge(REDIS, long_ago, ME._replace(uptime_s=2.0))[0] == HEALTHY


def test_each_duty_is_late_by_its_own_interval():
    facts = changed(duties={"reaper": 0.0, "retention": 80_000.0})
    assert judge(REDIS, facts, ME)[0] == HEALTHY


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"undelivered": 2}, "2 results are kept on devices"),
        ({"outputs": "there/too"}, "results are written to another folder"),
        ({"outputs": "here/there"}, "models are kept in another folder"),
        ({"problems": {"writer": "results can't be written: disk full"}}, "disk full"),
        ({"oldest_result_ms": 70_000.0, "duties": WELL.duties | {"writer": 1.0}}, "waited for its file for 70 s"),
    ],
)
def test_what_wants_a_person_degrades(facts, said):
    status, (problem,) = judge(REDIS, changed(**facts), ME)
    assert status == DEGRADED
    assert said in problem


def test_a_folder_that_nobody_knows_is_not_compared():
    assert judge(REDIS, changed(outputs=None), ME)[0] == HEALTHY
    assert judge(REDIS, WELL, ME._replace(mark=""))[0] == HEALTHY
    assert judge(REDIS, WELL, ME._replace(mark="/"))[0] == HEALTHY
    assert judge(REDIS, changed(outputs="here"), ME)[0] == HEALTHY
