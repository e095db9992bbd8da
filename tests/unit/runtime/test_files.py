"""Whole files or none."""

from __future__ import annotations

import os
import stat

import pytest

from daemons.runtime import files
from daemons.runtime.files import write_atomically


@pytest.fixture
def plain_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_content_replaces_what_was_there(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("plain_umask")
@pytest.mark.parametrize(("mode", "expected"), [(0o666, 0o644), (0o600, 0o600)])
def test_the_permissions_are_as_asked_less_the_umask(tmp_path, mode, expected):
    write_atomically(tmp_path / "f", b"x", mode=mode)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == expected


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    if failing == "fsync":
        monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError if failing == "fsync" else TypeError):
        write_atomically(path, b"new" if failing == "fsync" else "no bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_disk_before_its_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    path = tmp_path / "f"
    seen = []
    real = os.fsync

    def watched(descriptor):
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", watched)
    write_atomically(path, b"x")
    assert seen == [(False, False), (True, True)]


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"
