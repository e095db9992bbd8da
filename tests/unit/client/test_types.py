"""What a type checker sees of the client, with ``await`` and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any, assert_type

from daemons.client import Campaign, Client, Event, SyncCampaign, SyncClient
from daemons.core import answers, answers_fleet


async def awaiting(client: Client) -> None:
    assert_type(await client.records("campaign-1"), list[dict[str, Any]])
    assert_type(client.iter_jobs(status="failed"), AsyncIterator[answers.Job])
    assert_type(client.campaign_of("campaign-1"), Campaign)
    assert_type(client.campaign_of("campaign-1").follow(), AsyncGenerator[Event])


def waiting(client: SyncClient) -> None:
    assert_type(client.records("campaign-1"), list[dict[str, Any]])
    assert_type(client.iter_workers(compute_unit="CPU (ONNX)"), Generator[answers_fleet.Worker])
    assert_type(client.campaign_of("campaign-1"), SyncCampaign)
    assert_type(client.campaign_of("campaign-1").follow(), Generator[Event])
    assert_type(client.campaign_of("campaign-1").wait(timeout_s=3), dict[str, Any])
    client.records()  # E: Too few arguments
    client.iter_jobs(state="failed")  # E: Unexpected keyword argument "state"
    client.download(7)  # E: incompatible type "int"; expected "str"
"""


def test_both_clients_are_typed_and_mistakes_are_found(tmp_path):
    """The lines with ``E:`` are wrong, as it says there; all else is right."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=dict(os.environ))
    said = [line for line in done.stdout.splitlines() if "program.py:" in line and ": error: " in line]
    found = [line.partition(": error: ")[2] for line in said]
    wanted = [line.partition("# E: ")[2] for line in PROGRAM.splitlines() if "# E: " in line]
    assert len(found) == len(wanted), done.stdout + done.stderr
    for text, part in zip(found, wanted, strict=True):
        assert part in text
