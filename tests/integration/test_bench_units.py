"""Jobs for units that this device lacks, through real measuring processes: a sentence, and never a figure."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import BenchRequest
from daemons.core.results import Measurement, Samples
from daemons.core.units import CPU_ONNX, GPU_COREML, GPU_ONNX, NEURAL_ENGINE_COREML
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.onnx_units import CANDIDATES
from daemons.worker.engines.serving import ONNX_RUNTIME, Serves
from daemons.worker.probe import probe_units
from tests.support import absent_gpus
from tests.support.light_models import light_models

SQUEEZENET = light_models() / "light_squeezenet.onnx"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="measuring processes need POSIX")


@pytest.fixture
def measure(monkeypatch):
    """Measures a real network on `unit` with an engine that is said to serve it; the outcome."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    async def measure(unit, engine=ONNX_RUNTIME, **more):
        bench = Bench({unit: [Serves(engine, "ONNX Runtime")]})
        request = BenchRequest(
            model_path=str(SQUEEZENET), file_name=SQUEEZENET.name, compute_unit=unit, num_load_runs=2, **more
        )
        try:
            return await bench.measure(request, lambda _progress: None)
        finally:
            await bench.close()

    return measure


def assert_no_figure(outcome):
    assert outcome.status is ReportStatus.FAILED
    assert outcome.samples == Samples()
    told = {name for name in Measurement.__struct_fields__ if getattr(outcome.measurement, name) not in (None, [])}
    assert not {name for name in told if name.startswith(("load_", "inference_", "peak_"))}, told


@pytest.mark.parametrize("unit", [GPU_ONNX, GPU_COREML, NEURAL_ENGINE_COREML])
@pytest.mark.parametrize("placement", ["majority", "any"])
async def test_a_unit_that_the_runtime_lacks_gives_a_sentence(measure, unit, placement):
    if any(one.provider in ort.get_available_providers() for one in CANDIDATES[unit]):
        pytest.skip(f"this ONNX Runtime has a provider for {unit}")
    outcome = await measure(unit, placement=placement)
    assert_no_figure(outcome)
    assert outcome.measurement.remark.startswith(f"{unit} needs ")
    assert "CPUExecutionProvider" in outcome.measurement.remark


@pytest.mark.parametrize("placement", ["majority", "any"])
async def test_a_provider_that_is_listed_and_left_out_gives_a_sentence(measure, placement):
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    outcome = await measure(GPU_ONNX, f"{absent_gpus.__name__}:ListsCuda", placement=placement)
    assert_no_figure(outcome)
    assert outcome.measurement.remark == (
        "CUDAExecutionProvider was left out by ONNX Runtime, which would run on CPUExecutionProvider."
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [({"io_binding": True}, "io_binding: CPU (ONNX) runs on"), ({"precision": "reduced"}, "precision: CPU (ONNX)")],
)
async def test_what_the_processor_can_not_do_is_refused_and_not_ignored(measure, more, told):
    outcome = await measure(CPU_ONNX, **more)
    assert_no_figure(outcome)
    assert outcome.measurement.remark.startswith(told)


async def test_the_processor_tells_where_and_in_which_types_it_computes(measure):
    outcome = await measure(CPU_ONNX, precision="full", placement="strict")
    row = outcome.measurement
    assert outcome.status is ReportStatus.COMPLETE, row.remark
    assert (row.execution_provider, row.provider_share, row.precision) == ("CPUExecutionProvider", 1.0, "as written")
    assert row.transfer is None


@pytest.fixture
async def here(request):
    """Skips, with the reason, where the device doesn't have the unit that the test is about."""
    unit = request.getfixturevalue("unit")
    probe = await probe_units()
    if all(one.spec != ONNX_RUNTIME for one in probe.serving.get(unit, [])):
        pytest.skip(f"{unit} is not here: {probe.problems.get(unit, 'ONNX Runtime does not serve it')}")


@pytest.mark.parametrize("unit", [GPU_ONNX, GPU_COREML, NEURAL_ENGINE_COREML])
async def test_a_unit_that_is_here_runs_a_network_and_tells_where(measure, here, unit):
    outcome = await measure(unit, placement="any", check_outputs=True)
    row = outcome.measurement
    assert outcome.status is ReportStatus.COMPLETE, row.remark
    assert not row.execution_provider.startswith("CPUExecutionProvider")
    assert row.provider_share is not None or any("nothing tells" in warning for warning in row.warnings)
    assert row.output_max_abs_diff is not None
    assert row.output_max_abs_diff < 0.05, "of outputs that are probabilities"


@pytest.mark.parametrize("unit", [GPU_ONNX])
async def test_the_gpu_takes_the_network_with_and_without_the_transfer(measure, here, unit):
    for more, transfer in (({}, "included"), ({"io_binding": True}, "excluded")):
        outcome = await measure(unit, placement="strict", precision="full", **more)
        row = outcome.measurement
        if "io_binding:" in (row.remark or ""):
            pytest.skip(row.remark)
        assert outcome.status is ReportStatus.COMPLETE, row.remark
        assert (row.transfer, row.precision, row.provider_share) == (transfer, "as written", 1.0)
