"""What NVIDIA's library tells, from its C calls to the row: real pynvml, real measuring process, no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nvidia import environment_with_gpus

ROOT = str(Path(__file__).parents[2])
MEASURE = """
import asyncio, json, msgspec, sys
from daemons.core.models import BenchRequest
from daemons.worker.bench.runner import Bench
from daemons.worker.engines.serving import Serves

async def main():
    engine, unit, path = sys.argv[1:]
    bench = Bench({unit: [Serves(f"tests.support.odd_engines:{engine}", "odd")]})
    request = BenchRequest(model_path=path, file_name="model.onnx", compute_unit=unit)
    outcome = await bench.measure(request, lambda _: None)
    await bench.close()
    print(msgspec.json.encode(outcome).decode())

asyncio.run(main())
"""
DESCRIBE = "import json; from daemons.worker.host import nvidia_gpus; print(json.dumps(nvidia_gpus()))"


def told_by(script, environ, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def measured(tmp_path):
    """The outcome on a machine with two GPUs."""
    (tmp_path / "model.onnx").write_bytes(b"model")

    def run(engine, unit="GPU (Odd)", **environ):
        environ = environment_with_gpus(tmp_path, PYTHONPATH=ROOT, **environ)
        outcome = told_by(MEASURE, environ, engine, unit, str(tmp_path / "model.onnx"))
        assert outcome["status"] == "Complete", outcome["measurement"]
        return outcome

    return run


def test_a_row_from_nvidias_gpu_tells_of_the_gpu(measured):
    outcome = measured("SleepsOnNvidia")
    row = outcome["measurement"]
    assert {name: value for name, value in row.items() if name.startswith("Gpu")} == {
        "GpuName": "NVIDIA Test 24GB",
        "GpuDriver": "555.42",
        "GpuMemoryTotal": 24 * 1024.0,
        "GpuMemoryAfterLoad": 3 * 1024.0,
        "GpuMemoryAfterInference": 3 * 1024.0,
        "GpuUtilization": 97.0,
        "GpuClockMhz": 1410.0,
        "GpuThrottleReasons": "hardware thermal slowdown",
    }
    assert outcome["conditions"]["before"]["gpu_temperature_c"] == 88.0
    assert outcome["conditions"]["after"]["gpu_throttled"] is True


def test_heat_and_other_users_of_the_gpu_make_a_noisy_row(measured):
    row = measured("SleepsOnNvidia")["measurement"]
    assert row["Verdict"] == "noisy"
    assert any("held down: hardware thermal slowdown" in reason for reason in row["VerdictReasons"])
    assert any("other programs kept the GPU busy for 97 %" in reason for reason in row["VerdictReasons"])


def test_the_gpu_is_the_one_that_cuda_would_use(measured):
    """And one that tells little leaves its cells empty."""
    row = measured("SleepsOnNvidia", CUDA_VISIBLE_DEVICES="1")["measurement"]
    assert row["GpuName"] == "Poor GPU"
    assert "GpuMemoryTotal" not in row
    assert "GpuUtilization" not in row


def test_a_row_from_another_makers_gpu_holds_none_of_it(measured):
    assert not [name for name in measured("Sleeps")["measurement"] if name.startswith("Gpu")]


def test_on_a_processor_no_gpu_is_asked(measured):
    outcome = measured("Sleeps", unit="CPU (Odd)")
    assert not [name for name in outcome["conditions"]["before"] if name.startswith("gpu")]


def test_a_device_registers_with_its_gpus(tmp_path):
    assert told_by(DESCRIBE, environment_with_gpus(tmp_path)) == [
        "NVIDIA Test 24GB, 24 GB, driver 555.42",
        "Poor GPU, driver 555.42",
    ]
