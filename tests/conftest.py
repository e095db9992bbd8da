"""Fixtures that every test may ask for."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from daemons.store import Store
from tests.support.orchestrator import Api, orchestrating
from tests.support.store import fresh_store, running_server


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The address of a real Valkey that serves the whole run."""
    with tempfile.TemporaryDirectory(prefix="bf-") as folder, running_server(Path(folder)) as server:
        yield server.url


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Store]:
    """An empty store of the test's own."""
    async with fresh_store(valkey_url) as store:
        yield store


@pytest.fixture
async def api(store: Store, tmp_path: Path) -> AsyncIterator[Api]:
    """An orchestrator over that store, on a real socket."""
    async with orchestrating(store, tmp_path / "outputs") as api:
        yield api
