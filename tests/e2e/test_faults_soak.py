"""`make soak` in small: seeded faults on real processes, measuring for real, and nothing lost, doubled or made up."""

from __future__ import annotations

from tests.soak.harness import run_plan

SEED = 5
FAULTS = 25
GAP_S = 0.4


async def test_faults_of_all_kinds_lose_nothing_and_double_nothing(tmp_path):
    run = await run_plan(tmp_path, SEED, FAULTS, GAP_S)

    assert run.verdict.sentences == []
    assert run.drain_s is not None
    assert run.faults.total() >= FAULTS
    assert run.facts["gave_up"] == []
