"""A model's size, hash and state, of a file and of a folder."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from daemons.cli.bench_files import ModelOnDisk, on_disk
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


async def test_weights_in_a_file_of_their_own_are_part_of_the_model(tmp_path):
    (tmp_path / "m.xml").write_bytes(b"<net/>")
    (tmp_path / "m.bin").write_bytes(b"numbers")
    model = await on_disk(tmp_path / "m.xml")
    assert model.facts["FileSize"] == 13
    for ending in (".xml", ".bin"):
        (tmp_path / f"m{ending}").rename(tmp_path / f"n{ending}")
    assert (await on_disk(tmp_path / "n.xml")).facts == model.facts, "renamed as a whole it is the same"
    model = await on_disk(tmp_path / "n.xml")
    (tmp_path / "n.bin").write_bytes(b"letters")
    with pytest.raises(BenchfleetError, match="was changed"):
        model.require_same()
    assert (await on_disk(tmp_path / "n.xml")).facts["ModelHash"] != model.facts["ModelHash"]


async def test_external_data_of_an_onnx_model_is_part_of_it(tmp_path):
    weights = numpy_helper.from_array(np.arange(1000, dtype=np.float32), "w")
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1000])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [y], [weights])
    path, data = tmp_path / "m.onnx", tmp_path / "m.data"
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="m.data", size_threshold=0)
    model = await on_disk(path)
    assert model.facts["FileSize"] == path.stat().st_size + data.stat().st_size > 4000
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    with pytest.raises(BenchfleetError, match="was changed"):
        model.require_same()
    assert (await on_disk(path)).facts["ModelHash"] != model.facts["ModelHash"]


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
