"""What is written in the form means the request that one would write, and what is wrong stands where it is wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.errors import InvalidInput
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.targeting import Device, expand
from daemons.core.validation import convert
from tests.support.board_documents import CPU, GPU, campaign, worker
from tui.board.things import campaign_of, worker_of
from tui.forms.again import refill
from tui.forms.checking import devices_of, is_missing, place_refusal, review, told, told_waiting, units_of
from tui.forms.draft import Draft, document_of, field_of
from tui.forms.options import options
from tui.forms.sending import Sent

URL = "https://example.org/net.onnx"
UNITS = frozenset((CPU, GPU, "GPU (ONNX)"))
FLEET = [
    Device("worker-1", (CPU, GPU), frozenset({"lab-1"})),
    Device("worker-2", (CPU,), frozenset({"lab-1", "quiet"}), "busy"),
    Device("worker-3", (GPU, CPU), frozenset(), "offline"),
]
DRAFT = Draft(model=URL, units=(CPU,))

VALUES: dict[str, Any] = {
    "num_load_runs": 7,
    "warmup_runs": 0,
    "threads": 4,
    "timeout_seconds": 12.5,
    "priority": -3,
    "inputs": {"data": {"shape": [1, 3, 8, 8], "range": [0.0, 1.0]}},
    "inputs_url": "https://example.org/inputs.npz",
    "batch_size": 8,
    "graph_optimization": "basic",
    "execution_mode": "parallel",
    "cold_file": True,
    "extend": {"max_runs": 50, "max_seconds": 30.0},
    "placement": "strict",
    "io_binding": True,
    "check_outputs": True,
    "engine_version": "onnxruntime==1.20.*",
    "precision": "reduced",
    "labels": {"branch": "main", "build": "17"},
    "credentials": "hub",
    "webhook": {"url": "https://example.org/ended"},
}


def test_every_field_of_the_request_can_be_filled_in():
    """A new option of jobs or campaigns is in the form without being written down there."""
    own = {"compute_unit", "worker_id", "tags", "devices", "model_url", "num_inference_runs", "jobs", "matrix", "name"}
    fields = {one.name for kind in (JobSpec, CampaignRequest) for one in msgspec.structs.fields(kind)}
    assert {one.name for one in options()} == fields - own == set(VALUES)


@pytest.mark.parametrize("option", options(), ids=lambda one: one.name)
def test_what_is_written_for_an_option_is_its_value(option):
    value = VALUES[option.name]
    assert option.value_of(option.text_of(value)) == value
    draft = msgspec.structs.replace(DRAFT, options={option.name: option.text_of(value)})
    document = document_of(draft, FLEET)
    found = convert(document, CampaignRequest)
    said = getattr(found.jobs[0] if option.is_of_job else found, option.name)
    assert msgspec.to_builtins(said) == value
    assert review(draft, FLEET).is_fine
    assert option.allowed


def test_names_and_values_are_written_without_braces_too():
    (extend,) = (one for one in options() if one.name == "extend")
    assert extend.value_of("max_runs: 50, max_seconds: 30") == {"max_runs": 50, "max_seconds": 30}


@pytest.mark.parametrize("text", ["010", "10", "+10"])
def test_a_number_is_decimal_whatever_yaml_thinks(text):
    assert document_of(msgspec.structs.replace(DRAFT, runs=text), FLEET)["jobs"][0]["num_inference_runs"] == 10


@pytest.mark.parametrize(
    ("change", "jobs", "sentence"),
    [
        ({}, 1, "1 job, for whichever of 2 devices comes first"),
        ({"units": (CPU, GPU)}, 2, "2 jobs, for whichever of 2 devices comes first"),
        ({"units": (GPU,)}, 1, "1 job on 1 device"),
        ({"which": "every"}, 2, "2 jobs on 2 devices"),
        ({"which": "every", "units": (CPU, GPU)}, 3, "3 jobs on 2 devices"),
        ({"which": "number", "number": "1"}, 1, "1 job on 1 device"),
        ({"which": "every", "tags": "quiet, lab-1"}, 1, "1 job on 1 device"),
        ({"which": "chosen", "chosen": ("worker-1", "worker-2"), "units": (CPU, GPU)}, 3, "3 jobs on 2 devices"),
    ],
)
def test_it_says_what_it_will_make(change, jobs, sentence):
    found = review(msgspec.structs.replace(DRAFT, **change), FLEET)
    assert (found.mistakes, found.jobs, told(found)) == ({}, jobs, sentence)


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ({"units": ("GPU (ONNX)",)}, "1 job would wait: no live device offers GPU (ONNX)"),
        ({"tags": "lab-9"}, "1 job would wait: no live device offers CPU (ONNX) and has the tags lab-9"),
        ({"which": "chosen", "chosen": ("worker-3",)}, "1 job would wait: worker worker-3 is away"),
    ],
)
def test_it_says_what_would_wait_for_a_device_that_is_not_there(change, waits):
    (said,) = told_waiting(review(msgspec.structs.replace(DRAFT, **change), FLEET))
    assert said.startswith(waits)


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"model": ""}, "model", "is missing"),
        ({"model": "ftp://example.org/x"}, "model", "must begin with http:// or https://"),
        ({"model": "model:other.onnx"}, "model", "keeps no model 'other.onnx'"),
        ({"model": "model:no name"}, "model", "must not hold spaces"),
        ({"model": "here.onnx"}, "model", "no such file"),
        ({"units": ()}, "units", "is missing"),
        ({"which": "chosen"}, "devices", "choose at least one"),
        ({"which": "chosen", "chosen": ("worker-2",), "units": (GPU,)}, "devices", "none of the chosen devices has"),
        ({"which": "chosen", "chosen": ("worker-9",)}, "devices", "there is no worker 'worker-9'"),
        ({"which": "number", "number": "9"}, "devices", "asks for 9 devices"),
        ({"which": "number", "number": "two"}, "devices", "must be a whole number"),
        ({"which": "every", "units": ("GPU (ONNX)",)}, "devices", "there are 0 now"),
        ({"tags": "no/slash"}, "tags", "1 to 60 letters"),
        ({"runs": "0"}, "runs", "a whole number from 1 to 100,000, and is 0"),
        ({"runs": "many"}, "runs", 'and is "many"'),
        ({"name": "n" * 201}, "name", "1 to 200 characters"),
        ({"options": {"threads": "0"}}, "threads", "from 1 to 1,024"),
        ({"options": {"extend": "max_runs: 5, max_secs: 3"}}, "extend", "did you mean `max_seconds`?"),
        ({"options": {"inputs": "x: {range: [2, 1]}"}}, "inputs", "must begin with the smaller number"),
        ({"options": {"labels": "no label"}}, "labels", ""),
    ],
)
def test_a_mistake_stands_with_its_field(change, field, problem):
    problems = {"file_problem": "no such file is here"} if change.get("model") == "here.onnx" else {}
    found = review(msgspec.structs.replace(DRAFT, **change), FLEET, kept={"net.onnx": "0" * 64}, **problems)
    assert set(found.mistakes) == {field}
    assert problem in found.mistakes[field]
    assert not found.is_fine
    assert is_missing(found.mistakes[field]) == (problem in ("is missing", "choose at least one"))


def test_a_refusal_of_the_server_stands_with_the_field_that_it_names():
    mistakes: dict[str, str] = {}
    error = InvalidInput("jobs[0].tags: are strange", field="jobs[0].tags")
    place_refusal(mistakes, error)
    place_refusal(mistakes, InvalidInput("model:x is not kept here", field="model_url"))
    place_refusal(mistakes, InvalidInput("something else"))
    assert mistakes == {"tags": "are strange", "model": "model:x is not kept here", "": "something else"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("jobs[3].compute_unit", "units"),
        ("jobs[0].worker_id", "devices"),
        ("jobs[0].inputs.data.shape", "inputs"),
        ("labels.x", "labels"),
        ("webhook.url", "webhook"),
        ("", ""),
        ("what", ""),
    ],
)
def test_places_in_the_request_lead_to_fields(path, field):
    assert field_of(path) == field


def test_units_are_those_of_the_fleet_and_the_standard_ones():
    assert units_of(FLEET, ("CPU (Toy)",)) == {
        CPU: 2,
        GPU: 1,
        "CPU (Toy)": 0,
        "GPU (ONNX)": 0,
        "Neural Engine (CoreML)": 0,
    }
    fleet = devices_of({"worker-1": worker_of(worker(1, tags=["a"], drained=True))})
    assert fleet == [Device("worker-1", (CPU,), frozenset({"a"}), "active", is_drained=True)]


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.builds(
        Draft,
        model=texts,
        name=texts,
        units=st.lists(texts, max_size=3, unique=True).map(tuple),
        which=st.sampled_from(("any", "every", "number", "chosen")),
        number=texts,
        chosen=st.lists(st.sampled_from(("worker-1", "worker-9", "")), max_size=2, unique=True).map(tuple),
        tags=texts,
        runs=texts,
        options=st.dictionaries(st.sampled_from(sorted(VALUES)), texts, max_size=4),
    )
)
def test_whatever_is_written_is_judged_and_what_is_fine_is_a_campaign(draft):
    found = review(draft, FLEET)
    assert told(found)
    if found.is_fine:
        made = expand(convert(found.document, CampaignRequest), FLEET, UNITS | set(draft.units))
        assert len(made.jobs) == found.jobs > 0


drafts = st.builds(
    Draft,
    model=st.just(URL),
    name=st.sampled_from(("", "nightly")),
    units=st.lists(st.sampled_from((CPU, GPU)), min_size=1, unique=True).map(tuple),
    which=st.sampled_from(("any", "every", "number", "chosen")),
    number=st.just("1"),
    chosen=st.lists(st.sampled_from(("worker-1", "worker-2")), min_size=1, unique=True).map(tuple),
    tags=st.sampled_from(("", "lab-1")),
    runs=st.sampled_from(("10", "25")),
    options=st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=4).map(
        lambda names: {one.name: one.text_of(VALUES[one.name]) for one in options() if one.name in names}
    ),
)


def _as_told(draft: Draft) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The campaign and its jobs, as the API tells of them after the draft was submitted."""
    request = convert(document_of(draft, FLEET), CampaignRequest)
    jobs = expand(request, FLEET, UNITS).jobs
    told_jobs = [{"compute_unit": one.compute_unit, "options": msgspec.to_builtins(one)} for one in jobs]
    return campaign(1, jobs={"complete": len(jobs)}, model_url=URL, labels=request.labels, name=request.name), told_jobs


