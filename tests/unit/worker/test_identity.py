"""The device's identity: the same over restarts, another on another machine."""

from __future__ import annotations

import pytest

from daemons.worker import identity
from daemons.worker.identity import device_udid, make_udid, parse_ioreg

HERE = "8f6a1c0e5b7d4e2f9a3b6c8d0e1f2a3b"
ELSEWHERE = "00112233445566778899aabbccddeeff"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose identifiers the test writes."""
    sources = {"machine": tmp_path / "machine-id", "hardware": tmp_path / "product_uuid"}
    monkeypatch.setattr(identity, "_LINUX_SOURCES", sources)
    monkeypatch.setattr(identity, "_CONTAINER_MARKS", (tmp_path / "container",))
    monkeypatch.setattr(identity.platform, "system", lambda: "Linux")
    sources["machine"].write_text(HERE + "\n")
    return sources


def test_the_identity_survives_restarts_and_a_lost_state_folder(machine, tmp_path):
    first = device_udid(tmp_path / "a")
    assert device_udid(tmp_path / "a") == first
    assert device_udid(tmp_path / "b") == first


def test_the_machines_own_identifier_is_not_given_away(machine, tmp_path):
    assert HERE not in device_udid(tmp_path / "a").replace("-", "")
    assert HERE not in (tmp_path / "a" / "identity.json").read_text()


def test_further_workers_of_one_machine_are_devices_of_their_own(machine, tmp_path):
    found = {device_udid(tmp_path / salt, salt=salt) for salt in ("", "1", "2")}
    assert len(found) == 3


def test_a_cloned_disk_gets_an_identity_of_its_own(machine, tmp_path):
    original = device_udid(tmp_path / "a")
    machine["machine"].write_text(ELSEWHERE)
    clone = device_udid(tmp_path / "a")
    assert clone != original
    assert device_udid(tmp_path / "a") == clone


def test_a_source_that_only_root_can_read_changes_nothing(machine, tmp_path):
    original = device_udid(tmp_path / "a")
    machine["hardware"].write_text("4c4c4544-0042-3510-8052-b4c04f4e3332")
    assert device_udid(tmp_path / "a") == original


@pytest.mark.parametrize("text", ["", "uninitialized", "0" * 32, "03000200"])
def test_a_machine_that_says_nothing_of_itself_gets_a_random_identity_that_is_kept(machine, tmp_path, text):
    machine["machine"].write_text(text)
    first = device_udid(tmp_path / "a")
    assert device_udid(tmp_path / "a") == first
    assert device_udid(tmp_path / "b") != first


def test_containers_of_one_image_are_devices_of_their_own(machine, tmp_path):
    (tmp_path / "container").touch()
    assert device_udid(tmp_path / "a") != device_udid(tmp_path / "b")


def test_a_damaged_file_is_made_anew(machine, tmp_path):
    first = device_udid(tmp_path / "a")
    (tmp_path / "a" / "identity.json").write_bytes(b"{\xff")
    assert device_udid(tmp_path / "a") == first


def test_what_macos_prints_is_understood():
    printed = '  | {\n  |   "IOPlatformUUID" = "9E2C7F6A-1111-5222-8333-ABCDEF012345"\n  |   "x" = 1\n'
    assert parse_ioreg(printed) == {"machine": "9E2C7F6A-1111-5222-8333-ABCDEF012345"}
    assert parse_ioreg("nothing") == {}


def test_the_same_evidence_makes_the_same_identity():
    assert make_udid({"machine": "a"}, "") == make_udid({"machine": "a", "hardware": "b"}, "")
    assert make_udid({"machine": "a"}, "") != make_udid({"machine": "b"}, "")
