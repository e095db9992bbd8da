"""What is said of jobs before they run: who could take them, what waits and why, how long they may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.models import JobSpec
from daemons.core.outlook import Kind, groups_of, outlook
from daemons.core.targeting import Device

CPU, GPU = "CPU (ONNX)", "GPU (ONNX)"
URL, OTHER = "http://a/m.onnx", "http://me:secret@a/other.onnx"
ONE, TWO = Device("worker-1", (CPU,), frozenset({"quiet"})), Device("worker-2", (CPU, GPU), status="busy")
KNOWN = {Kind(CPU, URL): 10.0, Kind(GPU, URL): 30.0}


def expected(*jobs, fleet=(ONE, TWO), known=KNOWN):
    return outlook(groups_of(jobs, URL), fleet, known)


def waits(found):
    return [(one.compute_unit, one.worker_id, one.tags, one.jobs) for one in found.waiting]


def test_what_a_device_could_take_can_run_and_the_rest_waits_for_what_is_missing():
    found = expected(
        *[JobSpec(compute_unit=CPU)] * 3,
        JobSpec(compute_unit=CPU, tags=["quiet"]),
        *[JobSpec(compute_unit=GPU, tags=["quiet"])] * 2,
        JobSpec(compute_unit="NPU (X)"),
        JobSpec(compute_unit=CPU, worker_id="worker-9"),
    )
    assert found.runnable_now == 4
    assert waits(found) == [(GPU, None, ["quiet"], 2), ("NPU (X)", None, [], 1), (CPU, "worker-9", [], 1)]
    assert found.warnings == sorted(one.why for one in found.waiting)
    assert f"no live device offers {GPU} and has the tags quiet" in found.warnings[0]
    assert found.notes == ["jobs that wait for a device are not counted: 4"]


@pytest.mark.parametrize(
    "away",
    [ONE._replace(status="faulty"), ONE._replace(status="offline"), ONE._replace(is_drained=True)],
    ids=["faulty", "offline", "drained"],
)
def test_a_device_that_is_away_takes_nothing(away):
    job = JobSpec(compute_unit=CPU, worker_id="worker-1")
    assert expected(job, JobSpec(compute_unit=CPU), fleet=[away]).runnable_now == 0
    assert "worker-1 is away" in expected(job, fleet=[away]).waiting[0].why


def test_a_job_for_a_device_without_the_unit_is_taken_and_will_fail():
    found = expected(JobSpec(compute_unit=GPU, worker_id="worker-1"))
    assert (found.runnable_now, found.waiting) == (1, [])
    assert "worker-1 doesn't offer GPU (ONNX)" in found.warnings[0]


def test_jobs_are_shared_out_to_whoever_is_free_first():
    assert expected(*[JobSpec(compute_unit=CPU)] * 4).estimate_s == 20.0
    assert expected(*[JobSpec(compute_unit=CPU)] * 5).estimate_s == 30.0
    assert expected(*[JobSpec(compute_unit=CPU)] * 4, fleet=[ONE]).estimate_s == 40.0


def test_those_that_few_could_take_go_first():
    """The second device has the graphics job for 30 s: the first one does all others meanwhile."""
    found = expected(*[JobSpec(compute_unit=CPU)] * 3, JobSpec(compute_unit=GPU))
    assert (found.estimate_s, found.notes) == (30.0, [])
    pinned = expected(
        *[JobSpec(compute_unit=CPU)] * 3, JobSpec(compute_unit=GPU), JobSpec(worker_id="worker-1", compute_unit=CPU)
    )
    assert pinned.estimate_s == 40.0


def test_without_history_of_one_kind_there_is_no_estimate_and_it_says_of_which():
    found = expected(JobSpec(compute_unit=CPU), JobSpec(compute_unit=CPU, model_url=OTHER))
    assert found.estimate_s is None
    assert found.notes == ["nothing is known yet of how long other.onnx takes on CPU (ONNX)"]


def test_what_waits_needs_no_history_and_nothing_to_run_has_no_estimate():
    assert expected(JobSpec(compute_unit=CPU), JobSpec(compute_unit="NPU (X)")).estimate_s == 10.0
    assert expected(JobSpec(compute_unit="NPU (X)")).estimate_s is None
    assert expected().estimate_s is None


@given(
    counts=st.lists(st.integers(0, 12), min_size=3, max_size=3),
    seconds=st.lists(st.floats(0.1, 1000), min_size=2, max_size=2),
    devices=st.integers(1, 5),
)
def test_an_estimate_lies_between_the_work_shared_out_evenly_and_one_after_the_other(counts, seconds, devices):
    fleet = [Device(f"worker-{number}", (CPU, GPU), frozenset({"a"})) for number in range(devices)]
    known = {Kind(CPU, URL): seconds[0], Kind(GPU, URL): seconds[1]}
    jobs = [JobSpec(compute_unit=CPU)] * counts[0] + [JobSpec(compute_unit=GPU)] * counts[1]
    jobs += [JobSpec(compute_unit=CPU, tags=["a"])] * counts[2]
    work_s = seconds[0] * (counts[0] + counts[2]) + seconds[1] * counts[1]
    found = expected(*jobs, fleet=fleet, known=known)
    if not jobs:
        assert found.estimate_s is None
    else:
        assert found.estimate_s is not None
        assert work_s / devices - 0.1 <= found.estimate_s <= work_s / devices + max(seconds) + 0.1
    assert found.runnable_now == len(jobs)
