"""What a report on the reference model says of its device."""

from __future__ import annotations

import hashlib
from importlib import resources

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemons.core.health import (
    BUILTIN_MODELS,
    DEVIATIONS,
    ENOUGH,
    SHARE,
    SIGMAS_PER_MAD,
    SPEC,
    UNITS,
    Judgement,
    Past,
    judge,
    unknown_builtin,
    usual,
)
from daemons.core.lifecycle import ReportStatus
from daemons.core.results import JobReport
from daemons.core.units import is_unit_name
from daemons.core.urls import model_file_name
from tests.support.reference_model import build

CPU = "CPU (ONNX)"
MADE_WITH = "E 1, P"
TIMES = st.floats(0.01, 1e4)
HISTORIES = st.lists(TIMES, min_size=ENOUGH, max_size=30)


def report(status=ReportStatus.COMPLETE, **figures):
    right = {"outputs_agree": True, "inference_ms_median": 5.0, "verdict": "stable"}
    made = {"engine": "E", "engine_version": "1", "execution_provider": "P"}
    return JobReport(worker_id="w", attempt=1, status=status, **(right | made | figures))


def history(*times, made_with=MADE_WITH):
    return [Past(ms, made_with) for ms in times]


STEADY = history(4.9, 5.0, 5.0, 5.1, 5.0)


class TestTheModel:
    def test_it_is_what_its_script_builds_byte_for_byte(self):
        (name,) = BUILTIN_MODELS
        shipped = (resources.files("daemons.core") / "reference" / f"{name}.onnx").read_bytes()
        assert shipped == build(), "a changed model is another model: give it another name"
        assert hashlib.sha256(shipped).hexdigest() == BUILTIN_MODELS[name]
        assert len(shipped) < 300_000

    def test_every_unit_that_is_checked_can_be_one(self):
        assert all(map(is_unit_name, UNITS))

    def test_it_is_compared_with_the_reference(self):
        assert SPEC.check_outputs

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("builtin:health-1", "health-1.onnx"),
            ("builtin:../x", "x.onnx"),
            ("builtin:a\\b", "b.onnx"),
        ],
    )
    def test_its_name_is_no_path(self, url, name):
        assert model_file_name(url) == name


class TestWhatIsUsual:
    def test_it_takes_five_figures(self):
        assert usual([5.0] * (ENOUGH - 1)) is None
        assert usual([5.0] * ENOUGH) is not None

    def test_a_steady_device_may_be_off_by_a_tenth(self):
        known = usual([4.9, 5.0, 5.0, 5.1, 5.0])
        assert (known.ms, known.tolerance_ms) == (5.0, 0.5)

    def test_a_noisy_one_by_six_of_its_deviations(self):
        known = usual([4.0, 5.0, 6.0, 4.0, 6.0])
        assert known.tolerance_ms == pytest.approx(6 * 1.4826)

    def test_one_wild_figure_changes_nothing(self):
        assert usual([5.0] * 5 + [500.0]) == usual([5.0] * 6)

    @given(HISTORIES, st.randoms(use_true_random=False))
    def test_the_order_is_of_no_account(self, past, random):
        shuffled = random.sample(past, len(past))
        assert usual(shuffled) == usual(past)

    @given(HISTORIES, st.integers(-8, 8))
    def test_other_units_of_time_would_say_the_same(self, past, power):
        known, scaled = usual(past), usual([one * 2.0**power for one in past])
        assert scaled.ms == pytest.approx(known.ms * 2.0**power)
        assert scaled.tolerance_ms == pytest.approx(known.tolerance_ms * 2.0**power)

    @given(HISTORIES)
    def test_the_tolerance_is_a_tenth_or_more_and_holds_most_of_what_made_it(self, past):
        known = usual(past)
        assert known.tolerance_ms >= SHARE * known.ms
        deviation = known.tolerance_ms / DEVIATIONS / SIGMAS_PER_MAD
        within = [abs(one - known.ms) <= deviation * (1 + 1e-9) for one in past]
        assert sum(within) >= len(past) / 2, "the median deviation is no larger than a sixth of it"


