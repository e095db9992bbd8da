"""Where the nodes of a loaded model really are, by the best witness that the installed runtime is.

In this order: its own record of the assignment; that it takes the graph with the CPU forbidden; which kernels it ran,
by its profile. Each needs a session of its own, for it would make the one that is measured slower.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import onnxruntime as ort

from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent
from daemons.worker.engines.onnx_errors import sentence
from daemons.worker.engines.onnx_session import NO_CPU, alone, make_session
from daemons.worker.engines.onnx_units import COREML_PROVIDER, CPU_PROVIDER, Placement
from daemons.worker.engines.tiny import TINY_ONNX

RECORD: Final = "session.record_ep_graph_assignment_info"
COPIES: Final = frozenset({"MemcpyFromHost", "MemcpyToHost"})
"""Nodes that the runtime adds where a value crosses from one provider to another: they are none of the model's."""
KERNEL: Final = "_kernel_time"


class Subject(NamedTuple):
    """What is to be proved of."""

    model: str | bytes
    placement: Placement
    """Settled."""
    options: LoadOptions
    providers: tuple[str, ...]
    """That the measured session reports."""
    run: Callable[[Any], object] | None
    """Runs a session once with the job's inputs; None before there are any."""


class Proof(NamedTuple):
    """The part of `Facts` that tells where a model ran."""

    providers: tuple[str, ...]
    nodes: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def proof_of(subject: Subject) -> Proof:
    """What is known of where the subject's nodes are. What stands in the way of more is in its notes."""
    try:
        if subject.placement.provider == COREML_PROVIDER:
            from daemons.worker.engines.onnx_coreml import coreml_proof  # noqa: PLC0415 (on Macs alone)

            return coreml_proof(subject)
        return best_proof(subject)
    except EngineError as error:
        return Proof(subject.providers, notes=(f"where the model's nodes are could not be found out: {error}",))


def best_proof(subject: Subject) -> Proof:
    """The proof by the first witness that tells."""
    if nodes := recorded(subject):
        return Proof(subject.providers, nodes)
    if is_alone(subject):
        return Proof((subject.placement.provider,))
    return Proof(subject.providers, profiled(subject))


def recorded(subject: Subject) -> tuple[tuple[str, int], ...]:
    """Nodes of each provider by the runtime's record; empty where it keeps none."""
    if not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
        return ()
    return node_counts(make_session(subject.model, subject.placement, subject.options, settings={RECORD: "1"}))


def node_counts(session: Any) -> tuple[tuple[str, int], ...]:
    """Nodes of each provider, from a session that kept the record; empty where the runtime keeps none."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return ()
    counts: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    return tuple(counts.items())


def is_alone(subject: Subject) -> bool:
    """Whether the runtime takes the whole graph with the CPU forbidden: then no node is there."""
    if not forbids_cpu():
        return False
    placement, settings = alone(subject.placement)
    try:
        make_session(subject.model, placement, subject.options, settings=settings)
    except ProviderAbsent:
        return False
    return True


def forbids_cpu() -> bool:
    """Whether the runtime knows the setting at all. One that doesn't takes any setting without a word."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(NO_CPU, "1")
    try:
        ort.InferenceSession(TINY_ONNX, options, providers=[CPU_PROVIDER], enable_fallback=0)
    except Exception:  # noqa: BLE001 (that it refuses is the answer)
        return True
    return False


def profiled(subject: Subject) -> tuple[tuple[str, int], ...]:
    """Nodes that each provider ran; empty where the provider makes one kernel of many nodes, or there are no inputs."""
    settings = subject.placement.kernels
    if settings is None or subject.run is None:
        return ()
    with tempfile.TemporaryDirectory() as folder:
        start = os.path.join(folder, "profile")  # noqa: PTH118 (the runtime takes text)
        session = make_session(subject.model, subject.placement, subject.options, settings=settings, profile=start)
        try:
            subject.run(session)
        except Exception as error:
            raise EngineError(sentence(error, "run")) from error
        finally:
            path = session.end_profiling()
        return executed_nodes(events_in(path))


def events_in(path: str) -> list[dict[str, Any]]:
    """The events of a profile that the runtime wrote."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 (no path is needed)
            events: list[dict[str, Any]] = json.load(file)
    except (OSError, ValueError) as error:
        raise EngineError(f"ONNX Runtime's profile can't be read: {error}") from error
    return events


def executed_nodes(events: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    """Nodes by provider, each once, however often a loop ran it."""
    nodes = {
        (arguments["provider"], event["name"], arguments.get("node_index"))
        for event in events
        if event.get("cat") == "Node" and str(event.get("name")).endswith(KERNEL)
        for arguments in (event.get("args", {}),)
        if arguments.get("provider") and arguments.get("op_name") not in COPIES
    }
    counts: dict[str, int] = {}
    for provider, _, _ in sorted(nodes, key=str):
        counts[provider] = counts.get(provider, 0) + 1
    return tuple(counts.items())
