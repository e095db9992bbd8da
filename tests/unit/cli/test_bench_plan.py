"""Which measurements are made, in which order, and with which request."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.cli.bench_plan import Case, Plan, model_names, subjects_of
from daemons.core.models import BenchRequest, InputSpec

TEMPLATE = BenchRequest(model_path="", file_name="", compute_unit="", inputs={"x": InputSpec(range=[0.0, 1.0])})


CPU = "CPU (ONNX)"
OTHER = "CPU (OpenVINO)"
OLD, NEW = "onnxruntime==1.20.*", "onnxruntime==1.22.1"


def plan(*models, batches=(None,), rounds=1, shapes=None, units=(CPU,), versions=(None,)):
    named = subjects_of(tuple(map(Path, models)), units, versions)
    return Plan(*named, batches, rounds, shapes or {}, TEMPLATE)


def order(one):
    return [(case.round, "ABC"[case.subject]) for case in one.cases()]


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
    assert model_names([Path(model) for model in models]) == labels


# Units and versions


def test_every_model_is_measured_on_every_unit_with_every_version():
    one = plan("a.onnx", "b.onnx", units=(CPU, OTHER), versions=(OLD, None))
    assert [(str(subject.model), subject.unit, subject.version) for subject in one.subjects] == [
        (model, unit, version) for model in ("a.onnx", "b.onnx") for unit in (CPU, OTHER) for version in (OLD, None)
    ]
    assert len(set(one.labels)) == one.size == 8


@pytest.mark.parametrize(
    ("models", "units", "versions", "kind", "labels"),
    [
        (["m.onnx"], [CPU], [None], "model", ("m.onnx",)),
        (["m.onnx"], [OTHER], [OLD], "model", ("m.onnx",)),
        (["m.onnx"], [CPU, OTHER], [None], "unit", (CPU, OTHER)),
        (["m.onnx"], [CPU], [OLD, None], "version", (OLD, "installed")),
        (["m.onnx"], [CPU], [OLD, OLD], "version", (OLD, f"{OLD} #2")),
        (["a.onnx", "b.onnx"], [CPU], [OLD], "model", ("a.onnx", "b.onnx")),
        (
            ["a.onnx", "b.onnx"],
            [CPU],
            [OLD, NEW],
            "model, version",
            (f"a.onnx, {OLD}", f"a.onnx, {NEW}", f"b.onnx, {OLD}", f"b.onnx, {NEW}"),
        ),
    ],
)
def test_subjects_are_told_apart_by_what_differs_and_by_nothing_else(models, units, versions, kind, labels):
    one = plan(*models, units=units, versions=versions)
    assert (one.kind, one.labels) == (kind, labels)


def test_what_is_compared_differs_in_one_thing_alone():
    one = plan("a.onnx", "b.onnx", versions=(OLD, NEW))
    assert [(one.labels[base], one.labels[head]) for base, head in one.pairs] == [
        (f"a.onnx, {OLD}", f"a.onnx, {NEW}"),
        (f"a.onnx, {OLD}", f"b.onnx, {OLD}"),
        (f"a.onnx, {NEW}", f"b.onnx, {NEW}"),
        (f"b.onnx, {OLD}", f"b.onnx, {NEW}"),
    ]
    assert plan("a.onnx", "b.onnx", "c.onnx").pairs == ((0, 1), (0, 2))
    assert plan("a.onnx").pairs == ()


def test_versions_of_one_model_are_compared_abba_and_each_is_asked_for():
    one = plan("m.onnx", versions=(OLD, NEW), rounds=2)
    requests = [one.request(case) for case in one.cases()]
    assert [request.engine_version for request in requests] == [OLD, NEW, NEW, OLD]
    assert {(request.file_name, request.compute_unit) for request in requests} == {("m.onnx", CPU)}
    assert one.is_comparison


def test_a_file_that_is_given_twice_is_asked_for_by_its_own_name():
    """What kind of model it is, is told by the end of its name."""
    one = plan("m.mlpackage", "m.mlpackage")
    assert one.names == ("m.mlpackage", "m.mlpackage #2")
    assert one.request(Case(1, None, 0)).file_name == "m.mlpackage"
