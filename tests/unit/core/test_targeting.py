"""A campaign multiplied out: every combination once, for devices that are there; refused where it can't be meant."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.errors import InvalidInput
from daemons.core.models import CampaignRequest, JobSpec, Matrix
from daemons.core.targeting import MAX_MODELS, MAX_TAG_SETS, Device, expand, models_in
from daemons.core.validation import convert

CPU, GPU, NPU = "CPU (ONNX)", "GPU (ONNX)", "NPU (X)"
UNITS = frozenset({CPU, GPU, NPU})
URL, OTHER = "http://a/m.onnx", "http://a/other.onnx"
FLEET = (
    Device("worker-1", (CPU,), frozenset({"lab", "quiet"}), status="busy"),
    Device("worker-2", (GPU, CPU), frozenset({"lab"})),
    Device("worker-3", (CPU,), status="offline"),
    Device("worker-4", (CPU,), status="faulty"),
    Device("worker-5", (), is_drained=True),
)


def expanded(fleet=FLEET, **campaign):
    return expand(convert({"model_url": URL} | campaign, CampaignRequest), fleet, UNITS).jobs


def refusal(**campaign):
    with pytest.raises(InvalidInput) as caught:
        expanded(**campaign)
    assert str(caught.value).startswith(f"{caught.value.field}: ")
    return caught.value.field, str(caught.value)


def one_job(**job):
    return {"jobs": [{"compute_unit": CPU}, {"compute_unit": CPU, **job}]}


def test_plain_jobs_stay_as_they_are():
    jobs = [{"compute_unit": CPU, "threads": 2}, {"compute_unit": GPU}, {"compute_unit": CPU, "threads": 2}]
    assert expanded(jobs=jobs) == [msgspec.convert(job, JobSpec) for job in jobs]


def test_a_device_alone_is_meant_with_its_first_unit():
    assert expanded(jobs=[{"worker_id": "worker-2"}]) == [JobSpec(compute_unit=GPU, worker_id="worker-2")]


def test_tags_are_put_in_order_and_said_once_each():
    (job,) = expanded(jobs=[{"compute_unit": CPU, "tags": ["quiet", "lab", "quiet"]}])
    assert job == JobSpec(compute_unit=CPU, tags=["lab", "quiet"])


def test_every_device_is_every_one_with_the_unit_that_is_not_offline():
    jobs = expanded(jobs=[{"compute_unit": CPU, "devices": "every", "threads": 3}])
    assert jobs == [JobSpec(compute_unit=CPU, threads=3, worker_id=f"worker-{number}") for number in (1, 2, 4)]


def test_every_device_with_tags_is_every_one_that_has_them_all():
    jobs = expanded(jobs=[{"compute_unit": CPU, "devices": "every", "tags": ["quiet", "lab"]}])
    assert jobs == [JobSpec(compute_unit=CPU, worker_id="worker-1")]


def test_some_devices_are_those_first_that_are_free_then_those_that_take_jobs():
    def chosen(count):
        return [job.worker_id for job in expanded(jobs=[{"compute_unit": CPU, "devices": count}])]

    assert (chosen(1), chosen(2)) == (["worker-2"], ["worker-2", "worker-1"])
    assert chosen(3) == ["worker-1", "worker-2", "worker-4"]


def test_a_campaign_without_a_model_of_its_own_is_about_its_first():
    made = expand(
        convert({"jobs": [{"compute_unit": CPU, "model_url": url} for url in (OTHER, URL, OTHER)]}, CampaignRequest),
        FLEET,
        UNITS,
    )
    assert (made.model_url, [job.model_url for job in made.jobs]) == (OTHER, [None, URL, None])


def test_a_matrix_changes_its_options_fastest_and_its_models_last():
    matrix = {
        "models": [URL, OTHER],
        "compute_units": [GPU, CPU],
        "devices": ["worker-2", "worker-1"],
        "options": [{"threads": 1}, {"threads": 2, "priority": 5}],
    }
    made = [(job.model_url, job.compute_unit, job.worker_id, job.threads) for job in expanded(matrix=matrix)]
    assert made == [
        (model, unit, worker, threads)
        for model in (None, OTHER)
        for unit in (GPU, CPU)
        for worker in ("worker-2", "worker-1")
        for threads in (1, 2)
    ]


def test_a_matrix_may_be_for_every_device_with_tags_and_stand_beside_jobs():
    jobs = expanded(jobs=[{"compute_unit": NPU}], matrix={"compute_units": [CPU], "devices": "every", "tags": ["lab"]})
    assert [(job.compute_unit, job.worker_id) for job in jobs] == [(NPU, None), (CPU, "worker-1"), (CPU, "worker-2")]
    (job,) = expanded(matrix={"compute_units": [CPU], "tags": ["quiet", "lab"]})
    assert job.tags == ["lab", "quiet"]


REFUSED = {
    "no jobs": ({}, "jobs", "at least one"),
    "no model": ({"model_url": None, "jobs": [{"compute_unit": CPU}]}, "model_url", "is missing"),
    "no model of one": (
        {"model_url": None, "jobs": [{"compute_unit": CPU, "model_url": URL}, {"compute_unit": CPU}]},
        "model_url",
        "jobs[1] names none",
    ),
    "no model of the matrix": (
        {"model_url": None, "jobs": [{"compute_unit": CPU, "model_url": URL}], "matrix": {"compute_units": [CPU]}},
        "model_url",
        "matrix names none",
    ),
    "no unit": ({"jobs": [{}]}, "jobs[0].compute_unit", "is missing"),
    "no unit of several": ({"jobs": [{"devices": 2}]}, "jobs[0].compute_unit", "is missing"),
    "another unit": ({"jobs": [{"compute_unit": "TPU (X)"}]}, "jobs[0].compute_unit", CPU),
    "another unit in the matrix": ({"matrix": {"compute_units": [CPU, "x"]}}, "matrix.compute_units[1]", CPU),
    "nobody": (one_job(worker_id="worker-0"), "jobs[1].worker_id", "worker-0"),
    "nobody in the matrix": (
        {"matrix": {"compute_units": [CPU], "devices": ["worker-1", "worker-0"]}},
        "matrix.devices[1]",
        "worker-0",
    ),
    "without a unit": ({"jobs": [{"worker_id": "worker-5"}]}, "jobs[0].worker_id", "no compute unit"),
    "one and every": (one_job(worker_id="worker-1", devices="every"), "jobs[1].devices", "worker-1 alone"),
    "one and some": (one_job(worker_id="worker-1", devices=1), "jobs[1].devices", "worker-1 alone"),
    "one and tags": (one_job(worker_id="worker-1", tags=["lab"]), "jobs[1].tags", "worker-1 alone"),
    "list and tags": (
        {"matrix": {"compute_units": [CPU], "devices": ["worker-1"], "tags": ["lab"]}},
        "matrix.tags",
        "leave one out",
    ),
    "every of none": (one_job(compute_unit=NPU, devices="every"), "jobs[1].devices", "there are 0 now"),
    "every of none with tags": (one_job(devices="every", tags=["loud"]), "jobs[1].devices", "with the tags loud"),
    "more than there are": (one_job(devices=4), "jobs[1].devices", "asks for 4 devices that can run CPU"),
    "more in the matrix": ({"matrix": {"compute_units": [GPU], "devices": 2}}, "matrix.devices", "there are 1 now"),
    "options say the unit": (
        {"matrix": {"compute_units": [CPU], "options": [{}, {"compute_unit": CPU}]}},
        "matrix.options[1].compute_unit",
        "by the matrix itself",
    ),
    "options say devices": (
        {"matrix": {"compute_units": [CPU], "options": [{"devices": "every"}]}},
        "matrix.options[0].devices",
        "by the matrix itself",
    ),
    "many models": (
        {"jobs": [{"compute_unit": CPU, "model_url": f"http://a/{n}"} for n in range(MAX_MODELS)]},
        "jobs",
        "1,001 different models",
    ),
    "many sets of tags": (
        {"jobs": [{"compute_unit": CPU, "tags": [f"t{n}"]} for n in range(MAX_TAG_SETS + 1)]},
        "jobs",
        "1,001 different sets",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_meant_is_refused_with_the_field(name):
    campaign, field, word = REFUSED[name]
    found, text = refusal(**campaign)
    assert (found, word in text) == (field, True), text


def test_too_many_jobs_are_refused_with_their_number_before_any_is_made():
    matrix = {
        "models": [f"http://a/{number}" for number in range(999)],
        "compute_units": [CPU] * 50,
        "devices": "every",
        "options": [{}] * 1000,
    }
    field, text = refusal(matrix=matrix)
    assert (field, "149,850,000 jobs" in text) == ("matrix", True)
    models = [f"http://a/{number}" for number in range(100)]
    most = {"compute_units": [CPU], "models": models, "options": [{}] * 1000}
    assert len(expanded(matrix=most)) == 100_000
    field, text = refusal(jobs=[{"compute_unit": CPU}], matrix=most)
    assert (field, "100,001 jobs" in text) == ("jobs", True)


def test_models_are_told_with_the_field_that_names_them_first():
    request = CampaignRequest(
        model_url=URL,
        jobs=[JobSpec(), JobSpec(model_url=OTHER), JobSpec(model_url=URL)],
        matrix=Matrix(models=[OTHER, "http://a/third"], compute_units=[CPU]),
    )
    assert models_in(request) == {
        URL: "model_url",
        OTHER: "jobs[1].model_url",
        "http://a/third": "matrix.models[1]",
    }


devices = st.builds(
    Device,
    worker_id=st.integers(0, 10**9).map(lambda number: f"worker-{number}"),
    units=st.lists(st.sampled_from(sorted(UNITS)), unique=True).map(tuple),
    tags=st.frozensets(st.sampled_from("ab")),
    status=st.sampled_from(["active", "busy", "faulty", "offline"]),
    is_drained=st.booleans(),
)
matrices = st.builds(
    Matrix,
    models=st.none() | st.lists(st.sampled_from([URL, OTHER]), min_size=1, max_size=3),
    compute_units=st.lists(st.sampled_from([CPU, GPU]), min_size=1, max_size=2),
    devices=st.sampled_from(["any", "every", 1, 2]),
    tags=st.lists(st.sampled_from("ab"), max_size=2),
    options=st.lists(st.builds(JobSpec, threads=st.integers(1, 3)), min_size=1, max_size=3),
)


@given(matrix=matrices, fleet=st.lists(devices, max_size=6, unique_by=lambda device: device.worker_id))
def test_a_matrix_makes_every_combination_as_often_as_it_is_written_on_devices_that_can(matrix, fleet):
    able = {
        unit: [one for one in fleet if one.fits(unit, matrix.tags) and not one.is_offline]
        for unit in matrix.compute_units
    }
    wanted = {"any": 0, "every": 1}.get(matrix.devices, matrix.devices)
    request = CampaignRequest(model_url=URL, matrix=matrix)
    if any(len(found) < wanted for found in able.values()):
        with pytest.raises(InvalidInput, match="there are"):
            expand(request, fleet, UNITS)
        return
    jobs = expand(request, fleet, UNITS).jobs
    times = {
        unit: {"any": 1, "every": len(able[unit])}.get(matrix.devices, matrix.devices) for unit in matrix.compute_units
    }
    assert Counter((job.model_url or URL, job.compute_unit, job.threads) for job in jobs) == Counter(
        (model, unit, option.threads)
        for model in matrix.models or [URL]
        for unit in matrix.compute_units
        for option in matrix.options
        for _ in range(times[unit])
    )
    for job in jobs:
        if matrix.devices == "any":
            assert (job.worker_id, job.tags) == (None, sorted(set(matrix.tags)))
        else:
            assert job.worker_id in {one.worker_id for one in able[job.compute_unit or ""]}
            assert (job.devices, job.tags) == ("any", [])
