"""Models that are no .onnx, from a web server to a measuring process: what runs them gets them whole, others say no."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from daemons.core.lifecycle import ReportStatus
from daemons.core.models import ClaimedJob
from daemons.core.units import CPU_ONNX, GPU_COREML
from daemons.transfer.download import Limits
from daemons.worker.attempt import Attempts
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.coreml import CoreMlEngine
from daemons.worker.engines.serving import ONNX_RUNTIME_ALONE, Serves
from daemons.worker.engines.tiny import TINY_ONNX
from daemons.worker.lease import Standing
from daemons.worker.models import ModelCache
from tests.support.fake_orchestrator import a_job
from tests.support.model_server import serving_models

CPU_OPENVINO = "CPU (OpenVINO)"
CORE_ML = Serves("daemons.worker.engines.coreml:CoreMlEngine", "Core ML", CoreMlEngine.file_types, ("coremltools",))
OPENVINO = Serves("daemons.worker.engines.openvino:OpenVinoEngine", "OpenVINO", (".onnx", ".xml"), ("openvino",))


@pytest.fixture
async def server():
    async with serving_models() as running:
        yield running


@pytest.fixture
def attempt(tmp_path, server):
    """Serves `content` as `name` and has a device of `serving` measure it; the outcome."""
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**7), limit_bytes=10**7, retry_window_s=0.0)

    async def attempt(name, content, serving, unit):
        server.files[name] = content
        bench = Bench(serving)
        attempts = Attempts([*serving], cache, bench, contextlib.nullcontext)
        more = {"num_inference_runs": 3, "num_load_runs": 1, "warmup_runs": 1}
        job = msgspec.convert(a_job(model_url=server.url(name), compute_unit=unit, **more), ClaimedJob)
        try:
            return await asyncio.wait_for(attempts.make(job, Standing()), 60)
        finally:
            await attempts.close()
            await bench.close()

    return attempt


def packed(folder: Path, *names: str) -> bytes:
    """These files and folders in `folder` as a Mac packs them."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for name in names for path in (folder / name, *(folder / name).rglob("*"))):
            archive.write(path, path.relative_to(folder))
        archive.writestr(f"__MACOSX/._{names[0]}", b"attributes")
    return content.getvalue()


@pytest.fixture
def core_ml_package(tmp_path):
    """A zip of `Net.mlpackage`, made by coremltools."""
    pytest.importorskip("coremltools", reason="coremltools is not installed here")
    from coremltools import convert  # noqa: PLC0415
    from coremltools.converters import mil  # noqa: PLC0415

    @mil.Builder.program(input_specs=[mil.Builder.TensorSpec(shape=(1, 8))])
    def program(x):
        return mil.Builder.relu(x=x, name="y")

    convert(program, convert_to="mlprogram", skip_model_load=True).save(str(tmp_path / "Net.mlpackage"))
    return packed(tmp_path, "Net.mlpackage")


@pytest.fixture
def openvino_model(tmp_path):
    """A zip of `net.xml` and `net.bin`, made by OpenVINO."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed here")
    openvino.save_model(openvino.Core().read_model(TINY_ONNX), tmp_path / "net.xml")
    return packed(tmp_path, "net.xml", "net.bin")


def refused(outcome, unit):
    """The remark of an outcome without any figure."""
    assert outcome.status is ReportStatus.FAILED
    assert outcome.measurement.inference_ms_median is None
    assert outcome.measurement.load_ms_median is None
    assert outcome.measurement.compute_units == unit
    return outcome.measurement.remark


async def test_an_openvino_model_is_measured_from_its_zip(attempt, openvino_model):
    outcome = await attempt("net.zip", openvino_model, {CPU_OPENVINO: [OPENVINO]}, CPU_OPENVINO)
    assert outcome.status is ReportStatus.COMPLETE, outcome.measurement.remark
    assert outcome.measurement.engine == "OpenVINO"
    assert outcome.measurement.inference_ms_median > 0
    assert outcome.measurement.file_name == "net.zip"
    assert outcome.measurement.file_size == len(openvino_model)


async def test_a_unit_that_does_not_take_the_kind_says_so_and_names_one_that_does(attempt, openvino_model):
    serving = {**ONNX_RUNTIME_ALONE, CPU_OPENVINO: [OPENVINO]}
    remark = refused(await attempt("net.zip", openvino_model, serving, CPU_ONNX), CPU_ONNX)
    assert remark == f"{CPU_ONNX} doesn't run models like net.xml; on this device {CPU_OPENVINO} would."


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # coremltools leaves a folder to the garbage collector
async def test_a_core_ml_package_on_a_device_without_core_ml_is_refused(attempt, core_ml_package):
    remark = refused(await attempt("net.zip", core_ml_package, ONNX_RUNTIME_ALONE, CPU_ONNX), CPU_ONNX)
    assert remark == f"{CPU_ONNX} doesn't run models like Net.mlpackage; no unit of this device does."


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Core ML")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_measuring_process_without_core_ml_yields_no_number(attempt, core_ml_package):
    """Whoever wrongly says that it serves the unit: the process itself refuses."""
    remark = refused(await attempt("net.zip", core_ml_package, {GPU_COREML: [CORE_ML]}, GPU_COREML), GPU_COREML)
    assert "needs Core ML, and Core ML needs macOS" in remark


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Core ML")
async def test_a_core_ml_file_needs_no_archive(attempt):
    """Its ending is kept on the way, by which its engine is chosen."""
    serving = {**ONNX_RUNTIME_ALONE, GPU_COREML: [CORE_ML]}
    remark = refused(await attempt("Net.mlmodel", b"a location", serving, GPU_COREML), GPU_COREML)
    assert "Core ML needs macOS" in remark
    remark = refused(await attempt("Net.mlmodel", b"a location", serving, CPU_ONNX), CPU_ONNX)
    assert remark == f"{CPU_ONNX} doesn't run models like Net.mlmodel; on this device {GPU_COREML} would."


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_package_arrives_as_coremltools_wrote_it(server, tmp_path, core_ml_package):
    from coremltools.models.utils import load_spec  # noqa: PLC0415

    server.files["net.zip"] = core_ml_package
    cache = ModelCache(tmp_path / "models", Limits(max_bytes=10**7), limit_bytes=10**7)
    model = await cache.fetch(server.url("net.zip"), None, lambda _done, _total: None)
    assert model.path.name == "Net.mlpackage"
    assert load_spec(str(model.path)) == load_spec(str(tmp_path / "Net.mlpackage"))
