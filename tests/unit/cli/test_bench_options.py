"""Every option becomes a field of the request, or a sentence that says how to write it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from daemons.cli import bench as command_module
from daemons.cli import cli
from daemons.cli.bench import bench
from daemons.core.models import MAX_RUNS, Extend, InputSpec


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m.onnx", "lonely.xml", "ir.xml", "ir.bin"):
        (tmp_path / name).write_bytes(b"model")
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("x.npy", b"")
    return tmp_path


@pytest.fixture
def planned(folder, monkeypatch):
    """The plan that a command line makes; nothing is measured."""
    seen = []

    async def take(plan, **_):
        seen.append(plan)
        return 0

    monkeypatch.setattr(command_module, "_bench", take)
    monkeypatch.setattr(command_module, "set_up_logs", lambda _: None)

    def plan(*arguments):
        result = CliRunner().invoke(cli, ["bench", *arguments], standalone_mode=False)
        assert result.exception is None, result.exception
        return seen[-1]

    return plan


@pytest.fixture
def refused(folder):
    def sentence(*arguments):
        result = CliRunner().invoke(cli, ["bench", *arguments])
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        return " ".join(result.stderr.splitlines()[-1:])

    return sentence


def request(plan):
    return plan.request(next(plan.cases()))


def test_without_options_everything_is_the_engines_choice(planned):
    found = request(planned("m.onnx"))
    assert (found.num_inference_runs, found.num_load_runs, found.timeout_s, found.seed) == (10, 5, 3600, 0)
    assert (found.warmup_runs, found.threads, found.graph_optimization, found.execution_mode) == (None,) * 4
    assert (found.batch_size, found.inputs_path, found.extend, found.memory_limit_bytes) == (None,) * 4
    assert found.inputs == {}
    assert not found.cold_file
    assert (found.compute_unit, found.engine_version, found.precision) == ("CPU (ONNX)", None, None)
    assert (found.placement, found.io_binding, found.check_outputs) == ("majority", False, False)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ("--runs 7", "num_inference_runs", 7),
        ("--loads 3", "num_load_runs", 3),
        ("--warmup 0", "warmup_runs", 0),
        ("--threads 2", "threads", 2),
        ("--timeout 2.5", "timeout_s", 2.5),
        ("--seed 9", "seed", 9),
        ("--cold-file", "cold_file", True),
        ("--placement strict", "placement", "strict"),
        ("--io-binding", "io_binding", True),
        ("--check-outputs", "check_outputs", True),
        ("--precision reduced", "precision", "reduced"),
        ("--engine-version onnxruntime==1.20.*", "engine_version", "onnxruntime==1.20.*"),
        ("--engine-version installed", "engine_version", None),
        ("--unit CPU(X)", "compute_unit", "CPU (X)"),
        ("--graph-optimization basic", "graph_optimization", "basic"),
        ("--execution-mode parallel", "execution_mode", "parallel"),
        ("--memory-limit 100", "memory_limit_bytes", 100 * 2**20),
        ("--batch 16", "batch_size", 16),
        ("--shape x=1x3x2", "inputs", {"x": InputSpec(shape=[1, 3, 2])}),
        ("--shape x:0=0x3 --shape y=scalar", "inputs", {"x:0": InputSpec(shape=[0, 3]), "y": InputSpec(shape=[])}),
        ("--shape x=Nx3 --batch 4", "inputs", {"x": InputSpec(shape=[4, 3])}),
        ("--shape x=2 --range x=-1:1", "inputs", {"x": InputSpec(shape=[2], range=[-1.0, 1.0])}),
        ("--range a=b=0:1e3", "inputs", {"a=b": InputSpec(range=[0.0, 1000.0])}),
        ("--value x=5", "inputs", {"x": InputSpec(value=5)}),
        ("--value x=0.5", "inputs", {"x": InputSpec(value=0.5)}),
        ("--value x=TRUE", "inputs", {"x": InputSpec(value=True)}),
        ("--value x=a=b", "inputs", {"x": InputSpec(value="a=b")}),
        ("--value x=nan", "inputs", {"x": InputSpec(value="nan")}),
        ("--extend-runs 50", "extend", Extend(max_runs=50)),
        ("--extend-seconds 5", "extend", Extend(max_runs=MAX_RUNS, max_seconds=5.0)),
        ("--extend-runs 50 --extend-seconds 5", "extend", Extend(max_runs=50, max_seconds=5.0)),
    ],
)
def test_an_option_sets_its_field(planned, arguments, field, value):
    words = [word.replace("CPU(", "CPU (") for word in arguments.split()]
    found = getattr(request(planned("m.onnx", *words)), field)
    assert found == value
    if field == "inputs":  # True == 1, and 5 == 5.0
        assert [type(one.value) for one in found.values()] == [type(one.value) for one in value.values()]


def test_arrays_are_named_by_an_absolute_path(planned, folder):
    assert request(planned("m.onnx", "--inputs", "in.npz")).inputs_path == str(folder / "in.npz")


def test_rounds_are_four_for_several_models_and_one_for_one(planned):
    assert planned("m.onnx").rounds == 1
    assert planned("m.onnx", "m.onnx").rounds == 4
    assert planned("m.onnx", "m.onnx", "--rounds", "7").rounds == 7
    assert planned("m.onnx", "--unit", "CPU (ONNX)", "--unit", "CPU (OpenVINO)").rounds == 4


def test_two_versions_of_one_model_are_a_comparison(planned):
    one = planned("m.onnx", "--engine-version", "onnxruntime==1.20.*", "--engine-version", "installed")
    assert one.labels == ("onnxruntime==1.20.*", "installed")
    assert [one.request(case).engine_version for case in one.cases()][:4] == [
        "onnxruntime==1.20.*",
        None,
        None,
        "onnxruntime==1.20.*",
    ]


def test_an_openvino_model_is_named_by_its_xml(planned, folder):
    made = request(planned("ir.xml"))
    assert (made.model_path, made.file_name) == (str(folder / "ir.xml"), "ir.xml")


@pytest.mark.parametrize("name", ["Net.mlpackage", "Net.MLMODELC"])
def test_a_core_ml_model_is_a_folder(planned, folder, name):
    (folder / name).mkdir()
    made = request(planned(name))
    assert (made.model_path, made.file_name) == (str(folder / name), name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("gone.onnx", ["there is no file gone.onnx"]),
        (".", ["is a folder"]),
        ("https://host/m.onnx", ["a campaign takes URLs"]),
        ("m.onnx --shape x", ["NAME=1x3x224x224"]),
        ("m.onnx --shape =1x3", ["NAME=1x3x224x224"]),
        ("m.onnx --shape x=1x-3", ["NAME=1x3x224x224"]),
        ("m.onnx --shape x=1x9999999999", ["2,147,483,648"]),
        ("m.onnx --shape x=Nx3", ["needs --batch"]),
        ("m.onnx --shape x=1 --shape x=2", ["--shape is given twice", "'x'"]),
        ("m.onnx --range x=1", ["NAME=0:1"]),
        ("m.onnx --range x=0:nan", ["NAME=0:1"]),
        ("m.onnx --range x=2:1", ["write NAME=1:2"]),
        ("m.onnx --value 5", ["NAME=5"]),
        ("m.onnx --value x=99999999999999999999", ["64 bits"]),
        ("m.onnx --value x=1 --range x=0:1", ["'x'", "--range and a --value"]),
        ("m.onnx --inputs m.onnx", ["numpy.savez"]),
        ("m.onnx --inputs gone.npz", ["there is no file gone.npz"]),
        ("m.onnx --batch 1;4", ["--batch 1,4,16"]),
        ("m.onnx --batch 4,4", ["twice"]),
        ("m.onnx --batch 0,4", ["from 1 to 65,536"]),
        ("m.onnx --rounds 3", ["name the model twice"]),
        ("m.onnx --engine-version 1.20", ["such as `onnxruntime==1.20.1`", "'installed'"]),
        ("m.onnx --engine-version onnxruntime>=1.20", ["such as `onnxruntime==1.20.1`"]),
        ("m.onnx --engine-version --pre==1", ["such as `onnxruntime==1.20.1`"]),
        ("m.onnx --placement most", ["'majority', 'strict', 'any'"]),
        ("m.onnx --precision half", ["'full', 'reduced'"]),
        ("lonely.xml", ["beside lonely.xml there is no lonely.bin"]),
        ("ir.xml --cold-file", ["an .xml has its .bin"]),
        ("m.onnx m.onnx --rounds 1", ["2<=x<="]),
        ("m.onnx --extend-runs 9", ["--runs asks for 10"]),
        ("m.onnx --extend-seconds 0", ["0<x<="]),
        ("m.onnx --unit CPU", ["'CPU (ONNX)'", "benchfleet info"]),
        ("m.onnx --graph-optimization most", ["'disabled', 'basic', 'extended', 'all'"]),
        ("m.onnx --execution-mode both", ["'sequential', 'parallel'"]),
        ("m.onnx --memory-limit 0", ["1<=x<="]),
        ("m.onnx --csv gone/x.csv", ["there is no folder gone"]),
        ("m.onnx --csv .", ["is a folder"]),
        ("m.onnx --csv - --json", ["stdout"]),
        ("", ["MODEL"]),
    ],
)
def test_a_mistake_is_told_in_a_sentence_before_anything_runs(refused, arguments, words):
    said = refused(*arguments.split())
    assert all(word in said for word in words), said


def test_a_name_that_json_cannot_carry_is_told(folder):
    path = Path(b"\xff.onnx".decode("utf-8", "surrogateescape"))
    path.write_bytes(b"model")
    with pytest.raises(click.BadParameter, match="not UTF-8"):
        bench.params[0].type.convert(path, None, None)
