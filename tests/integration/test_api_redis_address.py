"""Where Redis is, is told to those alone who can use it: operators on the orchestrator's own machine."""

from __future__ import annotations

import pytest

from daemons.core.settings import HttpSettings
from daemons.orchestrator.api import system
from daemons.store import open_store
from tests.support.orchestrator import orchestrating
from tests.support.store import fresh_store


async def test_a_program_on_this_machine_is_told(api, store, valkey_url):
    answer = await api("GET", "/redis")
    position = await store.events.position()
    assert answer.document == {"url": valkey_url, "prefix": store.prefix, "epoch": position.epoch}


async def test_whoever_calls_from_elsewhere_is_refused(api, monkeypatch):
    monkeypatch.setattr(system, "is_loopback", lambda host: host == "")
    answer = await api("GET", "/redis")
    assert (answer.status, answer.is_problem) == (403, True)


async def test_a_viewer_is_refused_where_there_are_tokens(valkey_url, tmp_path):
    files = {}
    for role in ("worker", "operator", "viewer"):
        file = tmp_path / role
        file.write_text(f"{role}-token-of-some-length")
        file.chmod(0o600)
        files[f"{role}_token_file"] = str(file)
    http = HttpSettings(port=0, **files)
    async with fresh_store(valkey_url) as store, orchestrating(store, tmp_path / "outputs", http=http) as api:
        for role, status in (("worker", 403), ("viewer", 403), ("operator", 200)):
            answer = await api("GET", "/redis", Authorization=f"Bearer {role}-token-of-some-length")
            assert answer.status == status, role


@pytest.mark.parametrize("url", ["redis://me:secret@127.0.0.1:1/0", "redis://127.0.0.1:1/0?password=secret"])
async def test_a_password_is_told_to_nobody(url):
    async with open_store(url, "x:") as store:
        assert store.public_url is None
