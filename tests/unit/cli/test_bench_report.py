"""What `benchfleet bench` tells people and programs of results that are given."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from daemons.cli.bench_compare import compare_all, digits_for
from daemons.cli.bench_details import items_per_second, took_batch
from daemons.cli.bench_plan import Case, Plan, subjects_of
from daemons.cli.bench_report import document, print_report
from daemons.cli.bench_run import Result
from daemons.core.models import BenchRequest

TEMPLATE = BenchRequest(model_path="", file_name="", compute_unit="")
UNIT, OTHER = "CPU (ONNX)", "CPU (OpenVINO)"
A, B, C = "a.onnx", "b.onnx", "c.onnx"


def plan(*models, batches=(None,), rounds=1, units=(UNIT,), versions=(None,)):
    return Plan(*subjects_of(tuple(map(Path, models)), units, versions), batches, rounds, {}, TEMPLATE)


def result(inference=2.0, *, subject=0, batch=None, round_=0, samples=(), **more):
    """A measurement that went well."""
    row = {
        "Status": "Complete",
        "FileName": (A, B, C)[subject],
        "ComputeUnits": "CPU (ONNX)",
        "DeviceName": "dev",
        "Soc": "Chip",
        "Ram": "8",
        "DeviceOs": "Linux",
        "LoadMsMedian": 10 * inference,
        "LoadRuns": 5,
        "InferenceMsMedian": inference,
        "InferenceMsMin": inference / 2,
        "InferenceMsMax": inference * 2,
        "InferenceRuns": 10,
        "WarmupRuns": 3,
        "InferencesPerSecond": 1000 / inference,
        "PeakInferenceRamUsage": 64.0,
        "InputShapes": f"x: {batch or 1}x3x8x8 float32",
    }
    return Result(Case(subject, batch, round_), row | more, {"Samples": {"InferenceMs": list(samples)}})


def failed(remark, *, subject=0, batch=None, round_=0):
    row = {**result(subject=subject).row, "Status": "Failed", "Remark": remark}
    kept = {name: row[name] for name in ("Status", "FileName", "ComputeUnits", "DeviceName", "Soc", "Ram", "DeviceOs")}
    return Result(Case(subject, batch, round_), {**kept, "Remark": remark}, {})


def rounds(*pairs, subject=1):
    """Both subjects in each round."""
    return [
        one
        for round_, (base, head) in enumerate(pairs)
        for one in (result(base, round_=round_), result(head, subject=subject, round_=round_))
    ]


def printed(one, results, *, terminal=False):
    console = Console(file=io.StringIO(), width=80 if terminal else 200, force_terminal=terminal, color_system=None)
    print_report(console, one, results)
    return console.file.getvalue()


# One measurement


def test_the_verdict_stands_with_its_reasons():
    said = printed(plan(A), [result(Verdict="noisy", VerdictReasons=["spread of 9 %", "load of 3.1"])])
    assert "  verdict: noisy\n    because spread of 9 %\n    because load of 3.1\n" in said


def test_a_warning_that_is_a_reason_too_is_told_once():
    reasons, warnings = ["the runs spread by 9 % (over 5 %)"], ["the runs spread by 9 %", "the load average was 1.2"]
    said = printed(plan(A), [result(Verdict="noisy", VerdictReasons=reasons, Warnings=warnings)])
    assert said.count("spread by") == 1
    assert "note the load average was 1.2" in said


def test_without_a_verdict_none_is_named():
    assert "verdict" not in printed(plan(A), [result()])


def test_percentiles_are_told_as_far_as_they_are_known():
    said = printed(plan(A), [result(InferenceMsP90=3.0, InferenceMsP95=3.5)])
    assert "p90 3.000, p95 3.500 ms; 1.000 to 4.000 ms in all" in said
    assert "p99" not in said
    assert "p90" not in printed(plan(A), [result()])


def test_a_terminal_gets_a_histogram_and_a_pipe_does_not():
    one = result(samples=[1.0, 1.1, 1.1, 1.2, 1.9, 1.1, 1.1])
    assert "█" in printed(plan(A), [one], terminal=True)
    assert "█" not in printed(plan(A), [one])


def test_the_report_fits_80_columns_and_24_lines():
    one = result(
        samples=[1 + place % 7 / 10 for place in range(300)],
        InferenceMsP90=3.0,
        InferenceMsP95=3.5,
        InferenceMsP99=3.7,
        Verdict="stable",
        Warnings=["the load average was 1.2 on 2 cores"],
        InferenceMsMedianLow=1.9,
        InferenceMsMedianHigh=2.1,
    )
    lines = printed(plan(A), [one], terminal=True).splitlines()
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 80


def test_a_batch_size_is_told_as_throughput():
    said = printed(plan(A, batches=(4,)), [result(batch=4)])
    assert "500.0 per second, 2,000 items per second in batches of 4" in said


def test_text_from_a_model_is_not_obeyed_as_markup():
    assert "[red]x" in printed(plan(A), [failed("[red]x")])


def test_where_the_model_ran_and_in_which_precision_is_told():
    row = {"ExecutionProvider": "CUDAExecutionProvider, CPUExecutionProvider", "ProviderShare": 0.9996}
    row |= {"NodePlacement": "CUDAExecutionProvider 2500, CPUExecutionProvider 1", "Precision": "tf32"}
    said = printed(plan(A), [result(**row)])
    assert "placement: 100.0% of the nodes on CUDAExecutionProvider (CUDAExecutionProvider 2500, CPU" in said
    assert "; precision: tf32" in said
    said = printed(plan(A), [result(ExecutionProvider="CPUExecutionProvider", ProviderShare=1.0)])
    assert "placement: 100% of the nodes on CPUExecutionProvider\n" in said
    assert "placement" not in printed(plan(A), [result()])


def test_whether_runs_include_the_transfer_is_told():
    assert "transfer to and from the unit's own memory: part of every run" in printed(
        plan(A), [result(Transfer="included")]
    )
    assert "left out of the runs" in printed(plan(A), [result(Transfer="excluded")])
    assert "transfer" not in printed(plan(A), [result()])


def test_what_is_known_of_the_gpu_is_told():
    gpu = {"GpuName": "Big One", "GpuDriver": "550.1", "GpuMemoryTotal": 81559.0, "GpuMemoryAfterLoad": 1234.0}
    gpu |= {"GpuMemoryAfterInference": 1300.0, "GpuClockMhz": 1980.0, "GpuUtilization": 45.0}
    said = printed(plan(A), [result(**gpu, GpuThrottleReasons="none")])
    assert "gpu: Big One, driver 550.1" in said
    assert "gpu: 1,234 MB in use after loading, 1,300 after the runs, of 81,559" in said
    assert "gpu: 45.00 % busy at 1,980 MHz, throttled: none" in said
    assert "gpu" not in printed(plan(A), [result()])


def test_how_far_the_outputs_are_off_is_told():
    checked = {"OutputReference": "ONNX Runtime 1.32.0, CPU", "OutputMaxAbsDiff": 1.234e-6, "OutputMaxRelDiff": 3e-4}
    said = printed(plan(A), [result(**checked, OutputPsnr=132.14)])
    assert "outputs: compared with ONNX Runtime 1.32.0, CPU\n" in said
    assert "outputs: at most 1.2e-06 off, 0.0003 of the value, PSNR 132.1 dB" in said
    assert "outputs: identical" in printed(plan(A), [result(**checked | {"OutputMaxAbsDiff": 0.0})])
    assert "outputs" not in printed(plan(A), [result()])


# A sweep


def test_a_sweep_has_a_line_for_each_batch_size_with_its_gain():
    said = printed(plan(A, batches=(1, 4)), [result(2.0, batch=1), result(4.0, batch=4)])
    lines = [line.split() for line in said.splitlines() if line.startswith(A)]
    assert lines == [[A, "1", "2.000", "500.0", "1.00x", "64.0"], [A, "4", "4.000", "1,000", "2.00x", "64.0"]]


def test_a_sweep_that_was_interrupted_shows_what_there_is():
    said = printed(plan(A, batches=(1, 4, 16)), [result(batch=1)])
    assert [line.split()[1] for line in said.splitlines() if line.startswith(A)] == ["1"]


def test_a_failed_size_does_not_hide_the_others():
    results = [failed("too big", batch=1), result(2.0, batch=4), result(4.0, batch=8)]
    said = printed(plan(A, batches=(1, 4, 8)), results)
    lines = [line.split() for line in said.splitlines() if line.startswith(A)]
    assert lines[0] == [A, "1", "Failed"]
    assert [line[4] for line in lines[1:]] == ["1.00x", "1.00x"]
    assert "note a.onnx at batch size 1 on CPU (ONNX): too big" in said


def test_a_batch_size_that_the_model_did_not_take_makes_no_throughput():
    one = result(batch=4, InputShapes="x: 1x3x4x4 float32; y: 1 int64")
    assert not took_batch(one)
    assert items_per_second(one) is None
    assert "did not take the batch size 4; its inputs are x: 1x3x4x4" in printed(plan(A, batches=(1, 4)), [one])


@pytest.mark.parametrize("shapes", ["x: 4 int64", "y: scalar float32; x: 4x3 float16", "x: a sequence of one 4x1 int8"])
def test_a_batch_size_is_looked_for_at_the_head_of_each_input(shapes):
    assert took_batch(result(batch=4, InputShapes=shapes))


# A comparison


def test_a_difference_is_a_sentence_with_its_interval():
    said = printed(plan(A, B, rounds=4), rounds((2.0, 2.45), (2.0, 2.46), (2.0, 2.47), (2.0, 2.46)))
    assert "b.onnx takes 1.23x the time of a.onnx (95 % sure between 1.22 and 1.24)" in said
    assert "load time 1.23x (1.22 to 1.24), peak memory 1.00x (1.00 to 1.00)" in said


def test_no_difference_is_said_to_be_none():
    said = printed(plan(A, A, rounds=4), rounds((2.0, 2.1), (2.1, 2.0), (2.0, 2.05), (2.06, 2.0)))
    assert "no difference in inference time can be shown between a.onnx #2 and a.onnx (95 % sure" in said


def test_each_model_is_compared_with_the_first():
    results = rounds((1.0, 2.0), (1.0, 2.1)) + [result(3.0 + at / 10, subject=2, round_=at) for at in (0, 1)]
    found = compare_all(plan(A, B, C, rounds=2), results)
    inference = [(one.base, one.head) for one in found if one.metric == "InferenceMsMedian"]
    assert inference == [(A, B), (A, C)]


def test_only_rounds_with_both_models_count():
    results = [*rounds((1.0, 2.0), (1.0, 2.0)), result(9.0, round_=2)]
    found = compare_all(plan(A, B, rounds=3), results)
    assert found[0].comparison.ratios == pytest.approx((2.0, 2.0))


def test_batch_sizes_are_compared_apart():
    results = [
        result(base, subject=model, batch=batch, round_=round_)
        for batch, ratio in ((1, 2.0), (4, 3.0))
        for round_ in (0, 1)
        for model, base in ((0, 1.0), (1, ratio + round_ / 1000))
    ]
    one = plan(A, B, batches=(1, 4), rounds=2)
    ratios = [versus.comparison.ratio for versus in compare_all(one, results) if versus.metric == "InferenceMsMedian"]
    assert ratios == pytest.approx([2.0, 3.0], rel=1e-3)
    said = printed(one, results)
    assert said.index("at batch size 1:") < said.index("takes 2.00") < said.index("at batch size 4:")


def test_a_failed_model_does_not_hide_the_others():
    results = [*rounds((1.0, 2.0), (1.0, 2.02)), failed("not a model", subject=2)]
    said = printed(plan(A, B, C, rounds=2), results)
    assert "b.onnx" in said
    assert "c.onnx can't be compared with a.onnx: no round has figures of both" in said
    assert "not a model" in said


def test_what_disturbed_many_measurements_is_said_once():
    results = [
        result(round_=round_, subject=model, Warnings=[f"the runs spread by {round_ + 5}.1%"])
        for round_ in (0, 1, 2)
        for model in (0, 1)
    ]
    said = printed(plan(A, B, rounds=3), results)
    assert "note 6 of 6 measurements: the runs spread by 5.1%" in said
    assert said.count("spread by") == 1


def test_measurements_that_are_not_stable_are_counted_with_the_reason():
    noisy = {"Verdict": "noisy", "VerdictReasons": ["the runs spread by 9 %"]}
    stable = {"Verdict": "stable", "VerdictReasons": []}
    results = [result(round_=at, subject=at % 2, **(noisy if at < 3 else stable)) for at in range(4)]
    assert "note 3 of 4 measurements: noisy: the runs spread by 9 %" in printed(plan(A, B, rounds=4), results)


def test_what_is_true_of_one_subject_alone_names_it():
    results = rounds((2.0, 1.0), (2.0, 1.01))
    for one in results:
        one.row["Warnings"] = ["the output y differs"] if one.case.subject else []
    said = printed(plan(A, units=(UNIT, OTHER), rounds=2), results)
    assert "note 2 of 2 measurements of CPU (OpenVINO): the output y differs" in said


@pytest.mark.parametrize(
    ("low", "high", "digits"),
    [
        (1.20, 1.27, 2),
        (1.001, 1.004, 3),
        (0.9998, 0.9999, 4),
        (0.0012, 0.0034, 4),
        (1.0, 1.0, 2),
        (12.0, 15.0, 2),
        (0.0, 1e9, 6),
    ],
)
def test_as_many_decimals_as_it_takes(low, high, digits):
    assert digits_for(low, high) == digits


def of_versions(**more):
    """Two versions of an engine, two rounds."""
    figures = [(0, 2.0, "1.20.1"), (1, 1.8, "1.22.1")]
    return [
        result(value + round_ / 1000, subject=subject, round_=round_, Engine="ONNX Runtime", EngineVersion=version)
        for round_ in (0, 1)
        for subject, value, version in figures
    ]


VERSIONS = ("onnxruntime==1.20.*", "onnxruntime==1.22.*")


def test_versions_are_told_apart_and_what_really_ran_is_named():
    said = printed(plan(A, versions=VERSIONS, rounds=2), of_versions())
    lines = said.splitlines()
    assert lines[1] == "a.onnx on CPU (ONNX)"
    assert lines[2].split()[:3] == ["version", "load", "(ms)"]
    assert lines[3].startswith("onnxruntime==1.20.*  20.0")
    assert "onnxruntime==1.20.*: ran by ONNX Runtime 1.20.1 on None" in said
    assert "onnxruntime==1.22.* takes 0.9000x the time of onnxruntime==1.20.*" in said


def test_a_comparison_of_versions_fits_80_columns():
    said = printed(plan(A, versions=VERSIONS, rounds=2), of_versions(), terminal=True)
    assert max(map(len, said.splitlines())) <= 80
    for row in said.splitlines()[3:5]:
        assert row.rstrip().endswith("— / 64.0"), "in one line"


def test_units_are_told_apart_by_their_names():
    results = rounds((2.0, 1.0), (2.0, 1.01))
    said = printed(plan(A, units=(UNIT, OTHER), rounds=2), results)
    assert said.splitlines()[1].strip() == "a.onnx"
    assert "CPU (OpenVINO) takes 0.50" in said
    said = printed(plan(A, units=(UNIT, OTHER), rounds=2), [result(), failed("no such operator", subject=1)])
    assert "note CPU (OpenVINO): no such operator" in said


@pytest.mark.parametrize(
    ("precisions", "is_told"),
    [
        (("float32", "bfloat16"), True),
        (("as written", "bfloat16"), True),
        (("as written", "float32"), False),
        (("bfloat16", "bfloat16"), False),
        (("as written", None), False),
    ],
)
def test_a_comparison_of_two_precisions_is_said_to_be_one(precisions, is_told):
    results = rounds((2.0, 1.0), (2.0, 1.01))
    for one in results:
        one.row["Precision"] = precisions[one.case.subject]
    said = printed(plan(A, units=(UNIT, OTHER), rounds=2), results)
    assert ("two computations" in said) is is_told
    if is_told:
        assert f"CPU (ONNX): {precisions[0]}, CPU (OpenVINO): {precisions[1]}" in said


# For programs


def test_one_measurement_is_an_object_with_the_columns_and_the_samples():
    found = document(plan(A), [result(samples=[1.0, 2.0])])
    assert found["FileName"] == A
    assert found["Samples"] == {"InferenceMs": [1.0, 2.0]}
    assert "Round" not in found


def test_several_measurements_are_a_list():
    found = document(plan(A, batches=(1, 4)), [result(batch=1), result(4.0, batch=4)])
    assert [(row["BatchSize"], row["ItemsPerSecond"]) for row in found] == [(1, 500.0), (4, 1000.0)]


def test_a_comparison_is_an_object_of_results_and_comparisons():
    found = document(plan(A, B, rounds=2), rounds((1.0, 2.0), (1.0, 2.02)))
    assert [row["Round"] for row in found["results"]] == [1, 1, 2, 2]
    assert [row["Subject"] for row in found["results"]] == [A, B, A, B]
    (first, *_) = found["comparisons"]
    assert (first["base"], first["head"], first["metric"]) == (A, B, "InferenceMsMedian")
    assert first["low"] < first["ratio"] < first["high"]
    assert first["ratios"] == pytest.approx([2.0, 2.02])
    assert (first["rounds"], first["confidence"], first["differs"]) == (2, 0.95, True)


def test_nothing_done_is_still_a_document_of_its_kind():
    assert document(plan(A, batches=(1, 2)), []) == []
    assert document(plan(A, B), []) == {"results": [], "comparisons": []}
