"""Models that are more than one file, packed for their way."""

from __future__ import annotations

import os
import zipfile

import pytest

from daemons.cli.packing import as_one_file, why_no_model
from daemons.worker.kinds import find_model


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "net.mlpackage"
    (folder / "Data/com.apple.CoreML").mkdir(parents=True)
    (folder / "Manifest.json").write_text("{}")
    (folder / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"weights" * 1000)
    return folder


@pytest.fixture
def openvino(tmp_path):
    (tmp_path / "net.xml").write_text("<net/>")
    (tmp_path / "net.bin").write_bytes(b"weights")
    return tmp_path / "net.xml"


def packed(path):
    with as_one_file(path) as file:
        return file.name, file.read_bytes(), zipfile.ZipFile(file).namelist()


def test_a_single_file_is_itself(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"net")
    with as_one_file(tmp_path / "net.onnx") as file:
        assert file == tmp_path / "net.onnx"


def test_a_folder_and_a_pair_travel_as_workers_unpack_them(package, openvino):
    name, _, members = packed(package)
    assert name == "net.mlpackage.zip"
    assert find_model(members) == "net.mlpackage"
    name, _, members = packed(openvino)
    assert (name, members) == ("net.xml.zip", ["net.bin", "net.xml"])
    assert find_model(members) == "net.xml"


def test_the_same_files_are_the_same_bytes_whenever_they_were_written(package):
    before = packed(package)[1]
    for path in package.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert packed(package)[1] == before
    (package / "Manifest.json").write_text("{ }")
    assert packed(package)[1] != before


def test_nothing_is_left_behind(package):
    with as_one_file(package) as file:
        folder = file.parent
    assert not folder.exists()


def test_what_can_not_be_sent_is_told(tmp_path, package, openvino):
    assert why_no_model(package) is why_no_model(openvino) is None
    (tmp_path / "net.bin").unlink()
    assert "there is no net.bin" in why_no_model(openvino)
    (tmp_path / "empty.onnx").touch()
    assert "is empty" in why_no_model(tmp_path / "empty.onnx")
    assert "is a folder; zip it" in why_no_model(tmp_path)
