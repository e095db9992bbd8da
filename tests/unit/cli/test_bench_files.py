"""A model's size, hash and state, of a file and of a folder."""

from __future__ import annotations

import hashlib
import os

import pytest

from daemons.cli.bench_files import ModelOnDisk
from daemons.core.errors import BenchfleetError


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "Net.mlpackage"
    (folder / "Data").mkdir(parents=True)
    (folder / "Manifest.json").write_bytes(b"{}")
    (folder / "Data" / "weights").write_bytes(b"numbers")
    return folder


async def hash_of(path):
    return (await ModelOnDisk(path).read()).facts["ModelHash"]


async def test_a_file_has_the_hash_of_its_bytes(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"model")
    model = await ModelOnDisk(path).read()
    assert model.facts == {"FileSize": 5, "ModelHash": hashlib.sha256(b"model").hexdigest()}


async def test_a_folder_has_the_size_of_its_files_and_a_hash_of_names_and_contents(package):
    assert ModelOnDisk(package).facts == {"FileSize": 9}
    first = await hash_of(package)
    assert await hash_of(package) == first
    (package / "Data" / "weights").write_bytes(b"letters")
    second = await hash_of(package)
    (package / "Data" / "weights").rename(package / "Data" / "others")
    assert len({first, second, await hash_of(package)}) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "more").write_bytes(b""),
        lambda folder: (folder / "Manifest.json").unlink(),
        lambda folder: (folder / "Data" / "weights").write_bytes(b"more numbers"),
        lambda folder: os.utime(folder / "Manifest.json", (1, 1)),
    ],
)
def test_a_change_under_way_is_noticed(package, change):
    model = ModelOnDisk(package)
    model.require_same()
    change(package)
    with pytest.raises(BenchfleetError, match=r"Net\.mlpackage was changed while it was measured"):
        model.require_same()


def test_a_model_that_is_gone_is_told(package):
    model = ModelOnDisk(package / "Manifest.json")
    (package / "Manifest.json").unlink()
    with pytest.raises(BenchfleetError, match="can't be read any more"):
        model.require_same()
