"""A model's file is out of the page cache when a cold load begins, or a sentence says that it isn't."""

import mmap
import os
import sys
from pathlib import Path

import pytest

from daemons.worker.bench import coldfile, measure
from daemons.worker.bench.coldfile import cool, resident_pages
from daemons.worker.engines.base import EngineError, LoadOptions

linux = pytest.mark.skipif(sys.platform != "linux", reason="posix_fadvise(2) and mincore(2)")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x" * (10 * mmap.PAGESIZE + 1))
    return path


def pages_of(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return resident_pages(descriptor)
    finally:
        os.close(descriptor)


def keeps_its_pages(folder):
    """Whether files there never leave the page cache, as on a tmpfs."""
    descriptor = os.open(folder / "probe", os.O_RDWR | os.O_CREAT)
    try:
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return resident_pages(descriptor)[0] > 0
    finally:
        os.close(descriptor)


@linux
def test_a_file_that_was_just_written_leaves_the_page_cache(model, tmp_path):
    if keeps_its_pages(tmp_path):
        pytest.skip("this file system lives in the page cache")
    assert pages_of(model) == (11, 11)
    assert cool([str(model)]) == ()
    assert pages_of(model) == (0, 11)


@linux
def test_pages_that_stay_are_told(model):
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert sum(view[:: mmap.PAGESIZE]) == 11 * ord("x"), "another process would use it so"
        (told,) = cool([str(model)])
    assert "100% of the model was still in the page cache" in told


@linux
def test_an_empty_file_is_cold(tmp_path):
    (tmp_path / "empty").touch()
    assert cool([str(tmp_path / "empty")]) == ()


def test_a_system_that_has_no_way_is_told(model, monkeypatch):
    monkeypatch.delattr(coldfile.os, "posix_fadvise", raising=False)
    (told,) = cool([str(model)])
    assert told.startswith("cold_file: this system has no way")


@linux
def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(EngineError, match="The model can't be read: No such file"):
        cool([str(tmp_path / "gone")])


@pytest.mark.parametrize("cold_file", [True, False])
def test_all_files_of_an_unpacked_model_are_treated_alike(tmp_path, monkeypatch, cold_file):
    """External data is the model's greater part: its weights are warm, or cold, with it."""
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"weights")
    touched: list[str] = []
    monkeypatch.setattr(coldfile, "cool", lambda files: touched.extend(files) or ())
    monkeypatch.setattr(measure, "_read", touched.append)
    order = measure.Order(
        path=str(tmp_path / "model.onnx"),
        unit="CPU (ONNX)",
        inference_runs=1,
        load_runs=1,
        warmup_runs=0,
        options=LoadOptions(),
        seed=0,
        cold_file=cold_file,
        folder=str(tmp_path),
    )

    measure.settle_page_cache(order)

    assert sorted(Path(file).name for file in touched) == ["model.onnx", "w.bin"]