@given(drafts)
def test_a_campaign_is_run_again_as_it_was(draft):
    if not review(draft, FLEET).is_fine:
        return
    known, jobs = _as_told(draft)
    again = refill(campaign_of(known), jobs, FLEET)
    of_jobs = {one.name for one in options() if one.is_of_job}
    assert again.left_out == ()
    known_again, jobs_again = _as_told(again.draft)
    assert Counter(map(msgspec.json.encode, jobs_again)) == Counter(map(msgspec.json.encode, jobs))
    assert known_again == known
    written = {name: text for name, text in draft.options.items() if name in of_jobs}
    assert {name: text for name, text in again.draft.options.items() if name in of_jobs} == written


def test_what_a_form_can_not_say_of_a_campaign_is_told():
    jobs = [{"compute_unit": CPU, "options": {"threads": threads, "worker_id": "worker-1"}} for threads in (1, 2, 2, 4)]
    again = refill(campaign_of(campaign(1, jobs={"complete": 9})), jobs, FLEET)
    assert again.draft.options == {"threads": "2"}
    assert again.left_out == (
        "its jobs differ in threads: what most of them have is filled in",
        "only the first 4 of its 9 jobs were looked at",
        "it had 4 jobs, and the form makes one for each unit and device: 1",
    )


def test_an_upload_tells_how_far_and_how_fast_it_is():
    assert Sent(name="net.onnx").words == "reading net.onnx"
    half = Sent(name="net.onnx", done_bytes=5_000_000, total_bytes=10_000_000, first_bytes=3_000_000, elapsed_s=2.0)
    assert half.words == f"uploading net.onnx {'█' * 10}{'░' * 10} 5.0 MB of 10.0 MB, 1.0 MB/s"
