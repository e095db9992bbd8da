"""What a job says about inputs is refused at the door where no model could mean it, with the place that is wrong."""

import msgspec
import pytest

from daemons.core.errors import InvalidInput
from daemons.core.inputs import check_jobs
from daemons.core.models import CampaignRequest, InputSpec, JobSpec
from daemons.core.validation import convert


def jobs(**job):
    body = {"model_url": "http://a/m.onnx", "jobs": [{"compute_unit": "CPU (ONNX)"}, job]}
    return msgspec.convert(body, CampaignRequest).jobs


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"inputs": {"x": {}}},
        {"inputs": {"x": {"shape": []}, "input:0": {"shape": [1, 0, 3], "range": [-1, 1]}}},
        {"inputs": {"x": {"range": [2, 2]}}},
        {"inputs": {"x": {"value": 2**64 - 1}, "y": {"value": -(2**63)}, "z": {"value": False}, "t": {"value": ""}}},
        {"inputs_url": "https://lab/inputs.npz"},
        {"num_inference_runs": 10, "extend": {"max_runs": 10}},
        {"engine_version": "onnxruntime==1.20.*"},
    ],
)
def test_what_can_be_meant_is_taken(job):
    check_jobs(jobs(**job))


@pytest.mark.parametrize(
    ("job", "field", "told"),
    [
        ({"inputs": {"x": {"range": [2, 1]}}}, "jobs[1].inputs.x.range", "smaller number"),
        ({"inputs": {"x": {"range": [0, float("inf")]}}}, "jobs[1].inputs.x.range", "finite"),
        ({"inputs": {"x": {"range": [0, 1], "value": 1}}}, "jobs[1].inputs.x", "leave one out"),
        ({"inputs": {"input:0": {"value": 2**64}}}, "jobs[1].inputs.input:0.value", "64 bits"),
        ({"inputs": {"x": {"value": -(2**63) - 1}}}, "jobs[1].inputs.x.value", "64 bits"),
        ({"inputs": {"x": {"value": "a" * 10_001}}}, "jobs[1].inputs.x.value", "10,000 characters"),
        ({"inputs": {"x": {"value": float("nan")}}}, "jobs[1].inputs.x.value", "finite"),
        ({"inputs": {"x": {"shape": [2**31, 2**31]}}}, "jobs[1].inputs.x.shape", "1,099,511,627,776 elements"),
        ({"inputs": {"": {"shape": [1]}}}, "jobs[1].inputs", "without a name"),
        ({"inputs_url": "ftp://lab/x.npz"}, "jobs[1].inputs_url", "inputs_url: must begin with http"),
        ({"num_inference_runs": 10, "extend": {"max_runs": 9}}, "jobs[1].extend.max_runs", "at least num_inference"),
        ({"engine_version": "onnxruntime==1.x"}, "jobs[1].engine_version", "such as `onnxruntime==1.20.1`"),
        ({"engine_version": "onnxruntime==1.20.1\n"}, "jobs[1].engine_version", "such as `onnxruntime==1.20.1`"),
    ],
)
def test_what_can_not_be_meant_is_named(job, field, told):
    with pytest.raises(InvalidInput) as refusal:
        check_jobs(jobs(**job))
    assert refusal.value.field == field
    assert str(refusal.value).startswith(f"{field}: ")
    assert told in str(refusal.value)
    assert "model_url" not in str(refusal.value)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"x": {"shape": [-1]}}, "jobs[0].inputs.x.shape: must be a list, each item a whole number from 0"),
        ({"x": {"shap": [1]}}, "jobs[0].inputs.x.shap: there is no such key; did you mean `shape`?"),
        ({"x": {}, "y": {"range": [1]}}, "jobs[0].inputs.y.range: "),
        ({"x": [1]}, "jobs[0].inputs.x: must be an object"),
        ({str(n): {} for n in range(101)}, "jobs[0].inputs: must hold at most 100, and holds 101"),
        ([], "jobs[0].inputs: must be an object"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named_down_to_the_input(inputs, told):
    with pytest.raises(InvalidInput) as refusal:
        convert(
            {"model_url": "http://a/m.onnx", "jobs": [{"compute_unit": "A (B)", "inputs": inputs}]}, CampaignRequest
        )
    assert str(refusal.value).startswith(told)


def test_every_mistake_is_named_up_to_twenty():
    wrong = JobSpec(inputs={"x": InputSpec(range=[2, 1])})
    with pytest.raises(InvalidInput) as refusal:
        check_jobs([wrong] * 50)
    assert len(refusal.value.mistakes) == 20
    assert refusal.value.mistakes[1].startswith("jobs[1].inputs.x.range")
