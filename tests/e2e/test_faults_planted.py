"""Each fault that is planted on purpose is found by the checker; without it, the same run is clean.

What brings out the first, a missing fence, is in `test_faults_stopped`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak import planted
from tests.soak.harness import run_script
from tests.support import preload

DRAIN_LIMIT_S = 4.0
"""What a planted fault has lost never ends."""

needs_shim = pytest.mark.skipif(preload.why_not() is not None, reason=str(preload.why_not()))


def as_parameters(faults):
    return [pytest.param(one, id=one.name, marks=[needs_shim] if one.needs_shim else []) for one in faults]


@pytest.mark.parametrize("fault", as_parameters(planted.ALL))
async def test_a_planted_fault_is_found(fault, tmp_path):
    run = await run_script(tmp_path, fault.script, layout=fault.layout, load=fault.load, drain_limit_s=DRAIN_LIMIT_S)
    assert getattr(run.verdict, fault.found), run.verdict.sentences


@pytest.mark.parametrize("fault", as_parameters(planted.ALL[1:]))
async def test_what_brings_a_fault_out_is_clean_without_it(fault, tmp_path):
    layout = replace(fault.layout, script_swaps=(), server_settings={})
    run = await run_script(tmp_path, fault.script, layout=layout, load=fault.load)
    assert run.verdict.sentences == []
    assert run.drain_s is not None
