"""What is swapped to plant a fault is there to be swapped: a script that was rewritten takes its fault along."""

from __future__ import annotations

import pytest

from daemons.store.lua import read_sources
from tests.soak import planted


@pytest.mark.parametrize("fault", planted.ALL, ids=lambda fault: fault.name)
def test_each_text_stands_in_a_script(fault):
    sources = read_sources().values()
    assert [old for old, _ in fault.swaps if not any(old in source for source in sources)] == []
    assert fault.swaps or fault.server
