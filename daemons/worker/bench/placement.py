"""Whether a model ran where its compute unit says: the proof in every row, and the refusal without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from daemons.worker.engines.base import Facts, ProviderAbsent

NEEDED: Final = {"majority": 0.5, "strict": 1.0, "any": 0.0}
"""Policy → the least share of the graph's nodes that the unit's own provider must have taken."""


def require_placement(facts: Facts, unit: str, policy: str) -> None:
    """ProviderAbsent if the unit's own provider took less of the graph than `policy` asks, or nobody knows how much."""
    needed, share = NEEDED[policy], facts.provider_share
    if needed == 0.0 or (share is not None and share >= needed):
        return
    if share is None:
        untold = f"the engine doesn't tell which nodes ran on {' and which on '.join(facts.providers)}"
        raise ProviderAbsent(
            f"nothing proves that the model ran on {unit}: {'; '.join(facts.notes) or untold}. "
            "A job with `placement: any` takes that."
        )
    raise ProviderAbsent(
        f"{facts.providers[0]} took only {share:.1%} of the graph's nodes ({node_placement(facts.nodes)}); "
        f"`placement: {policy}` asks for {'all of them' if needed == 1.0 else 'at least half'}."
    )


def node_placement(nodes: Sequence[tuple[str, int]]) -> str | None:
    """Such as ``CUDAExecutionProvider 118, CPUExecutionProvider 4``; None where nothing is known."""
    return ", ".join(f"{provider} {count}" for provider, count in nodes) or None
