"""Results as lines for people."""

from __future__ import annotations

from daemons.cli.listing import plain_lines
from daemons.cli.result_rows import MOST_REMARKS, MOST_WARNINGS, cells_of, columns_of, remarks_of, with_unit
from daemons.core.results import COLUMNS

COMPLETE = {
    "Status": "Complete",
    "JobId": "c-job-0",
    "FileName": "net.onnx",
    "ComputeUnits": "CPU (ONNX)",
    "DeviceName": "mac-mini",
    "LoadMsMedian": 12.3456,
    "LoadMsStdDev": 0.5,
    "InferenceMsMedian": 1.5,
    "InferenceMsStdDev": None,
    "PeakLoadRamUsage": 100.0,
    "PeakInferenceRamUsage": 120.4,
    "Verdict": "stable",
}
FAILED = {
    "Status": "Failed",
    "JobId": "c-job-1",
    "FileName": "net.onnx",
    "ComputeUnits": "GPU (ONNX)",
    "Remark": "no GPU",
}


def lines(*rows):
    return plain_lines(columns_of(rows), cells_of(rows))


def test_each_result_is_a_line_with_units_above():
    assert lines(COMPLETE, FAILED) == [
        "job  device    unit        status       load (ms)  inference (ms)  peaks (MB)",
        "  0  mac-mini  CPU (ONNX)  complete  12.35 ± 0.50           1.500   100 / 120",
        "  1  —         GPU (ONNX)  failed",
    ]
    assert lines(COMPLETE)[0].startswith("device"), "a single job needs no number"


def test_the_model_is_named_where_there_are_several():
    assert "model" not in lines(COMPLETE, COMPLETE)[0]
    assert lines(COMPLETE, {**COMPLETE, "FileName": "other.onnx"})[0].split()[2] == "model"


def test_figures_that_can_not_be_trusted_say_so_where_the_status_stands():
    assert [cells_of([{**COMPLETE, "Verdict": verdict}])[0][2].text for verdict in ("stable", "noisy", None)] == [
        "complete",
        "noisy",
        "complete",
    ]


def test_a_remark_of_many_is_told_once_with_their_number():
    rows = [{**FAILED, "DeviceName": f"d{place}"} for place in range(5)]
    assert remarks_of(rows) == ["d0, GPU (ONNX) and 4 more: no GPU"]
    assert remarks_of([FAILED]) == ["c-job-1, GPU (ONNX): no GPU"]
    assert remarks_of([COMPLETE]) == []


def test_remarks_have_an_end():
    rows = [{**FAILED, "Remark": f"why {place}", "Warnings": [f"warning {place}"]} for place in range(100)]
    told = remarks_of(rows)
    assert len(told) == MOST_REMARKS + 1 + MOST_WARNINGS + 1
    assert told[MOST_REMARKS] == f"and {100 - MOST_REMARKS} more; `benchfleet results --csv` has them all"
    assert told[-1].startswith(f"and {100 - MOST_WARNINGS} more")


def test_no_figure_of_a_row_is_without_its_unit():
    without = {name for name in COLUMNS if with_unit(name, "1") == "1"}
    words = {
        "Status", "JobId", "FileName", "ComputeUnits", "DeviceName", "Soc", "DeviceOs", "Engine", "EngineVersion",
        "ExecutionProvider", "NodePlacement", "PlacementPolicy", "Transfer", "Precision", "CompileCache", "GpuName",
        "GpuDriver", "GpuThrottleReasons", "OutputsAgree", "OutputReference", "InputShapes", "ModelHash", "CampaignId",
        "WorkerId", "StartedAt", "EndedAt", "Verdict", "VerdictReasons", "Warnings", "Remark",
    }  # fmt: skip
    counts = {"LoadRuns", "WarmupRuns", "InferenceRuns", "Threads", "Attempt"}
    ratios = {"ProviderShare", "OutputMaxAbsDiff", "OutputMaxRelDiff"}
    assert without == words | counts | ratios
    assert with_unit("InferenceMsMedian", "1.5") == "1.5 ms"
    assert with_unit("Ram", "16") == "16 GB"
    assert with_unit("PeakLoadRamUsage", "70") == "70 MB"
