"""Zip archives: unpacked as they are, or refused with a sentence and nothing left on disk."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from daemons.runtime.background import Stop, Stopped
from daemons.worker import archive
from daemons.worker.archive import ArchiveRefused, is_zip, unpack

FILES = {"m.onnx": b"model" * 100, "data/w.bin": b"weights" * 1000}


def pack(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as writer:
        for name, content in files.items():
            writer.writestr(entry(name, method), content)
    return packed.getvalue()


def entry(name: str, method: int = zipfile.ZIP_DEFLATED, mode: int | None = None) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("placeholder")
    mode = mode or (0o40755 if name.endswith("/") else 0o100644)
    made.filename, made.compress_type, made.external_attr = name, method, mode << 16
    return made


def pack_entries(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as writer:
        for info, content in entries:
            writer.writestr(info, content)
    return packed.getvalue()


def try_unpack(content: bytes, tmp_path: Path, max_bytes: int = 10**6) -> list[str]:
    (tmp_path / "a.zip").write_bytes(content)
    return unpack(tmp_path / "a.zip", tmp_path / "out", max_bytes=max_bytes, stop=Stop())


def refused(content: bytes, tmp_path: Path, why: str, **limits: int) -> None:
    with pytest.raises(ArchiveRefused, match=why):
        try_unpack(content, tmp_path, **limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_out_as_they_went_in_and_for_their_owner_alone(tmp_path, method):
    names = try_unpack(pack(FILES | {"empty/": b""}, method), tmp_path)
    assert names == list(FILES)
    for name, content in FILES.items():
        path = tmp_path / "out" / name
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out" / "empty").is_dir()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../m.onnx", "leads out"),
        ("a/../../m.onnx", "leads out"),
        ("a/..", "leads out"),
        ("/etc/m.onnx", "absolute"),
        ("//host/m.onnx", "absolute"),
        ("C:/m.onnx", "drive letter"),
        ("c:m.onnx", "drive letter"),
        ("a\\m.onnx", "backslash"),
        ("..\\m.onnx", "backslash"),
        ("./m.onnx", "empty part"),
        ("a//m.onnx", "empty part"),
        ("a/./m.onnx", "empty part"),
        ("m\n.onnx", "control characters"),
        ("m\x1b[31m.onnx", "control characters"),
        ("n" * 256, "too long"),
        ("/".join(["n" * 100] * 11), "too long"),
    ],
)
def test_a_name_that_would_have_to_be_repaired_is_refused(tmp_path, name, why):
    refused(pack({"ok.onnx": b"x", name: b"x"}), tmp_path, why)


def test_a_name_with_a_null_in_it_is_refused(tmp_path):
    packed = pack({"mXonnx": b"x"}).replace(b"mXonnx", b"m\x00onnx")
    refused(packed, tmp_path, "control characters")


@pytest.mark.parametrize(
    ("mode", "name", "why"),
    [
        (0o120777, "link", "symbolic link"),
        (0o120777, "link/", "symbolic link"),
        (0o010644, "pipe", "neither"),
        (0o020644, "device", "neither"),
        (0o040755, "folder-without-slash", "neither"),
        (0o100644, "file-with-slash/", "neither"),
    ],
)
def test_links_and_devices_are_refused(tmp_path, mode, name, why):
    refused(pack_entries((entry("m.onnx"), b"x"), (entry(name, mode=mode), b"")), tmp_path, why)


@pytest.mark.parametrize("names", [("m.onnx", "m.onnx"), ("m.onnx", "M.ONNX"), ("\u00e9.onnx", "e\u0301.onnx")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_some_file_system_takes_for_the_same_are_refused(tmp_path, names):
    refused(pack_entries(*((entry(name), b"x") for name in names)), tmp_path, "twice")


def test_a_file_that_is_a_folder_too_is_refused(tmp_path):
    refused(pack({"a": b"x", "a/m.onnx": b"x"}), tmp_path, "both as a file and as a folder")


def test_an_encrypted_entry_is_refused(tmp_path):
    packed = bytearray(pack({"m.onnx": b"x"}))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    refused(bytes(packed), tmp_path, "is refused: it is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_take_memory_of_their_own_choosing_are_refused(tmp_path, method):
    refused(pack({"m.onnx": b"x" * 1000}, method), tmp_path, "another method")


def test_too_many_entries_or_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 20)
    assert len(try_unpack(pack({f"{n}": b"" for n in range(20)}), tmp_path)) == 20
    archive.shutil.rmtree(tmp_path / "out")
    refused(pack({f"{n}": b"" for n in range(21)}), tmp_path, "21 entries, and 20 are allowed")
    refused(pack({"/".join("abcdefghijklmnopqrstuvw"): b""}), tmp_path, "more than 20 folders")


def test_more_bytes_than_the_limit_are_refused_before_they_are_written(tmp_path):
    refused(pack(FILES), tmp_path, r"limits\.model_limit_gb", max_bytes=7499)
    assert try_unpack(pack(FILES), tmp_path, max_bytes=7500)


def test_the_limit_counts_what_comes_out_and_not_what_the_archive_says(tmp_path, monkeypatch):
    """The early look at the announced sizes is taken away: the bytes themselves are counted."""
    monkeypatch.setattr(archive.zipfile.ZipFile, "infolist", _announcing_nothing(archive.zipfile.ZipFile.infolist))
    refused(pack(FILES), tmp_path, r"limits\.model_limit_gb", max_bytes=7499)


def _announcing_nothing(real):
    class Modest(int):
        def __radd__(self, other):
            return other

    def infolist(self):
        entries = real(self)
        for found in entries:
            found.file_size = Modest(found.file_size)
        return entries

    return infolist


def test_a_bomb_is_refused_by_its_ratio(tmp_path):
    packed = pack({"m.onnx": bytes(archive.RATIO_FROM_BYTES + 1)})
    refused(packed, tmp_path, "more than 200 times its own size", max_bytes=10**9)


def test_little_and_honest_archives_pass_whatever_their_ratio(tmp_path):
    assert try_unpack(pack({"m.onnx": bytes(10**6)}), tmp_path) == ["m.onnx"]


def test_entries_that_share_their_bytes_count_each_time(tmp_path, monkeypatch):
    """A thousand entries of the directory may point at one and the same piece of the archive."""
    packed = bytearray(pack({"a": bytes(9000), "b": bytes(9000)}))
    monkeypatch.setattr(archive, "RATIO_FROM_BYTES", 1000)
    monkeypatch.setattr(archive, "MAX_RATIO", 60)
    refused(bytes(packed), tmp_path, "times its own size")


def test_a_directory_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 70_000)
    refused(pack({f"{n:0100}": b"" for n in range(600)}), tmp_path, "directory is larger")


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-30],
        lambda packed: packed[:40] + b"\xff" * 20 + packed[60:],
        lambda packed: packed.replace(b"data/w.bin", b"\xff" * 10, 1),
        lambda packed: (
            packed[: packed.index(b"PK\x01\x02") + 42]
            + struct.pack("<I", 2**31)
            + packed[packed.index(b"PK\x01\x02") + 46 :]
        ),
        lambda packed: packed[50:],
        lambda packed: packed[:4],
        lambda packed: packed[:2] + b"\x05\x06",
    ],
)
def test_a_damaged_archive_is_refused(tmp_path, damage):
    refused(damage(pack(FILES)), tmp_path, "damaged|contradicts itself")


def test_bytes_that_changed_under_way_are_noticed(tmp_path):
    refused(pack(FILES, zipfile.ZIP_STORED).replace(b"weights", b"weighty", 1), tmp_path, "damaged")


def test_unpacking_ends_and_leaves_nothing_when_it_is_no_longer_wanted(tmp_path):
    (tmp_path / "a.zip").write_bytes(pack(FILES))
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped):
        unpack(tmp_path / "a.zip", tmp_path / "out", max_bytes=10**6, stop=stop)
    assert not (tmp_path / "out").exists()


def test_a_zip_is_known_by_its_first_bytes(tmp_path):
    for content, expected in [(pack(FILES), True), (pack({}), True), (b"PK", False), (b"\x08\x07", False)]:
        (tmp_path / "f").write_bytes(content)
        assert is_zip(tmp_path / "f") is expected
