"""`benchfleet bench` as a process, measuring for real."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import psutil
import pytest

from daemons.core.results import COLUMNS
from daemons.worker.engines.tiny import TINY_ONNX
from tests.support.light_models import light_models
from tests.support.processes import environment, living_children, until
from tests.support.wheels import Index, hermetic, serving_index

SQUEEZENET = str(light_models() / "light_squeezenet.onnx")
WITH_A_LOCK_OF_ITS_OWN = (
    "import sys, pathlib, daemons.worker.devicelock as lock\n"
    "lock.measuring_lock.__defaults__ = (pathlib.Path(sys.argv.pop(1)),)\n"
    "from daemons.cli import main\n"
    "main()"
)
"""The command in a machine's lock that no other test or benchmark on this machine can hold for minutes."""

ROOT = Path(__file__).parents[2]
QUICK = ("--runs", "3", "--loads", "2", "--warmup", "1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(TINY_ONNX)
    (tmp_path / "bad.onnx").write_bytes(b"this is no model")
    return tmp_path


@pytest.fixture
def begin(folder, tmp_path_factory):
    """Start the command; killed at the end, if it is still there."""
    with contextlib.ExitStack() as processes:
        root = tmp_path_factory.mktemp("lock")

        def start(*arguments):
            process = subprocess.Popen(
                [sys.executable, "-c", WITH_A_LOCK_OF_ITS_OWN, str(root), "bench", *arguments],
                cwd=folder,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.callback(process.communicate)
            processes.callback(process.kill)
            return process

        yield start


@pytest.fixture
def bench(begin):
    """The command, run to its end."""

    def run(*arguments):
        process = begin(*arguments)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_one_model_is_one_object_with_its_samples_and_times(bench):
    done = bench("tiny.onnx", "--json", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    row = json.loads(done.stdout)
    assert (row["Status"], row["FileName"], row["InferenceRuns"]) == ("Complete", "tiny.onnx", 3)
    assert len(row["Samples"]["InferenceMs"]) == 3
    assert row["StartedAt"] < row["EndedAt"]
    assert set(row) <= {*COLUMNS, "Samples", "Conditions"}


def test_several_models_are_measured_abba_each_time_in_a_fresh_process(bench):
    done = bench("tiny.onnx", SQUEEZENET, "--rounds", "2", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["FileName"] for row in document["results"]] == [
        "tiny.onnx",
        "light_squeezenet.onnx",
        "light_squeezenet.onnx",
        "tiny.onnx",
    ]
    first, second = document["results"][1:3]
    assert second["BaselineRamUsage"] == pytest.approx(first["BaselineRamUsage"], rel=0.03), "a used process has more"
    (inference,) = [one for one in document["comparisons"] if one["metric"] == "InferenceMsMedian"]
    assert inference["ratio"] > 10
    assert inference["head"] == "light_squeezenet.onnx"


def test_a_model_that_fails_is_tried_once_and_hides_no_other(bench):
    done = bench("tiny.onnx", "bad.onnx", "tiny.onnx", "--rounds", "2", "--csv", "-", *QUICK)
    assert done.returncode == 1
    rows = rows_of(done.stdout)
    assert [row["FileName"] for row in rows] == ["tiny.onnx", "bad.onnx", "tiny.onnx #2", "tiny.onnx #2", "tiny.onnx"]
    assert [row["Status"] for row in rows].count("Failed") == 1
    assert rows[1]["Remark"]


def test_a_csv_has_the_columns_of_a_campaigns(bench, folder):
    done = bench("tiny.onnx", "--csv", "figures.csv", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "tiny.onnx" in done.stdout, "people get their table all the same"
    (row,) = rows_of((folder / "figures.csv").read_text())
    assert tuple(row) == COLUMNS
    assert len(row["ModelHash"]) == 64
    assert sorted(path.name for path in folder.iterdir()) == ["bad.onnx", "figures.csv", "tiny.onnx"]


def test_a_unit_that_this_machine_lacks_is_a_sentence_before_anything_is_measured(bench, folder):
    if set(ort.get_available_providers()) - {"AzureExecutionProvider", "CPUExecutionProvider"}:
        pytest.skip("this ONNX Runtime may have a GPU here")
    done = bench("tiny.onnx", "--unit", "CPU (ONNX)", "--unit", "GPU (ONNX)", "--csv", "figures.csv", *QUICK)
    assert (done.returncode, done.stdout) == (1, "")
    assert "GPU (ONNX) needs" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "figures.csv").exists()


def test_a_version_of_a_package_that_the_units_engine_is_not_from_is_used_wrongly(bench):
    done = bench("tiny.onnx", "--engine-version", "openvino==2025.1.0", *QUICK)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--engine-version openvino==2025.1.0: CPU (ONNX) is served by ONNX Runtime, from onnxruntime" in done.stderr


def test_a_version_that_can_not_be_had_is_a_sentence_before_anything_is_measured(bench, folder, tmp_path, monkeypatch):
    hermetic(monkeypatch, ROOT)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with serving_index(Index()) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        asked = ("--engine-version", "installed", "--engine-version", "onnxruntime==1.20.*")
        done = bench("tiny.onnx", *asked, "--csv", "figures.csv", *QUICK)
    assert (done.returncode, done.stdout) == (1, "")
    assert "onnxruntime==1.20.* can't be installed: the package index has no onnxruntime" in done.stderr
    assert not (folder / "figures.csv").exists()


def test_a_pipe_gets_plain_text(bench):
    done = bench("tiny.onnx", *QUICK)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert not set(done.stdout) & set("▁▂▃▄▅▆▇█")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_what_was_measured_is_told(begin, folder, how):
    """The first measurement takes moments, the second one far too long."""
    process = begin("tiny.onnx", SQUEEZENET, "--csv", "figures.csv", "--runs", "100000", "--loads", "1")
    until((folder / "figures.csv").exists, "the first measurement to end")
    until(lambda: children_of(process), "the second process to be there")
    children = children_of(process)
    process.send_signal(how)
    stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "tiny.onnx" in stdout
    assert "1 of 8 measurements were done" in stderr
    assert "Traceback" not in stderr
    assert not psutil.wait_procs(children, timeout=0)[1]
    assert not [line for line in living_children() if "daemons.worker.bench.child" in line]
    assert len(rows_of((folder / "figures.csv").read_text())) == 1


def children_of(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_interrupted_before_anything_was_measured_it_prints_no_document(begin):
    process = begin(SQUEEZENET, "--json", "--runs", "100000")
    until(lambda: children_of(process), "the measuring process")
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, "")


def test_a_model_that_changes_meanwhile_is_not_filed_under_its_old_hash(begin, folder):
    process = begin("tiny.onnx", SQUEEZENET, "--csv", "figures.csv", "--rounds", "2", *QUICK)
    until((folder / "figures.csv").exists, "the first measurement to end")
    (folder / "tiny.onnx").write_bytes(TINY_ONNX + b"\x00")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "tiny.onnx was changed while it was measured" in stderr
