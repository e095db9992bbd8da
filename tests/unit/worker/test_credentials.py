"""The file of credentials: who may read it, what it may say, and that it is shown to nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yarl

from daemons.core.errors import ConfigInvalid
from daemons.transfer.credential import Credential, same_place
from daemons.worker.credentials import load_credentials

SECRET = "s3cret-t0ken"
GOOD = f"lab: {{hosts: [models.example.org, 127.0.0.1], headers: {{Authorization: 'Bearer {SECRET}', X-Team: a b}}}}\n"


@pytest.fixture
def file(tmp_path):
    def put(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "credentials.yaml"
        path.write_bytes(text.encode())
        path.chmod(mode)
        return path

    return put


def test_a_good_file_is_read_by_name(file):
    loaded = load_credentials(file(GOOD))
    found = loaded.named("lab")
    assert found is not None
    assert found.headers == {"Authorization": f"Bearer {SECRET}", "X-Team": "a b"}
    assert found.hosts == {"models.example.org", "127.0.0.1"}
    assert loaded.named("other") is None


def test_an_empty_file_holds_none(file):
    assert load_credentials(file("# none yet\n")).named("lab") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o777])
def test_a_file_that_others_may_read_or_write_is_refused(file, mode):
    with pytest.raises(ConfigInvalid, match=r"models\.credentials_file may be read by its owner alone.*chmod 600"):
        load_credentials(file(GOOD, mode))


def test_a_file_of_somebody_elses_is_refused(file, monkeypatch):
    path = file(GOOD)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ConfigInvalid, match="belong to the user"):
        load_credentials(path)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigInvalid, match=r"nowhere\.yaml: models\.credentials_file can't be read: No such file"):
        load_credentials(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigInvalid, match=r"models\.credentials_file"):
        load_credentials(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        f"lab: {{hosts: [a.org], headers: {{Authorization: *{SECRET}}}}}",
        f"lab: {{hosts: [a.org], headers: {{Authorization: !{SECRET} x}}}}",
        f"lab: {{hosts: [a.org], headers: {{Authorization: '{SECRET}",
        f"- {SECRET}",
        SECRET,
        f"lab: {SECRET}",
        f"lab: {{hosts: {SECRET}, headers: {{a: b}}}}",
        f"lab: {{hosts: [a.org], headers: {SECRET}}}",
        f"lab: {{hosts: [a.org], headers: {{X-Number: {SECRET.encode().hex()}, X: 12345}}}}",
        f"lab: {{hosts: [a.org], headers: {{Authorization: {{Bearer: {SECRET}}}}}}}",
        f"lab: {{hosts: [a.org], headers: {{a: b}}, {SECRET}: 1}}",
        f"lab: {{hosts: [], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: [a.org], headers: {{'{SECRET} x': b}}}}",
        f'lab: {{hosts: [a.org], headers: {{a: "{SECRET}\\r\\nX-Evil: 1"}}}}',
        f"lab: {{hosts: [a.org], headers: {{a: ' {SECRET}'}}}}",
        f"lab: {{hosts: [a.org], headers: {{a: 'ü{SECRET}'}}}}",
        f"lab: {{hosts: [a.org], headers: {{Range: {SECRET}}}}}",
        f"lab: {{hosts: [a.org], headers: {{host: {SECRET}}}}}",
        f"lab: {{hosts: [a.org], headers: {{}}, password: {SECRET}}}",
        f"'a name': {{hosts: [a.org], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: ['https://a.org'], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: ['a.org:443'], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: ['*.a.org'], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: ['a b'], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: [''], headers: {{a: {SECRET}}}}}",
        f"lab: {{hosts: [a.org], headers: {{a: {SECRET}}}}}\nlab: {{}}",
        f"lab: &a {{hosts: [a.org], headers: {{a: {SECRET}}}, more: *a}}",
        f"{SECRET}: \x00",
    ],
)
def test_a_mistake_is_refused_and_nothing_of_the_file_is_told(file, text):
    path = file(text)
    with pytest.raises(ConfigInvalid) as caught:
        load_credentials(path)
    assert str(path) in str(caught.value)
    error: BaseException | None = caught.value
    assert SECRET not in f"{error} {error!r} {error.args}"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "c").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "c").chmod(0o600)
    with pytest.raises(ConfigInvalid, match="UTF-8"):
        load_credentials(tmp_path / "c")


def test_neither_all_credentials_nor_one_show_their_headers(file):
    loaded = load_credentials(file(GOOD))
    for shown in (repr(loaded), str(loaded), repr(loaded.named("lab")), f"{loaded.named('lab')}"):
        assert "lab" in shown
        assert SECRET not in shown
        assert "Authorization" not in shown


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("Models.Example.ORG", "https://models.example.org/m"),
        ("models.example.org.", "https://models.example.org/m"),
        ("bücher.example", "https://xn--bcher-kva.example/m"),
        ("::1", "https://[::1]/m"),
        ("127.0.0.1", "http://127.0.0.1:8000/m"),
        ("localhost", "http://localhost:8000/m"),
        ("::1", "http://[::1]:80/m"),
    ],
)
def test_headers_go_to_their_hosts_by_https_or_on_this_machine(file, host, url):
    found = load_credentials(file(f"lab: {{hosts: ['{host}'], headers: {{a: b}}}}")).named("lab")
    assert found is not None
    assert found.objection(yarl.URL(url), is_home=True) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.org/m", "https only"),
        ("https://b.org/m", "none of theirs"),
        ("https://sub.a.org/m", "none of theirs"),
        ("https://a.org.evil.org/m", "none of theirs"),
        ("https://a.orgs/m", "none of theirs"),
    ],
)
def test_headers_go_nowhere_else(url, why):
    credential = Credential("lab", frozenset({"a.org"}), {"a": "b"})
    assert why in (credential.objection(yarl.URL(url), is_home=True) or "")
    assert "redirect" in (credential.objection(yarl.URL("https://a.org/m"), is_home=False) or "")


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        ("https://a.org/x", "https://a.org/y", True),
        ("https://a.org/x", "https://A.org:443/y", True),
        ("http://a.org/x", "https://a.org/x", True),
        ("https://a.org/x", "https://a.org:8443/x", False),
        ("http://a.org:8080/x", "https://a.org/x", False),
        ("https://a.org/x", "http://a.org/x", False),
        ("https://a.org/x", "https://b.org/x", False),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/x", False),
    ],
)
def test_another_host_or_port_is_another_place(first, then, same):
    assert same_place(yarl.URL(then), yarl.URL(first)) is same
