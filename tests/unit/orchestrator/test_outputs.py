"""The folder of CSV files."""

from __future__ import annotations

import os

import pytest

from daemons.core.errors import NotFound
from daemons.orchestrator.outputs import find_results_file, list_results_files, results_file

OLD = "campaign-1_20250108_143022_results.csv"
NEW = "campaign-1_20250109_143022_results.csv"
OTHER = "campaign-12_20250109_143022_results.csv"


@pytest.fixture
def outputs(tmp_path):
    folder = tmp_path / "outputs"
    folder.mkdir()
    for age, name in enumerate((OTHER, NEW, OLD, ".hidden.draft", "notes.txt", "campaign-1_2025_results.csv")):
        (folder / name).write_bytes(b"x" * 2**19)
        os.utime(folder / name, (1736432000 - age, 1736432000 - age))
    (folder / "campaign-3_20250109_143022_results.csv").mkdir()
    return folder


def test_result_files_and_nothing_else_the_newest_first(outputs):
    listing = list_results_files(outputs)
    assert [file["filename"] for file in listing] == [OTHER, NEW, OLD]
    assert listing[0] == {"filename": OTHER, "size_mb": 0.5, "modified": "2025-01-09T14:13:20Z"}


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert list_results_files(tmp_path / "none") == []
    assert find_results_file(tmp_path / "none", "campaign-1") is None


def test_a_campaigns_newest_file_and_no_others(outputs):
    assert find_results_file(outputs, "campaign-1").name == NEW
    assert find_results_file(outputs, "campaign-12").name == OTHER
    for wrong in ("campaign", "campaign-1_20250109", "campaign-2", "", "campaign-3"):
        assert find_results_file(outputs, wrong) is None


@pytest.mark.parametrize(
    "name", ["notes.txt", f"../outputs/{NEW}", f"{NEW}\n", "", ".", "campaign-3_20250109_143022_results.csv"]
)
def test_names_that_are_no_result_files_are_not_found(outputs, name):
    with pytest.raises(NotFound):
        results_file(outputs, name)
    assert results_file(outputs, NEW).read_bytes()
