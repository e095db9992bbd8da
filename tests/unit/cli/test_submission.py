"""From options to a campaign, and from the answer to sentences."""

from __future__ import annotations

import pytest

from daemons.cli.submission import Asked, Named, campaign_of, spelt, told, unique
from daemons.core.errors import InvalidInput
from daemons.core.validation import Mistake

URL = "https://example.org/net.onnx"
CPU = "CPU (ONNX)"


def jobs(**asked):
    return campaign_of(URL, Asked(**asked))["jobs"]


def test_without_a_word_it_is_one_job_on_the_cpu_and_the_server_says_the_rest():
    assert campaign_of(URL, Asked()) == {"model_url": URL, "jobs": [{"compute_unit": CPU}]}


def test_each_unit_and_each_device_is_a_job():
    assert jobs(units=(CPU, "GPU (ONNX)"), workers=("worker-1", "worker-2")) == [
        {"compute_unit": CPU, "worker_id": "worker-1"},
        {"compute_unit": "GPU (ONNX)", "worker_id": "worker-1"},
        {"compute_unit": CPU, "worker_id": "worker-2"},
        {"compute_unit": "GPU (ONNX)", "worker_id": "worker-2"},
    ]


def test_a_device_alone_runs_it_on_its_own_first_unit():
    assert jobs(workers=("worker-1",)) == [{"worker_id": "worker-1"}]


def test_options_are_those_of_a_job():
    asked = {"devices": 3, "tags": ("lab",), "runs": 50, "priority": -5, "settings": (("threads", 4), ("extend", {}))}
    assert jobs(**asked) == [
        {
            "compute_unit": CPU,
            "devices": 3,
            "tags": ["lab"],
            "num_inference_runs": 50,
            "priority": -5,
            "threads": 4,
            "extend": {},
        }
    ]
    assert jobs(every_device=True)[0]["devices"] == "every"


def test_what_only_a_campaign_can_say_is_set_on_the_campaign():
    campaign = campaign_of(URL, Asked(settings=(("credentials", "hub"), ("threads", 1))))
    assert campaign["credentials"] == "hub"
    assert campaign["jobs"] == [{"compute_unit": CPU, "threads": 1}]


@pytest.mark.parametrize(
    "asked",
    [
        {"every_device": True, "devices": 2},
        {"workers": ("worker-1",), "every_device": True},
        {"workers": ("worker-1",), "devices": 2},
        {"workers": ("worker-1",), "tags": ("lab",)},
    ],
)
def test_two_answers_to_one_question_are_refused(asked):
    with pytest.raises(InvalidInput, match="leave one out"):
        jobs(**asked)


@pytest.mark.parametrize(
    "model", ["net.onnx", "NET.ONNX", f"{URL}?download=1", "model:net", "net.zip", "a.b/net", "net-v1.5"]
)
def test_the_cpu_is_for_what_may_be_an_onnx_model(model):
    assert campaign_of(model, Asked())["jobs"] == [{"compute_unit": CPU}]


@pytest.mark.parametrize(
    "model", ["net.mlmodel", "https://example.org/net.xml?a=b", "model:net.mlpackage.zip", "net.mlpackage/"]
)
def test_for_other_models_the_unit_must_be_said(model):
    with pytest.raises(InvalidInput, match="--on"):
        campaign_of(model, Asked())
    assert campaign_of(model, Asked(units=("GPU (CoreML)",)))["jobs"] == [{"compute_unit": "GPU (CoreML)"}]


def test_a_name_and_labels_go_onto_any_campaign():
    there = {"name": "old", "labels": {"a": "1", "b": "2"}}
    named = Named("new", (("b", "3"),)).onto(there)
    assert named == {"name": "new", "labels": {"a": "1", "b": "3"}}
    assert Named().onto({"jobs": []}) == {"jobs": []}
    assert there["name"] == "old"


def test_mistakes_are_told_once_and_without_numbers_of_jobs():
    mistakes = [Mistake(("jobs", place, "treads"), "there is no such key") for place in range(3)]
    assert unique([spelt(mistake) for mistake in mistakes]) == ("treads: there is no such key",)
    assert spelt(Mistake((), "is wrong")) == "is wrong"
    assert spelt(Mistake(("model_url",), "there is no file x")) == "there is no file x"


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"total_jobs": 1}, ["c: accepted, 1 job"]),
        ({"total_jobs": 2000, "runnable_now": 2000, "estimate_s": None}, ["c: accepted, 2,000 jobs"]),
        (
            {"total_jobs": 3, "runnable_now": 1, "estimate_s": 61.0, "warnings": ["no live device offers X"]},
            [
                "c: accepted, 3 jobs, 1 of which can run now, about 1 min by what such jobs have taken",
                "  no live device offers X",
            ],
        ),
    ],
)
def test_what_the_server_says_of_a_new_campaign(answer, lines):
    assert told({"campaign_id": "c", **answer}) == lines
