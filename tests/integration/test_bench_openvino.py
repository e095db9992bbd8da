"""OpenVINO in real measuring processes: its figures, its own kind of model, and whatever takes a process down."""

from __future__ import annotations

import sys

import onnx
import pytest
from onnx import TensorProto, helper

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, InputSpec
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import Serves
from tests.support.light_models import light_models
from tests.support.networks import convolutional

ov = pytest.importorskip("openvino", reason="the optional package openvino is not installed")

UNIT = "CPU (OpenVINO)"
SERVING = {UNIT: [Serves("daemons.worker.engines.openvino:OpenVinoEngine", "OpenVINO", (".onnx", ".xml"))]}
MB = 2**20


@pytest.fixture
async def measured():
    """Measures a model; the outcome."""
    bench = Bench(SERVING)

    async def measure(path, **more):
        given = {"num_inference_runs": 3, "num_load_runs": 2, "warmup_runs": 1, "timeout_s": 60.0} | more
        request = BenchRequest(model_path=str(path), file_name=path.name, compute_unit=UNIT, **given)
        return await bench.measure(request, lambda _progress: None)

    yield measure
    await bench.close()


def save(path, nodes, inputs, output, weights=()):
    graph = helper.make_graph(nodes, "test", inputs, [output], list(weights))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


async def test_a_real_network_is_measured(measured):
    outcome = await measured(light_models() / "light_squeezenet.onnx", threads=1)
    figures = outcome.measurement
    assert outcome.status is ReportStatus.COMPLETE, figures.remark
    assert (figures.engine, figures.execution_provider) == ("OpenVINO", "OpenVINO CPU")
    assert (figures.threads, figures.precision, figures.provider_share) == (1, "float32", 1.0)
    assert figures.node_placement.startswith("OpenVINO CPU ")
    assert figures.compile_cache is None
    assert figures.load_ms_median > figures.inference_ms_median > 0
    assert figures.input_shapes == "data_0: 1x3x224x224 float32"


async def test_every_placement_policy_is_met(measured, tmp_path):
    path = convolutional(tmp_path / "network.onnx", layers=1)
    for policy in ("majority", "strict", "any"):
        outcome = await measured(path, placement=policy)
        assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark


async def test_its_own_kind_of_model_is_measured_from_a_folder(measured, tmp_path):
    """As it comes out of an archive: the .bin lies beside the .xml."""
    path = convolutional(tmp_path / "network.onnx", layers=1)
    ov.save_model(ov.Core().read_model(path), tmp_path / "own/network.xml")
    outcome = await measured(tmp_path / "own/network.xml", model_folder=str(tmp_path / "own"))
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert outcome.measurement.engine == "OpenVINO"


async def test_a_file_that_is_no_model_is_told_in_a_sentence(measured, tmp_path):
    for name in ("model.onnx", "model.xml"):
        (tmp_path / name).write_bytes(b"garbage " * 10)
        outcome = await measured(tmp_path / name)
        assert outcome.status is ReportStatus.FAILED
        assert outcome.measurement.remark.endswith(", or it was cut off.")


async def test_wishes_reach_the_model(measured, tmp_path):
    path = convolutional(tmp_path / "network.onnx", layers=1)
    outcome = await measured(path, batch_size=3, inputs={"x": InputSpec(range=[0.0, 1.0])})
    assert outcome.measurement.input_shapes == "x: 3x3x32x32 float32 in 0..1"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
async def test_a_model_that_asks_for_more_memory_than_there_may_be_fails_with_a_sentence(measured, tmp_path):
    number, real = TensorProto.INT64, TensorProto.FLOAT
    path = save(
        tmp_path / "greedy.onnx",
        [helper.make_node("ConstantOfShape", ["shape"], ["big"]), helper.make_node("Add", ["big", "x"], ["y"])],
        [helper.make_tensor_value_info("x", real, [1])],
        helper.make_tensor_value_info("y", real, [None, None]),
        [helper.make_tensor("shape", number, [2], [8 * 2**10, 2**18])],
    )
    outcome = await measured(path, memory_limit_bytes=2048 * MB)
    assert outcome.status is ReportStatus.FAILED
    assert "out of memory" in outcome.measurement.remark


async def test_an_option_that_it_lacks_fails_the_job(measured, tmp_path):
    outcome = await measured(convolutional(tmp_path / "network.onnx", layers=1), graph_optimization="all")
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.remark.startswith("OpenVINO has no graph_optimization to set")


async def test_what_takes_its_process_down_fails_the_job_and_no_more(measured, tmp_path):
    """OpenVINO divides by zero where a range has no step."""
    number = TensorProto.INT32
    inputs = [helper.make_tensor_value_info(name, number, []) for name in ("start", "limit", "delta")]
    node = helper.make_node("Range", [one.name for one in inputs], ["y"])
    path = save(tmp_path / "range.onnx", [node], inputs, helper.make_tensor_value_info("y", number, [None]))
    wishes = {"start": 0, "limit": 5, "delta": 0}
    outcome = await measured(path, inputs={name: InputSpec(value=value) for name, value in wishes.items()})
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.remark
    outcome = await measured(convolutional(tmp_path / "network.onnx", layers=1))
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
