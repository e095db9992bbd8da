"""A Mac for coremltools: its real Python over a stand-in for its compiled part, which exists on macOS alone.

The stand-in takes exactly the arguments that the compiled part's binding takes (coremlpython/CoreMLPython.mm), and
notes them. It computes nothing but what a test tells it to.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

from coremltools.models import _compiled_model, compute_device, compute_plan, model

from daemons.worker.engines import coreml

MACOS = (15, 3)


class Plan:
    """A compute plan's compiled part: what is to run where is said by a test, by the operation's or layer's name."""

    def __init__(self, model_structure: Any = None, placed: dict[str, Any] | None = None) -> None:
        self.model_structure = model_structure
        self.placed = placed or {}

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        return usage(self.placed.get(operation.operator_name))

    def get_compute_device_usage_for_neuralnetwork_layer(self, layer: Any) -> Any:
        return usage(self.placed.get(layer.name))


class Native:
    """`_MLModelProxy`, a loaded model."""

    made: ClassVar[list[Native]] = []
    fails: ClassVar[Exception | None] = None
    newest_specification: ClassVar[int] = 9
    devices: ClassVar[Any] = ()
    plan: ClassVar[Any] = None
    planned: ClassVar[tuple[str, str] | None] = None
    """What a plan was asked for."""
    answers: ClassVar[Any] = staticmethod(lambda data: {"b": data["a"] + data["a"]})

    def __init__(
        self,
        path: str,
        compute_units: str,
        function_name: str,
        hints: dict[str, str],
        asset: None,  # noqa: ARG002 (the binding takes it)
    ) -> None:
        self.path, self.compute_units, self.function_name, self.hints = path, compute_units, function_name, hints
        if self.fails is not None:
            raise self.fails
        self.compiled = path if path.endswith(".mlmodelc") else f"{path}.compiled.mlmodelc"
        self.states = 0
        self.seen: list[tuple[dict[str, Any], Any]] = []
        self.made.append(self)

    @staticmethod
    def maximum_supported_specification_version() -> int:
        return Native.newest_specification

    @staticmethod
    def get_available_compute_devices() -> list[Any]:
        if isinstance(Native.devices, Exception):
            raise Native.devices
        return list(Native.devices)

    @staticmethod
    def get_compute_plan(path: str, compute_units: str) -> Any:
        if isinstance(Native.plan, Exception):
            raise Native.plan
        Native.planned = (path, compute_units)
        return compute_plan.MLComputePlan(Native.plan)

    def get_compiled_model_path(self) -> str:
        return self.compiled

    def newState(self) -> str:  # noqa: N802 (the binding's name)
        self.states += 1
        return f"state {self.states}"

    def predict(self, data: dict[str, Any], state: Any) -> dict[str, Any]:
        self.seen.append((dict(data), state))
        return self.answers(data)


class Cpu:
    """`_MLCPUComputeDeviceProxy`."""


class Gpu:
    """`_MLGPUComputeDeviceProxy`."""


class NeuralEngine:
    """`_MLNeuralEngineComputeDeviceProxy`."""


def cpu() -> Any:
    return compute_device.MLCPUComputeDevice(Cpu())


def gpu() -> Any:
    return compute_device.MLGPUComputeDevice(Gpu())


def neural_engine() -> Any:
    return compute_device.MLNeuralEngineComputeDevice(NeuralEngine())


def usage(device: Any) -> Any:
    """A plan for one operation, of which only the preferred device is looked at."""
    return None if device is None else compute_plan.MLComputePlanDeviceUsage(device, [device])


def become_a_mac(monkeypatch: Any) -> type[Native]:
    """From here on coremltools has its compiled part, and the engine believes to be on a Mac with all devices."""
    for name, fresh in {"made": [], "fails": None, "newest_specification": 9, "plan": None, "planned": None}.items():
        monkeypatch.setattr(Native, name, fresh)
    for module in (model, _compiled_model, compute_plan, compute_device):
        monkeypatch.setattr(module, "_MLModelProxy", Native)
    monkeypatch.setattr(compute_plan, "_MLComputePlanProxy", Plan)
    for kind, proxy in {"CPU": Cpu, "GPU": Gpu, "NeuralEngine": NeuralEngine}.items():
        monkeypatch.setattr(compute_device, f"_ML{kind}ComputeDeviceProxy", proxy)
    for module in (model, _compiled_model):
        monkeypatch.setattr(module, "_macos_version", lambda: MACOS)
    monkeypatch.setattr(model, "_is_macos", lambda: True)
    monkeypatch.setattr(coreml, "is_mac", lambda: True)
    monkeypatch.setattr(Native, "devices", (cpu(), gpu(), neural_engine()))
    return Native


def compiled(source: str, folder: Path, metadata: str | None) -> str:
    """A folder such as Core ML compiles a model into, as far as anything but Core ML can read it."""
    made = folder / "example.mlmodelc"
    made.mkdir()
    shutil.copy(source, made / "coremldata.bin")
    if metadata is not None:
        (made / "metadata.json").write_text(metadata)
    return str(made)
