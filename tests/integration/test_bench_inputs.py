"""What a job says about inputs and options reaches a real measuring process, and the row tells what was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest, InputSpec
from daemons.core.units import CPU_ONNX
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import Serves
from tests.support import odd_engines


@pytest.fixture
def model(tmp_path):
    """Adds two texts of tokens, as many of each as of the other."""
    tokens = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "seq"]) for name in ("ids", "more")]
    total = helper.make_tensor_value_info("sum", TensorProto.INT64, ["batch", "seq"])
    graph = helper.make_graph([helper.make_node("Add", ["ids", "more"], ["sum"])], "test", tokens, [total])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


async def measured(model, engine=None, **wishes):
    """The outcome of measuring with these fields of a request."""
    bench = Bench() if engine is None else Bench({CPU_ONNX: [Serves(f"{odd_engines.__name__}:{engine}", engine)]})
    request = BenchRequest(
        model_path=str(model),
        file_name=model.name,
        compute_unit=CPU_ONNX,
        num_inference_runs=3,
        num_load_runs=1,
        warmup_runs=1,
        timeout_s=30.0,
        **wishes,
    )
    try:
        return await bench.measure(request, lambda _progress: None)
    finally:
        await bench.close()


async def test_everything_that_is_said_is_done_and_told(model, tmp_path):
    np.savez(tmp_path / "inputs.npz", ids=np.zeros((2, 7), np.int32))
    outcome = await measured(
        model,
        inputs={"more": InputSpec(range=[3, 9])},
        inputs_path=str(tmp_path / "inputs.npz"),
        batch_size=2,
        graph_optimization="basic",
        execution_mode="parallel",
        cold_file=True,
    )
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert outcome.measurement.input_shapes == "ids: 2x7 int64 from the file; more: 2x7 int64 in 3..9"


async def test_the_batch_size_alone(model):
    outcome = await measured(model, batch_size=3)
    assert outcome.measurement.input_shapes == "ids: 3x128 int64; more: 3x128 int64"


async def test_a_shape_that_the_model_refuses_fails_with_its_answer(model):
    outcome = await measured(model, inputs={"ids": InputSpec(shape=[2, 3]), "more": InputSpec(shape=[2, 4])})
    assert outcome.status is ReportStatus.FAILED
    assert "Its inputs are ids: tensor(int64) [batch, seq]" in outcome.measurement.remark
    assert "(with ids: 2x3 int64; more: 2x4 int64)" in outcome.measurement.remark


async def test_an_engine_that_has_no_such_option_refuses_the_job(model, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    outcome = await measured(model, engine="Sleeps", graph_optimization="all")
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.remark == (
        "odd has no graph_optimization to set (asked for: all); leave it out of the job."
    )
