"""Sessions of ONNX Runtime on one provider: never on another instead, and with a reason where there can be none."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import onnxruntime as ort

from daemons.worker.engines.base import EngineError, LoadOptions, ProviderAbsent
from daemons.worker.engines.onnx_errors import absence, is_left_to_cpu, sentence
from daemons.worker.engines.onnx_units import CPU_PROVIDER, CUDA_PROVIDER, Placement

QUIET: Final = 4
"""Severity from which ONNX Runtime writes to stderr: fatal alone, for what is wrong comes as an exception."""
NO_CPU: Final = "session.disable_cpu_ep_fallback"
"""Has the runtime refuse a graph of which a node would be on the CPU."""

GRAPH_OPTIMIZATIONS: Final = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
EXECUTION_MODES: Final = {
    "sequential": ort.ExecutionMode.ORT_SEQUENTIAL,
    "parallel": ort.ExecutionMode.ORT_PARALLEL,
}


def make_session(
    model: str | bytes,
    placement: Placement,
    wanted: LoadOptions,
    *,
    settings: Mapping[str, str] | None = None,
    profile: str | None = None,
) -> Any:
    """A session on the placement's provider, which it reports to have.

    `settings` are the session's, by the runtime's own names; `profile` is how the path of a profile is to begin.
    ProviderAbsent or EngineError say in a sentence why there can be no such session.
    """
    options = session_options(placement, wanted)
    for name, value in (settings or {}).items():
        options.add_session_config_entry(name, value)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    have_libraries(placement.provider)
    try:
        # Without enable_fallback=0 a failing provider is exchanged for the CPU, with a line on stdout.
        session = ort.InferenceSession(model, options, providers=providers_of(placement), enable_fallback=0)
    except Exception as error:
        raise refusal(error, placement) from error
    require_provider(session, placement)
    return session


def providers_of(placement: Placement) -> list[Any]:
    """The providers in the runtime's own form."""
    own = (placement.provider, dict(placement.options))
    return [own, CPU_PROVIDER] if placement.with_cpu else [own]


def alone(placement: Placement) -> tuple[Placement, dict[str, str]]:
    """The placement without the CPU, and the session settings that have the runtime refuse what would need it."""
    if placement.provider == CPU_PROVIDER:
        return placement, {}
    return placement._replace(with_cpu=False), {NO_CPU: "1"}


def session_options(placement: Placement, wanted: LoadOptions) -> Any:
    """The runtime's own form of the options. How many operators may run side by side is left to the runtime."""
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = wanted.threads or 0
    if wanted.graph_optimization is not None:
        options.graph_optimization_level = choice("graph_optimization", wanted, GRAPH_OPTIMIZATIONS)
    if wanted.execution_mode is not None:
        options.execution_mode = choice("execution_mode", wanted, EXECUTION_MODES)
    if placement.one_by_one:
        options.enable_mem_pattern = False
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    return options


def choice(name: str, wanted: LoadOptions, known: Mapping[str, Any]) -> Any:
    """What the runtime calls an option's value."""
    value = getattr(wanted, name)
    if value not in known:
        raise EngineError(f"ONNX Runtime knows no {name} {value!r}; it knows {', '.join(known)}.")
    return known[value]


@functools.cache
def have_libraries(provider: str) -> None:
    """Load the CUDA libraries that came as Python packages, which the runtime doesn't find by itself."""
    if provider == CUDA_PROVIDER and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()


def refusal(error: Exception, placement: Placement) -> EngineError:
    """Why there is no session: because of the provider, or because of the model."""
    reason = absence(str(error))
    if reason is None and is_left_to_cpu(str(error)):
        return ProviderAbsent(left_out(placement, "doesn't take every node of the model"))
    if reason is None:
        return EngineError(sentence(error, "load"))
    return ProviderAbsent(f"{placement.provider} can't start on this device: {reason}")


def require_provider(session: Any, placement: Placement) -> None:
    """The provider must be among those that the session reports: the runtime only warns when it left one out."""
    if placement.provider not in session.get_providers():
        others = ", ".join(session.get_providers())
        raise ProviderAbsent(left_out(placement, f"was left out by ONNX Runtime, which would run on {others}"))


def left_out(placement: Placement, otherwise: str) -> str:
    """Why the runtime took no notice of the provider; `otherwise` where it doesn't say."""
    from daemons.worker.engines.onnx_stderr import words_about  # noqa: PLC0415 (only for what fails)

    reason = absence(words_about(placement))
    if reason is None:
        return f"{placement.provider} {otherwise}."
    return f"{placement.provider} can't start on this device: {reason}"