class TestTheTime:
    @pytest.mark.parametrize(("ms", "passed"), [(5.0, True), (5.5, True), (4.5, True), (5.51, False), (4.49, False)])
    def test_beyond_the_tolerance_it_has_drifted_either_way(self, ms, passed):
        assert judge(report(inference_ms_median=ms), CPU, STEADY).passed is passed

    def test_it_says_what_it_took_and_what_is_usual(self):
        judgement = judge(report(inference_ms_median=8.1), CPU, STEADY)
        assert judgement == Judgement(
            passed=False,
            reason="its reference model took 8.1 ms on CPU (ONNX) where it usually takes 5 ± 0.5 ms",
            median_ms=8.1,
            usual_ms=5.0,
        )

    def test_a_noisy_run_says_why_it_is_noisy_and_is_in_doubt(self):
        noisy = report(inference_ms_median=8.1, verdict="noisy", verdict_reasons=["it ran on its battery", "it is hot"])
        judgement = judge(noisy, CPU, STEADY)
        assert judgement.is_in_doubt
        assert judgement.reason.endswith("5 ± 0.5 ms; it ran on its battery; it is hot")

    def test_a_stable_one_is_in_no_doubt(self):
        assert not judge(report(inference_ms_median=8.1), CPU, STEADY).is_in_doubt

    @pytest.mark.parametrize("verdict", ["stable", "noisy", None])
    def test_what_passes_is_kept(self, verdict):
        assert judge(report(verdict=verdict), CPU, STEADY).figure == Past(5.0, MADE_WITH)

    def test_what_means_nothing_passes_and_is_not_kept(self):
        judgement = judge(report(verdict="invalid", inference_ms_median=0.0001), CPU, STEADY)
        assert (judgement.passed, judgement.figure) == (True, None)

    @pytest.mark.parametrize(
        "other",
        [{"engine": "F"}, {"engine_version": "2"}, {"execution_provider": "Q"}],
        ids=["engine", "version", "provider"],
    )
    def test_figures_of_another_engine_or_version_say_nothing_of_this_one(self, other):
        judgement = judge(report(inference_ms_median=8.1, **other), CPU, STEADY)
        assert (judgement.passed, judgement.usual_ms) == (True, None)
        assert judgement.figure.made_with != MADE_WITH

    def test_a_history_of_both_is_judged_by_its_own_part(self):
        mixed = [*STEADY, *history(*[20.0] * 10, made_with="F 1, P")]
        assert judge(report(inference_ms_median=20.0), CPU, mixed).passed is False

    @given(HISTORIES, TIMES)
    @example([5.0] * 5, 5.5)
    def test_it_passes_exactly_within_the_tolerance(self, past, ms):
        known = usual(past)
        judgement = judge(report(inference_ms_median=ms), CPU, history(*past))
        assert judgement.passed is (abs(ms - known.ms) <= known.tolerance_ms)
        assert (judgement.figure is not None) is judgement.passed
        assert (judgement.reason is None) is judgement.passed

    @given(HISTORIES)
    def test_the_usual_itself_always_passes(self, past):
        assert judge(report(inference_ms_median=usual(past).ms), CPU, history(*past)).passed

    @given(st.lists(TIMES, max_size=ENOUGH - 1), TIMES)
    def test_without_enough_history_every_time_passes(self, past, ms):
        assert judge(report(inference_ms_median=ms), CPU, history(*past)).passed


class TestTheOutputs:
    @pytest.mark.parametrize(
        ("figures", "said"),
        [
            ({"outputs_agree": False, "warnings": ["hot", "the output y differs by 3"]}, "the output y differs by 3"),
            ({"warnings": ["the output y holds 10 NaN and 0 infinite of 10 values"]}, "holds 10 NaN"),
            ({"outputs_agree": None, "warnings": ["the outputs were not checked: no"]}, "were not checked: no"),
            ({"outputs_agree": None}, "they were not checked"),
        ],
        ids=["differ", "NaN in both", "not checked", "nothing said"],
    )
    def test_wrong_ones_are_not_passed_however_fast_they_come(self, figures, said):
        judgement = judge(report(**figures), CPU, STEADY)
        assert (judgement.passed, judgement.figure, judgement.is_in_doubt) == (False, None, False)
        assert judgement.reason.startswith("its reference model has wrong outputs on CPU (ONNX): ")
        assert said in judgement.reason

    def test_a_warning_of_something_else_is_no_reason(self):
        assert judge(report(warnings=["the load average was 7 on 2 cores"]), CPU, STEADY).passed

    def test_a_report_without_a_time_is_not_passed(self):
        judgement = judge(report(inference_ms_median=None), CPU, STEADY)
        assert (judgement.passed, judgement.reason) == (False, "its reference model was not timed on CPU (ONNX)")


class TestWhatDidNotEndWell:
    @pytest.mark.parametrize("is_device_failure", [True, False])
    def test_a_failure_is_not_passed_whoever_is_to_blame(self, is_device_failure):
        failed = report(ReportStatus.FAILED, remark="no luck", is_device_failure=is_device_failure)
        judgement = judge(failed, CPU, STEADY)
        assert (judgement.passed, judgement.reason) == (False, "its reference model failed on CPU (ONNX): no luck")

    def test_one_without_a_reason_has_one_all_the_same(self):
        assert "gave no reason" in judge(report(ReportStatus.FAILED), CPU, []).reason

    def test_a_worker_that_does_not_know_the_model_is_told_to_upgrade_and_nothing_else(self):
        remark = unknown_builtin("health-2")
        judgement = judge(report(ReportStatus.FAILED, remark=remark), CPU, STEADY)
        assert (judgement.passed, judgement.reason) == (None, remark)
        assert "upgrade benchfleet on this device" in remark

    def test_a_cancelled_one_says_nothing(self):
        assert judge(report(ReportStatus.CANCELLED), CPU, STEADY).passed is None
