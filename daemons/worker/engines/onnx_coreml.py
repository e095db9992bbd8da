"""Where Core ML puts the part of a model that ONNX Runtime gave it: that it took nodes says only that it took them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from daemons.core.units import GPU_COREML, NEURAL_ENGINE_COREML
from daemons.worker.engines.base import ProviderAbsent
from daemons.worker.engines.coreml_plan import OWN_DEVICE, planned_devices
from daemons.worker.engines.onnx_proof import RECORD, Proof, Subject, is_alone, node_counts
from daemons.worker.engines.onnx_session import make_session
from daemons.worker.engines.onnx_units import COREML_PROVIDER

DEVICE_CLASS: Final = {GPU_COREML: "MLGPUComputeDevice", NEURAL_ENGINE_COREML: "MLNeuralEngineComputeDevice"}
"""What coremltools calls it."""
CACHE: Final = "ModelCacheDirectory"
COMPILED: Final = "**/compiled_model.mlmodelc"
"""Where ONNX Runtime leaves each compiled part of a model inside its cache."""

Plan = Mapping[str, int]
"""Device → how many operations Core ML means to run there."""


def coreml_proof(subject: Subject) -> Proof:
    """Where the nodes that ONNX Runtime kept are, and the operations that Core ML made of the others.

    EngineError if no session can be made for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        placement = subject.placement._replace(options={**subject.placement.options, CACHE: folder})
        session = make_session(subject.model, placement, subject.options, settings={RECORD: "1"})
        nodes = dict(node_counts(session)) or ({COREML_PROVIDER: 1} if is_alone(subject) else {})
        plans = [planned_devices(str(path), placement.unit) for path in sorted(Path(folder).glob(COMPILED))]
    return judged(subject, nodes, plans)


def judged(subject: Subject, nodes: Mapping[str, int], plans: Sequence[Plan | None]) -> Proof:
    """The proof that lies in the nodes of each provider and in the plan of each part that Core ML has compiled."""
    if not nodes:
        return unproved(subject, "this ONNX Runtime doesn't tell which nodes it gave to Core ML")
    if not nodes.get(COREML_PROVIDER):
        return Proof(subject.providers, tuple(nodes.items()))
    total = Counter({OWN_DEVICE[subject.placement.unit]: 0})
    for plan in plans:
        if plan is None:
            return unproved(subject, "macOS gives no plan of it")
        total.update(plan)
    if not total.total():
        return unproved(subject, "ONNX Runtime keeps no compiled model of which macOS could tell")
    total.update({provider: count for provider, count in nodes.items() if provider != COREML_PROVIDER})
    return Proof(tuple(total), tuple((device, count) for device, count in total.items() if count))


def unproved(subject: Subject, why: str) -> Proof:
    """Nothing is known but that Core ML took part."""
    own = OWN_DEVICE[subject.placement.unit]
    return Proof(subject.providers, notes=(f"nothing tells which operations ran on the {own}: {why}",))


def require_device(unit: str) -> None:
    """ProviderAbsent if macOS knows no such device: Core ML would run everything on the CPU without a word."""
    try:
        from coremltools.models.compute_device import MLComputeDevice  # noqa: PLC0415 (on Macs alone)

        devices = [type(one).__name__ for one in MLComputeDevice.get_all_compute_devices()]
    except (ImportError, AttributeError, RuntimeError):
        return
    if devices and DEVICE_CLASS[unit] not in devices:
        raise ProviderAbsent(f"{unit}: Core ML knows no such device here; it knows {', '.join(devices)}.")
