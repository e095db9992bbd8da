"""`benchfleet demo` does what the README's first line says: real figures, a CSV, nothing left running."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tests.support.processes import living_children, orphans_come_here, run_command

PROVIDERS = {"CPU (ONNX)": "CPUExecutionProvider", "CPU (OpenVINO)": "OpenVINO CPU"}
"""Of every unit that a machine of tests may offer."""


def test_demo_prints_figures_and_leaves_a_whole_csv_and_no_process(tmp_path: Path) -> None:
    before = living_children()

    with orphans_come_here():
        done = run_command("demo", "--runs", "5", cwd=tmp_path, timeout_s=110)
        left = [command for command in living_children() if command not in before]

    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "outputs").glob("campaign-*_results.csv"))
    assert len(files) == 2
    rows = [row for file in files for row in csv.DictReader(io.StringIO(file.read_text()))]
    assert {row["FileName"] for row in rows} == {"light_squeezenet.onnx", "light_resnet50.onnx"}
    for row in rows:
        assert row["Status"] == "Complete", row
        assert float(row["InferenceMsMedian"]) > 0
        assert float(row["LoadMsMedian"]) > 0
        assert float(row["PeakInferenceRamUsage"]) > float(row["BaselineRamUsage"]) > 0
        assert PROVIDERS[row["ComputeUnits"]] == row["ExecutionProvider"]
    for file in files:
        assert str(file) in done.stdout
    assert "ms" in done.stdout
    assert left == []
