"""Who may call what, over real HTTP."""

from __future__ import annotations

import io
import itertools
import logging

import pytest
import structlog

from daemons.core.errors import ConfigInvalid
from daemons.core.settings import HttpSettings, OrchestratorSettings, OrchestratorStorage
from daemons.orchestrator import daemon
from daemons.orchestrator.api.app import ROUTES
from daemons.orchestrator.api.guard import Role
from daemons.runtime.logs import CHATTY, set_up_logs
from tests.support.orchestrator import finite, orchestrating

SECRETS = {role: f"{role.name.lower()}-secret-0123456789" for role in Role}


@pytest.fixture
def token_files(tmp_path):
    paths = {}
    for role, secret in SECRETS.items():
        path = tmp_path / f"{role.name}.token"
        path.write_text(f"{secret}\nanother-{secret}\n")
        path.chmod(0o600)
        paths[f"{role.name.lower()}_token_file"] = str(path)
    return paths


@pytest.fixture
async def guarded(store, tmp_path, token_files):
    async with orchestrating(store, tmp_path / "outputs", http=HttpSettings(port=0, **token_files)) as api:
        yield api


def bearer(role):
    return {"Authorization": f"Bearer {SECRETS[role]}"}


async def test_every_route_takes_the_roles_that_it_is_for_and_no_others(guarded):
    for route, role in itertools.product(ROUTES, Role):
        method, roles = route.method, route.roles
        answer = await guarded(method, finite(route), **bearer(role))
        assert (answer.status == 403) == (role not in roles), (route, role, answer.document)
        if role not in roles:
            assert answer.is_problem


async def test_the_roles_are_as_the_documents_say():
    roles = {(route.method, route.path): set(route.roles) for route in ROUTES}
    assert roles["POST", "/api/campaigns"] == roles["POST", "/api/reset"] == {Role.OPERATOR}
    assert (
        roles["POST", "/api/workers/{worker_id}/claim"] == roles["POST", "/api/jobs/{job_id}/result"] == {Role.WORKER}
    )
    assert roles.pop(("GET", "/api/events")) == {Role.VIEWER, Role.OPERATOR}
    assert roles.pop(("GET", "/api/redis")) == {Role.OPERATOR}
    assert all(set(Role) == allowed for (method, _), allowed in roles.items() if method == "GET")


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}]
)
async def test_without_a_known_token_nothing_is_shown(guarded, header):
    for route in ROUTES:
        if "{" not in route.path and not route.is_open:
            answer = await guarded(route.method, route.path.removeprefix("/api"), **header)
            assert (answer.status, answer.is_problem) == (401, True)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_every_token_of_a_file_is_known(guarded):
    header = {"Authorization": f"bearer another-{SECRETS[Role.VIEWER]}"}
    assert (await guarded("GET", "/health", **header)).status == 200


@pytest.fixture
def logs():
    """Everything that is logged while the test runs."""
    stream, root = io.StringIO(), logging.getLogger()
    former, is_loud = root.handlers[:], logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in ("", *CHATTY)}
    set_up_logs("debug", "json", stream)
    yield stream
    root.handlers[:], logging.raiseExceptions = former, is_loud
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


async def test_a_token_never_appears_in_the_logs(store, tmp_path, token_files, logs):
    async with orchestrating(store, tmp_path / "outputs", http=HttpSettings(port=0, **token_files)) as api:
        for role in Role:
            await api("POST", "/campaigns", {"model_url": "http://me:hidden-word@host/m"}, **bearer(role))
            await api("GET", f"/workers?token={SECRETS[role]}", **bearer(role))
        await api("GET", "/health", Authorization="Bearer guessed-0123456789abcdef")
    output = logs.getvalue()
    assert '"request answered"' in output
    for word in (*SECRETS.values(), "hidden-word", "guessed"):
        assert word not in output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "example.org"])
async def test_beyond_this_machine_it_does_not_start_without_tokens(tmp_path, host):
    settings = OrchestratorSettings(
        http=HttpSettings(host=host, port=0), storage=OrchestratorStorage(data_dir=str(tmp_path / "data"))
    )
    with pytest.raises(ConfigInvalid, match="token"):
        await daemon.run(settings)
    assert not (tmp_path / "data").exists()


async def test_a_viewers_tokens_alone_are_not_enough_for_the_network(tmp_path, token_files):
    http = HttpSettings(host="0.0.0.0", port=0, viewer_token_file=token_files["viewer_token_file"])
    with pytest.raises(ConfigInvalid, match="worker_token_file"):
        await daemon.run(OrchestratorSettings(http=http))


async def test_a_page_in_a_browser_cannot_drive_a_server_without_tokens(api):
    port = api.url.rpartition(":")[2]
    for headers in (
        {"Host": f"attacker.example:{port}"},
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{port}.attacker.example"},
        {"Host": f"attacker.example:{port}", "Origin": f"http://attacker.example:{port}"},
    ):
        answer = await api("POST", "/reset", **headers)
        assert (answer.status, answer.is_problem) == (403, True), headers


async def test_this_machines_own_names_and_pages_may(api):
    port = api.url.rpartition(":")[2]
    for headers in (
        {"Host": f"localhost:{port}"},
        {"Host": f"LOCALHOST:{port}"},
        {"Host": "[::1]"},
        {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}"},
    ):
        assert (await api("GET", "/health", **headers)).status == 200, headers


async def test_a_name_that_the_settings_allow_may(store, tmp_path):
    http = HttpSettings(port=0, allowed_hosts=["Bench.Lab"])
    async with orchestrating(store, tmp_path / "outputs", http=http) as api:
        assert (await api("GET", "/health", Host="bench.lab:80")).status == 200
        assert (await api("GET", "/health", Host="bench.lab.example")).status == 403


async def test_answers_are_not_sniffed_or_cached(api):
    for path in ("/health", "/nothing"):
        headers = (await api("GET", path)).headers
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
