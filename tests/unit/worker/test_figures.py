"""From what was taken to a row: every figure under its column's name, nothing made up, doubts said aloud."""

from __future__ import annotations

import msgspec
import pytest

from daemons.core.results import Measurement, Samples
from daemons.worker.bench.figures import figures, sample_warnings, samples
from daemons.worker.bench.measure import Taken
from daemons.worker.engines.base import Facts

MS = 1_000_000
MB = 2**20


def taken(runs=(10,) * 10, loads=(50, 20, 22, 21, 23), **more):
    given = {
        "loads": [ms * MS for ms in loads],
        "warmups": [12 * MS, 11 * MS],
        "runs": [round(ms * MS) for ms in runs],
        "first_run": 30 * MS,
        "baseline": 40 * MB,
        "load_peak": 90 * MB,
        "inference_peak": 100 * MB,
        "peaks_are_per_phase": True,
        "cpu_s": 1.5,
        "wall_s": 1.0,
        "facts": Facts(("A", "B"), (("A", 3), ("B", 1)), 4),
        "shapes": "x: 1x3 float32",
    }
    return Taken(**(given | more))


def test_first_and_later_loads_are_apart_and_together():
    columns = figures(taken())
    assert columns["LoadMsFirst"] == 50
    assert columns["LoadMsWarmMedian"] == 21.5
    assert columns["LoadMsMedian"] == 22
    assert (columns["LoadMsMin"], columns["LoadMsMax"], columns["LoadRuns"]) == (20, 50, 5)


def test_a_single_load_has_no_later_ones_and_no_deviation():
    columns = figures(taken(loads=(50,)))
    assert columns["LoadMsMedian"] == columns["LoadMsFirst"] == 50
    assert "LoadMsWarmMedian" not in columns
    assert "LoadMsStdDev" not in columns


def test_runs_are_in_milliseconds():
    columns = figures(taken(runs=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)))
    assert columns["InferenceMsMedian"] == columns["InferenceMsAverage"] == 5.5
    assert columns["InferenceMsStdDev"] == pytest.approx(3.0277, abs=1e-4)
    assert columns["InferenceMsP90"] == pytest.approx(9.1)
    assert (columns["InferenceMsMin"], columns["InferenceMsMax"]) == (1, 10)
    assert (columns["InferenceMsMedianLow"], columns["InferenceMsMedianHigh"]) == (2, 9)
    assert columns["InferencesPerSecond"] == pytest.approx(1000 / 5.5)
    assert columns["InferenceMsFirst"] == 30
    assert (columns["InferenceRuns"], columns["WarmupRuns"]) == (10, 2)


@pytest.mark.parametrize(
    ("count", "absent"),
    [
        (1, {"StdDev", "P90", "P95", "P99", "MedianLow", "MedianHigh"}),
        (9, {"P90", "P95", "P99"}),
        (10, {"P95", "P99"}),
        (20, {"P99"}),
        (100, set()),
    ],
)
def test_a_figure_that_too_few_runs_support_is_left_out(count, absent):
    columns = figures(taken(runs=(10,) * count))
    names = {"StdDev", "P90", "P95", "P99", "MedianLow", "MedianHigh"}
    assert {name for name in names if f"InferenceMs{name}" not in columns} == absent


def test_memory_is_in_mb_of_two_to_the_twenty():
    columns = figures(taken())
    assert columns["BaselineRamUsage"] == 40
    assert columns["PeakLoadRamUsage"] == 90
    assert columns["PeakInferenceRamUsage"] == 100


def test_what_is_not_known_is_left_out():
    facts = Facts(("A", "B"), threads=1)
    columns = figures(taken(baseline=None, load_peak=None, inference_peak=None, first_run=None, facts=facts, wall_s=0))
    for name in ("BaselineRamUsage", "PeakLoadRamUsage", "PeakInferenceRamUsage", "InferenceMsFirst"):
        assert name not in columns
    assert "ProviderShare" not in columns
    assert "CpuUsage" not in columns
    assert None not in columns.values()


def test_what_really_ran_is_told():
    columns = figures(taken())
    assert columns["ExecutionProvider"] == "A, B"
    assert (columns["ProviderShare"], columns["Threads"], columns["CpuUsage"]) == (0.75, 4, 1.5)
    assert columns["InputShapes"] == "x: 1x3 float32"


def test_every_figure_is_a_column():
    columns = figures(taken(runs=(10,) * 100))
    assert set(columns) <= set(Measurement.__struct_encode_fields__)
    assert msgspec.to_builtins(msgspec.convert(columns, Measurement)) == columns


def test_shapes_fit_their_column():
    columns = figures(taken(shapes="x" * 10_000))
    msgspec.convert(columns, Measurement)


def test_all_samples_are_kept_in_the_order_of_measuring():
    kept = samples(taken(runs=(3, 1, 2)))
    assert kept == {"LoadMs": [50, 20, 22, 21, 23], "InferenceMs": [3, 1, 2]}


def test_too_many_samples_are_thinned_but_the_figures_are_over_all():
    runs = [*range(1, 12_001), 1_000_000]
    kept = msgspec.convert(samples(taken(runs=runs)), Samples).inference_ms
    assert len(kept) == 10_000
    assert (kept[0], kept[-1]) == (1, 1_000_000)
    assert figures(taken(runs=runs))["InferenceMsMedian"] == 6001


def test_steady_samples_need_no_warning():
    assert sample_warnings(taken()) == []


def test_a_wide_spread_is_told():
    said = sample_warnings(taken(runs=(10, 12) * 10))
    assert said == ["the runs spread by 9.3% of their average"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ((100,) * 10 + (107,) * 10, "the second half of the runs was 7.0% slower"),
        ((100,) * 10 + (93,) * 10, "the second half of the runs was 7.0% faster"),
    ],
)
def test_a_drift_is_told_with_its_direction(runs, said):
    assert said in sample_warnings(taken(runs=runs))


def test_outliers_are_counted_aloud():
    said = sample_warnings(taken(runs=[*(99, 100, 101) * 6, 110, 90]))
    assert "2 of 20 runs lie more than 3 median absolute deviations out" in said


def test_peaks_that_are_not_the_phases_are_told():
    (sentence,) = sample_warnings(taken(peaks_are_per_phase=False))
    assert "memory peak" in sentence


def test_the_row_proves_where_the_model_ran():
    facts = Facts(
        ("CUDA", "CPU"), (("CUDA", 118), ("CPU", 2)), transfer="included", precision="TF32", compile_cache="empty"
    )
    columns = figures(taken(facts=facts))
    assert columns["ExecutionProvider"] == "CUDA, CPU"
    assert columns["ProviderShare"] == pytest.approx(118 / 120)
    assert columns["NodePlacement"] == "CUDA 118, CPU 2"
    assert (columns["Transfer"], columns["Precision"], columns["CompileCache"]) == ("included", "TF32", "empty")


def test_a_gpu_has_figures_only_if_the_model_ran_on_it():
    """A machine may hold an NVIDIA GPU beside the one that was used."""
    read = {"GpuName": "NVIDIA L4", "GpuUtilization": 90.0}
    assert figures(taken(gpu=read, facts=Facts(("CUDA",), gpu="nvidia"))).items() >= read.items()
    assert not figures(taken(gpu=read, facts=Facts(("MIGraphX",)))).keys() & read.keys()
