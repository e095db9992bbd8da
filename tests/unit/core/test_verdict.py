"""The rules of trust, each at its threshold."""

from __future__ import annotations

import pytest

from daemons.core.verdict import INVALID, NOISY, STABLE, judge, sample_doubts

STEADY = [10.0, 10.1, 9.9, 10.05, 9.95, 10.0, 10.1, 9.9, 10.05, 9.95]
CALM = {"others_cpu_share": 0.02, "power_source": "mains", "throttle_count": 3.0}


def test_steady_runs_on_a_calm_device_are_stable() -> None:
    assert judge(STEADY, CALM, CALM) == (STABLE, [])


def test_what_is_unknown_counts_neither_way() -> None:
    assert judge(STEADY, {}, {}).word == STABLE


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([10.0, 12.0] * 5, "spread by"),
        ([10.0] * 10 + [11.0] * 10, "10.0% slower than the first"),
        ([11.0] * 10 + [10.0] * 10, "9.1% faster than the first"),
        ([10.0, 10.01] * 8 + [10.2] * 2, "2 of 18 runs lie more than 3"),
        ([10.0] * 5, "5 runs are too few"),
        ([9.6, 9.7, 10.0, 10.0, 10.3, 10.4], "is known to 8.0% only"),
    ],
)
def test_each_doubt_about_the_samples_makes_them_noisy(runs: list[float], reason: str) -> None:
    verdict = judge(runs, CALM, CALM)

    assert verdict.word == NOISY
    assert any(reason in said for said in verdict.reasons), verdict.reasons


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({}, {"throttle_count": 4.0}, "throttled"),
        ({}, {"thermal_state": "serious"}, "throttled"),
        ({}, {"others_cpu_share": 0.25}, "other programs used 25%"),
        ({}, {"power_source": "battery"}, "battery"),
        ({}, {"gpu_throttled": True, "gpu_throttle_reasons": "power brake"}, "GPU's clock was held down: power brake"),
        ({"gpu_utilization": 40.0}, {}, "GPU busy for 40 %"),
    ],
)
def test_each_bad_condition_makes_steady_runs_noisy(
    before: dict[str, float], after: dict[str, float], reason: str
) -> None:
    verdict = judge(STEADY, CALM | before, CALM | after)

    assert verdict.word == NOISY
    assert [reason in said for said in verdict.reasons] == [True]


@pytest.mark.parametrize("runs", [[], [0.0001] * 10])
def test_runs_that_mean_nothing_are_invalid(runs: list[float]) -> None:
    assert judge(runs, CALM, CALM).word == INVALID


def test_more_runs_narrow_the_interval_until_it_is_no_doubt() -> None:
    few, many = [9.6, 9.9, 10.0, 10.0, 10.1, 10.4], [9.6, 9.9, 10.0, 10.0, 10.1, 10.4] * 10

    assert any("is known to" in said for said in sample_doubts(few))
    assert not any("is known to" in said for said in sample_doubts(many))
