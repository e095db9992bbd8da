"""Token files, and which addresses are this machine's own."""

from __future__ import annotations

import pytest

from daemons.core.errors import ConfigInvalid
from daemons.core.settings import HttpSettings
from daemons.orchestrator.api.guard import Role, check_exposure, is_loopback, read_tokens

TOKEN = "0123456789abcdef"


@pytest.fixture
def token_file(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "token"
        path.write_text(text)
        path.chmod(mode)
        return HttpSettings(operator_token_file=str(path))

    return write


def test_tokens_are_kept_as_digests_only(token_file):
    tokens = read_tokens(token_file(f"{TOKEN}\n  {TOKEN}x  \n\n"))
    assert list(tokens) == [Role.OPERATOR]
    assert [len(digest) for digest in tokens[Role.OPERATOR]] == [32, 32]
    assert TOKEN.encode() not in tokens[Role.OPERATOR]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(token_file, mode):
    with pytest.raises(ConfigInvalid, match="chmod 600"):
        read_tokens(token_file(TOKEN, mode))


@pytest.mark.parametrize("text", ["", "\n", "short", f"{TOKEN}\nshort"])
def test_a_file_without_a_proper_token_is_refused_without_showing_it(token_file, text):
    with pytest.raises(ConfigInvalid, match="at least 16") as caught:
        read_tokens(token_file(text))
    assert TOKEN not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigInvalid, match=r"worker_token_file.*none"):
        read_tokens(HttpSettings(worker_token_file=str(tmp_path / "none")))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_needs_no_tokens(host):
    assert is_loopback(host)
    check_exposure(HttpSettings(host=host), {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "127.0.0.1.example"])
def test_any_other_address_needs_tokens_of_workers_and_operators(host):
    assert not is_loopback(host)
    for tokens in ({}, {Role.WORKER: [b""]}, {Role.OPERATOR: [b""], Role.VIEWER: [b""]}):
        with pytest.raises(ConfigInvalid, match=r"http\.host"):
            check_exposure(HttpSettings(host=host or "x"), tokens)
    check_exposure(HttpSettings(host=host or "x"), {Role.WORKER: [b""], Role.OPERATOR: [b""]})
