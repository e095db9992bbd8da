"""Which measurements are made, in which order, and with which request."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.cli.bench_plan import Case, Plan, labels_of
from daemons.core.models import BenchRequest, InputSpec

TEMPLATE = BenchRequest(
    model_path="", file_name="", compute_unit="CPU (ONNX)", inputs={"x": InputSpec(range=[0.0, 1.0])}
)


def plan(*models, batches=(None,), rounds=1, shapes=None):
    paths = tuple(map(Path, models))
    return Plan(paths, labels_of(paths), batches, rounds, shapes or {}, TEMPLATE)


def order(one):
    return [(case.round, "ABC"[case.model]) for case in one.cases()]


def test_two_models_are_measured_abba():
    assert order(plan("a", "b", rounds=4)) == [
        *[(0, "A"), (0, "B"), (1, "B"), (1, "A")],
        *[(2, "A"), (2, "B"), (3, "B"), (3, "A")],
    ]


def test_three_models_go_forwards_and_backwards():
    assert [model for _, model in order(plan("a", "b", "c", rounds=2))] == ["A", "B", "C", "C", "B", "A"]


def test_each_model_is_in_each_round_once_at_each_batch_size():
    one = plan("a", "b", "c", batches=(1, 4), rounds=3)
    cases = list(one.cases())
    assert len(cases) == len(set(cases)) == one.size == 18
    assert [case.batch for case in cases] == [1] * 9 + [4] * 9


def test_a_request_names_model_batch_and_the_shapes_at_that_batch():
    one = plan("/models/a.onnx", batches=(1, 8), shapes={"x": ("N", 3, 64, 64), "y": ()})
    request = one.request(Case(0, 8, 0))
    assert (request.model_path, request.file_name, request.batch_size) == ("/models/a.onnx", "a.onnx", 8)
    assert request.inputs == {"x": InputSpec(shape=[8, 3, 64, 64], range=[0.0, 1.0]), "y": InputSpec(shape=[])}


def test_a_relative_path_is_sent_as_an_absolute_one():
    """The measuring process has a working directory of its own."""
    assert plan("m.onnx").request(Case(0, None, 0)).model_path == str(Path.cwd() / "m.onnx")


@pytest.mark.parametrize(
    ("models", "labels"),
    [
        (["x/a.onnx", "y/b.onnx"], ("a.onnx", "b.onnx")),
        (["x/m.onnx", "y/m.onnx"], ("x/m.onnx", "y/m.onnx")),
        (["/v1/x/m.onnx", "/v2/x/m.onnx", "/v2/x/n.onnx"], ("v1/x/m.onnx", "v2/x/m.onnx", "n.onnx")),
        (["m.onnx", "m.onnx", "m.onnx"], ("m.onnx", "m.onnx #2", "m.onnx #3")),
        (["m.onnx", "n.onnx", "./m.onnx"], ("m.onnx", "n.onnx", "m.onnx #2")),
        (["/m.onnx", "/x/m.onnx"], ("/m.onnx", "x/m.onnx")),
    ],
)
def test_every_model_has_a_name_of_its_own(models, labels):
    assert labels_of([Path(model) for model in models]) == labels
