"""What a plan needs is found out before anything is measured; what can't be had is a sentence, of the right kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.cli import bench_engines as module
from daemons.cli.bench_engines import needs_probe, own_environments, require_served, runner_for
from daemons.cli.bench_plan import Plan, Subject, subjects_of
from daemons.core.errors import BenchfleetError, InvalidInput
from daemons.core.models import BenchRequest
from daemons.worker.engines.serving import ONNX_RUNTIME_ALONE, Serves
from daemons.worker.environments import Environments
from daemons.worker.probe import Probe

CPU, GPU, OTHER = "CPU (ONNX)", "GPU (ONNX)", "CPU (OpenVINO)"
OPENVINO = Serves("o:O", "OpenVINO", (".onnx", ".xml"), ("openvino",))
SERVING = {**ONNX_RUNTIME_ALONE, OTHER: [OPENVINO]}


def plan(*models, units=(CPU,), versions=(None,)):
    template = BenchRequest(model_path="", file_name="", compute_unit="")
    return Plan(*subjects_of(tuple(map(Path, models)), units, versions), (None,), 1, {}, template)


@pytest.fixture
def probed(monkeypatch):
    """How often the units of this machine were tried; a GPU's driver is broken."""
    calls = []

    async def probe():
        calls.append("probe")
        return Probe(units=[CPU, OTHER], engines={}, problems={GPU: "GPU (ONNX) needs a driver."}, serving=SERVING)

    monkeypatch.setattr(module, "probe_units", probe)
    return calls


@pytest.mark.parametrize(
    ("subject", "is_needed"),
    [
        (Subject(Path("m.onnx"), CPU), False),
        (Subject(Path("m.ONNX"), CPU, "onnxruntime==1.20.*"), False),
        (Subject(Path("m.onnx"), GPU), True),
        (Subject(Path("m.xml"), CPU), True),
        (Subject(Path("m"), CPU), True),
    ],
)
def test_units_are_tried_only_where_one_must_know(subject, is_needed):
    assert needs_probe(subject) is is_needed


async def test_a_plain_plan_tries_nothing(probed):
    await runner_for(plan("a.onnx", "b.onnx"), list)
    assert probed == []


async def test_units_are_tried_once_for_all_and_that_is_said(probed):
    said = []
    await runner_for(plan("a.onnx", "b.onnx", units=(CPU, OTHER)), said.append)
    assert probed == ["probe"]
    assert said == ["trying this machine's compute units"]


@pytest.mark.parametrize(
    ("subject", "kind", "told"),
    [
        (Subject(Path("m.onnx"), GPU), BenchfleetError, "lacks: GPU (ONNX) needs a driver."),
        (Subject(Path("m.onnx"), "NPU (X)"), BenchfleetError, "no engine here serves NPU (X); served are CPU (ONNX), "),
        (Subject(Path("m.mlpackage"), CPU), BenchfleetError, "CPU (ONNX) doesn't run models like m.mlpackage"),
        (Subject(Path("m.onnx"), OTHER, "onnxruntime==1.20.*"), InvalidInput, "by OpenVINO, from openvino; no engine"),
        (Subject(Path("m.onnx"), GPU, "onnxruntime-gpu==1.20.*"), BenchfleetError, "GPU (ONNX) needs a driver."),
    ],
)
def test_what_can_not_be_measured_is_told(subject, kind, told):
    with pytest.raises(BenchfleetError) as refusal:
        require_served(subject, SERVING, {GPU: "GPU (ONNX) needs a driver."})
    assert type(refusal.value) is kind
    assert told in str(refusal.value)


def test_what_can_be_measured_passes():
    require_served(Subject(Path("m.xml"), OTHER, "openvino==2025.1.0"), SERVING, {})
    require_served(Subject(Path("m"), CPU), SERVING, {})


def test_versions_are_kept_in_the_users_own_state_where_any_package_may_be(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert own_environments(plan("m.onnx")) is None
    kept = own_environments(plan("m.onnx", versions=(None, "onnxruntime==1.20.*")))
    assert isinstance(kept, Environments)
    assert kept._allowed is None
    assert not list(tmp_path.iterdir()), "nothing is made before it is needed"
