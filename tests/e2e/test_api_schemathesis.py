"""The API against its own document: no server error, and no answer that the document doesn't have.

schemathesis makes requests of every operation from the examples, at the limits of every schema and beyond them, at
random, and in sequences that follow the document's links. `tests/support/schemathesis.toml` says what is left out.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from daemons.orchestrator.api import app
from tests.support.store import CPU

CONFIG = Path(__file__).parents[1] / "support" / "schemathesis.toml"
EXAMPLES = 4
"""Of each operation at random: enough to tell when something is wrong, few enough for every run."""


@pytest.fixture
async def busy(api):
    """An orchestrator that knows a device, and a campaign with jobs that wait, run, are complete and have failed."""
    worker = await api.worker()
    await api.submit(*[{"compute_unit": CPU}] * 4)
    await api.report(worker, await api.claim(worker), LoadMsMedian=1.5)
    await api.report(worker, await api.claim(worker), "Failed", Remark="no luck")
    await api.claim(worker)
    return api


@pytest.mark.timeout(300)
async def test_every_answer_is_in_the_document_and_none_is_a_server_error(busy, tmp_path, monkeypatch):
    mistakes = []
    monkeypatch.setattr(app.log, "exception", lambda *said, **more: mistakes.append((said, more)), raising=False)
    asking = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{busy.url}/api/openapi.json"),
        *("--max-examples", str(EXAMPLES), "--generation-deterministic"),
        *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "default"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await asking.communicate())[0].decode()
    assert asking.returncode == 0, said
    assert mistakes == []
    assert f"Tested: {len(app.ROUTES) - 1}" in said, said  # all but the document itself
