"""The output check in real measuring processes: engines that agree, and models whose outputs mean nothing."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest
from daemons.core.units import CPU_ONNX
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import ONNX_RUNTIME, Serves
from tests.support.light_models import light_models
from tests.support.networks import NETWORKS

OPENVINO = "CPU (OpenVINO)"
SERVING = {
    CPU_ONNX: [Serves(ONNX_RUNTIME, "ONNX Runtime")],
    OPENVINO: [Serves("daemons.worker.engines.openvino:OpenVinoEngine", "OpenVINO", (".onnx", ".xml"))],
}
UNITS = [
    CPU_ONNX,
    pytest.param(
        OPENVINO,
        marks=pytest.mark.skipif(
            importlib.util.find_spec("openvino") is None, reason="the optional package openvino is not installed"
        ),
    ),
]
F = TensorProto.FLOAT


@pytest.fixture
async def measured():
    """Measures a model with its outputs checked; the figures."""
    bench = Bench(SERVING)

    async def measure(path, unit=CPU_ONNX, **more):
        request = BenchRequest(
            model_path=str(path),
            file_name=path.name,
            compute_unit=unit,
            num_inference_runs=2,
            num_load_runs=1,
            warmup_runs=0,
            timeout_s=60.0,
            check_outputs=more.pop("check_outputs", True),
            **more,
        )
        outcome = await bench.measure(request, lambda _progress: None)
        assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
        return outcome.measurement

    yield measure
    await bench.close()


def about_outputs(figures):
    """The warnings that the check gave; a busy machine has others."""
    return [warning for warning in figures.warnings if "output" in warning or "reference" in warning]


def save(tmp_path, nodes, inputs, outputs):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["light_resnet50", "light_shufflenet"])
async def test_real_networks_agree_with_the_reference(measured, unit, name):
    figures = await measured(light_models() / f"{name}.onnx", unit)
    assert about_outputs(figures) == []
    assert figures.output_max_abs_diff is not None
    assert figures.output_reference.startswith("ONNX Runtime ")
    assert "CPU, graph as written; tolerance 0.0001 of the largest value" in figures.output_reference


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("network", NETWORKS)
async def test_random_networks_agree_with_the_reference(measured, tmp_path, unit, network):
    figures = await measured(NETWORKS[network](tmp_path / "network.onnx", seed=1), unit)
    assert about_outputs(figures) == []
    assert figures.output_psnr is None or figures.output_psnr > 100
    assert figures.output_max_rel_diff < 1e-2


@pytest.mark.parametrize("unit", UNITS[1:])
@pytest.mark.parametrize("network", NETWORKS)
async def test_reduced_precision_is_seen_in_the_figures_and_taken_within_its_own_tolerance(
    measured, tmp_path, unit, network
):
    path = NETWORKS[network](tmp_path / "network.onnx", seed=1)
    full, reduced = [await measured(path, unit, precision=precision) for precision in ("full", "reduced")]
    if reduced.precision == "float32":
        pytest.skip("this processor computes in nothing narrower than float32")
    assert about_outputs(reduced) == []
    assert reduced.output_psnr < full.output_psnr - 40, "dB: some 16 bits fewer in each number"
    assert "tolerance 0.0001" not in reduced.output_reference


@pytest.mark.parametrize("unit", UNITS)
async def test_what_is_no_number_is_a_warning(measured, tmp_path, unit):
    nodes = [helper.make_node("Neg", ["x"], ["t"]), helper.make_node("Log", ["t"], ["y"])]
    figures = await measured(save(tmp_path, nodes, [("x", F, [4])], [("y", F, [4])]), unit)
    assert about_outputs(figures) == ["the output y holds 4 NaN and 0 infinite of 4 values"]
    assert figures.output_max_abs_diff == 0, "the reference has the same"


async def test_without_the_check_nobody_looks(measured, tmp_path):
    nodes = [helper.make_node("Neg", ["x"], ["t"]), helper.make_node("Log", ["t"], ["y"])]
    figures = await measured(save(tmp_path, nodes, [("x", F, [4])], [("y", F, [4])]), check_outputs=False)
    assert about_outputs(figures) == []
    assert figures.output_reference is None


@pytest.mark.parametrize("unit", UNITS)
async def test_whole_numbers_and_several_outputs(measured, tmp_path, unit):
    nodes = [helper.make_node("ArgMax", ["x"], ["place"], axis=1), helper.make_node("Relu", ["x"], ["y"])]
    outputs = [("place", TensorProto.INT64, [3, 1]), ("y", F, [3, 9])]
    figures = await measured(save(tmp_path, nodes, [("x", F, [3, 9])], outputs), unit)
    assert about_outputs(figures) == []
    assert (figures.output_max_abs_diff, figures.output_psnr) == (0, None)


@pytest.mark.parametrize("unit", UNITS)
async def test_random_numbers_are_a_warning_that_says_so(measured, tmp_path, unit):
    nodes = [helper.make_node("RandomUniformLike", ["x"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])]
    figures = await measured(save(tmp_path, nodes, [("x", F, [64])], [("y", F, [64])]), unit)
    told = about_outputs(figures)
    assert len(told) == 2
    assert "differs from the reference's by up to" in told[0]
    assert "two runs of the reference differ as well: the model draws random numbers" in told[1]
    assert 0 < figures.output_max_abs_diff < 1


@pytest.mark.parametrize("unit", UNITS[1:])
async def test_its_own_kind_of_model_is_checked_against_its_own_reference(measured, tmp_path, unit):
    ov = pytest.importorskip("openvino")
    path = NETWORKS["convolutional"](tmp_path / "network.onnx", seed=1)
    ov.save_model(ov.Core().read_model(path), tmp_path / "network.xml", compress_to_fp16=False)
    figures = await measured(tmp_path / "network.xml", unit)
    assert about_outputs(figures) == []
    assert figures.output_reference.startswith("OpenVINO ")
    assert figures.output_max_abs_diff == 0


async def test_a_reference_that_can_not_be_had_costs_no_figures(measured, tmp_path, monkeypatch):
    """Core ML's models, and others, may come from an engine that names none."""
    (tmp_path / "own_engine.py").write_text(OWN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bench = Bench({"CPU (Own)": [Serves("own_engine:Own", "Own")]})
    (tmp_path / "model.own").write_text("a model of another kind")
    request = BenchRequest(
        model_path=str(tmp_path / "model.own"), file_name="model.own", compute_unit="CPU (Own)", check_outputs=True
    )
    try:
        outcome = await bench.measure(request, lambda _progress: None)
    finally:
        await bench.close()
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert outcome.measurement.inference_ms_median is not None
    assert "the outputs were not checked: The file is not an ONNX model" in about_outputs(outcome.measurement)[0]


OWN = """
import numpy as np
from daemons.worker.engines.base import Engine, Facts, Inputs, LoadedModel

class Model(LoadedModel):
    def facts(self): return Facts(("Own",), threads=1)
    def inputs(self, seed, wishes=None): return Inputs(None, "none")
    def run(self, feed): return np.arange(1000).sum()
    def outputs(self, feed): return {"y": np.zeros(3)}

class Own(Engine):
    name = "Own"
    units = ("CPU (Own)",)
    def version(self): return "1"
    def probe(self, unit): pass
    def load(self, path, unit, options): return Model()
"""


def test_the_networks_are_the_same_every_time(tmp_path):
    for name, network in NETWORKS.items():
        first, same = (network(tmp_path / f"{name}{number}.onnx", seed=1).read_bytes() for number in (1, 2))
        assert first == same
        assert np.frombuffer(first, np.uint8).size < 2**20
