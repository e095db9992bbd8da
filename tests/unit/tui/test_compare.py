"""Two campaigns side by side: what belongs together, and a change that is as sure as it says."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.stats import median_interval, median_of
from tests.support.board_documents import CPU, GPU, record
from tui.compare.change import Change, Median, change_of, hull_of, middle_of
from tui.compare.columns import COLUMNS, interval, note, percent, what, word
from tui.compare.pairing import Pair, Side, compare, measured_of

positive = st.floats(0.001, 1e6)


@st.composite
def medians(draw: Any) -> Median:
    low, value, high = sorted(draw(st.tuples(positive, positive, positive)))
    return Median(value, low, high) if draw(st.booleans()) else Median(value)


sides = st.lists(medians(), min_size=1, max_size=5)


def close(a: float | None, b: float | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9))


@given(sides, sides)
def test_the_other_way_round_everything_is_inverted(base, head):
    there, back = change_of(base, head), change_of(head, base)
    assert there is not None
    assert back is not None
    assert close(there.ratio, 1 / back.ratio)
    assert (there.differs, there.by) == (back.differs, back.by) or close(there.low, 1) or close(there.high, 1)
    if there.low is not None and there.high is not None and back.low is not None and back.high is not None:
        assert close(there.low, 1 / back.high)
        assert close(there.high, 1 / back.low)


@given(sides, sides, positive)
def test_the_unit_of_the_figures_does_not_matter(base, head, factor):
    def scaled(side: list[Median]) -> list[Median]:
        return [Median(*(None if part is None else part * factor for part in one)) for one in side]

    found, other = change_of(base, head), change_of(scaled(base), scaled(head))
    assert found is not None
    assert other is not None
    assert close(found.ratio, other.ratio)
    assert found.by == other.by or min(len(base), len(head)) > 1  # scatter of nothing may round to some


@given(sides, sides)
def test_the_change_lies_in_its_interval(base, head):
    found = change_of(base, head)
    assert found is not None
    assert close(found.ratio, middle_of(head) / middle_of(base))
    if found.low is not None and found.high is not None:
        assert found.low <= found.ratio * (1 + 1e-9)
        assert found.ratio <= found.high * (1 + 1e-9)


@given(sides)
def test_nothing_differs_from_itself(side):
    found = change_of(side, side)
    assert found is not None
    assert found.differs is not True
    assert math.isclose(found.ratio, 1)


@given(medians(), medians())
def test_with_one_job_a_side_the_interval_is_that_of_the_medians(base, head):
    found = change_of([base], [head])
    assert found is not None
    assert found.by == "runs"
    if base.low is None or base.high is None or head.low is None or head.high is None:
        assert (found.low, found.high, found.differs) == (None, None, None)
    else:
        assert (found.low, found.high) == (head.low / base.high, head.high / base.low)


@given(sides, medians())
def test_a_median_of_nothing_has_no_ratio(side, one):
    assert change_of([], side) is change_of(side, []) is None
    assert change_of(side, [*side, Median(0.0, 0.0, one.high)]) is None


def test_processes_that_differ_widely_are_not_told_apart_by_their_narrow_runs():
    """Each process is sure of its own median; the next one has another."""
    base = [Median(10.0, 9.99, 10.01), Median(12.0, 11.99, 12.01)]
    head = [Median(11.5, 11.49, 11.51), Median(13.0, 12.99, 13.01)]
    many, one = change_of(base, head), change_of(base[:1], head[:1])
    assert many is not None
    assert one is not None
    assert (many.by, many.differs) == ("jobs", False)
    assert (one.by, one.differs) == ("runs", True)


def test_equal_medians_of_several_jobs_fall_back_on_their_runs():
    side = [Median(10.0, 9.0, 11.0), Median(10.0, 9.5, 10.5)]
    assert change_of(side, side) == Change(1.0, 9.0 / 11.0, 11.0 / 9.0, "runs")


@pytest.mark.parametrize(("base", "head"), [(2, 2), (3, 5), (10, 4)])
def test_the_interval_over_jobs_holds_the_truth_as_often_as_it_says(base, head):
    """95 % of 1,500, less what chance does once in a thousand seeds; Welch is a little off with the fewest."""
    generator = random.Random(7)

    def job(median: float, spread: float) -> Median:
        return Median(median * math.exp(generator.gauss(0, spread)))

    hits = 0
    for _ in range(1500):
        found = change_of([job(10.0, 0.05) for _ in range(base)], [job(12.5, 0.02) for _ in range(head)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1.25 <= found.high
    assert hits >= 1500 * 0.93


def test_the_interval_over_runs_holds_the_truth_as_often_as_it_says():
    """Skewed runs of one process each: 95 % and more of 600."""
    generator = random.Random(11)

    def job(median: float) -> Median:
        ordered = sorted(median * math.exp(abs(generator.gauss(0, 0.3))) for _ in range(15))
        return Median(median_of(ordered), *median_interval(ordered))

    hits = 0
    for _ in range(600):
        found = change_of([job(10.0)], [job(8.0)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.8 <= found.high
    assert hits >= 600 * 0.95


def jobs_and_records(*rows: tuple[str, str, dict[str, Any], float | None], campaign: int = 1) -> Any:
    """A campaign of (device, unit, options, median)."""
    jobs = [
        {"job_id": f"campaign-{campaign}-job-{place}", "options": {"compute_unit": unit, "worker_id": device} | options}
        for place, (device, unit, options, _) in enumerate(rows)
    ]
    records = [
        record(place, campaign, median, WorkerId=device, DeviceName=device.upper(), ComputeUnits=unit)
        for place, (device, unit, _, median) in enumerate(rows)
    ]
    return measured_of(f"https://example.org/net{campaign}.onnx", jobs, records)


def words(found: Any) -> dict[tuple[str, str], str]:
    return {(pair.device, what(pair)): pair.word for pair in found.pairs.values()}


def test_rows_of_the_same_device_and_unit_belong_together_and_the_others_are_listed_as_such():
    base = jobs_and_records(("a", CPU, {}, 10.0), ("a", GPU, {}, 5.0), ("b", CPU, {}, 10.0), ("c", CPU, {}, 1.0))
    head = jobs_and_records(("a", CPU, {}, 20.0), ("b", CPU, {}, 10.1), ("d", CPU, {}, 1.0), ("c", CPU, {}, 0.5))
    assert words(compare(base, head)) == {
        ("A", CPU): "slower",
        ("A", GPU): "only base",
        ("B", CPU): "noise",
        ("C", CPU): "faster",
        ("D", CPU): "only head",
    }
    assert compare(base, head).counts() == {"slower": 1, "only base": 1, "noise": 1, "faster": 1, "only head": 1}


def test_options_that_vary_keep_rows_apart_and_those_that_do_not_are_told_once():
    base = jobs_and_records(("a", CPU, {"threads": 1}, 10.0), ("a", CPU, {"threads": 2}, 6.0))
    head = jobs_and_records(
        ("a", CPU, {"threads": 2, "precision": "reduced"}, 6.0),
        ("a", CPU, {"threads": 4, "precision": "reduced"}, 3.0),
        campaign=2,
    )
    found = compare(base, head)
    assert words(found) == {
        ("A", f"threads 1 · {CPU}"): "only base",
        ("A", f"threads 2 · {CPU}"): "noise",
        ("A", f"threads 4 · {CPU}"): "only head",
    }
    assert found.differences == (("model", "net1.onnx", "net2.onnx"), ("precision", "default", "reduced"))


def test_where_and_when_a_job_ran_does_not_keep_it_apart():
    base = jobs_and_records(("a", CPU, {"priority": 3, "tags": ["x"], "timeout_seconds": 5.0}, 10.0))
    assert words(compare(base, jobs_and_records(("a", CPU, {}, 10.0)))) == {("A", CPU): "noise"}


def test_what_differs_in_the_conditions_is_told():
    (base,), (head,) = (jobs_and_records(("a", CPU, {}, 10.0)) for _ in range(2))
    base = base._replace(record={**base.record, "EngineVersion": "1.20", "ModelHash": "a" * 64, "DeviceOs": "Linux"})
    head = head._replace(record={**head.record, "EngineVersion": "1.21", "ModelHash": "b" * 64, "DeviceOs": "Linux"})
    told = (("model's bytes", "a" * 12, "b" * 12), ("engine version", "1.20", "1.21"))
    assert compare([base], [head]).differences == told


@pytest.mark.parametrize(
    ("change", "said", "noted"),
    [
        ({"Verdict": "noisy"}, "slower", "head noisy"),
        ({"Verdict": "invalid"}, "unclear", "head invalid"),
        ({"InferenceMsMedianLow": None, "InferenceMsMedianHigh": None}, "unclear", ""),
        (
            {"InferenceMsMedian": None, "Status": "Failed", "Remark": "out of memory"},
            "unclear",
            "head failed: out of memory",
        ),
    ],
)
def test_doubts_are_said_and_figures_that_mean_nothing_are_not_compared(change, said, noted):
    base, (head,) = jobs_and_records(("a", CPU, {}, 10.0)), jobs_and_records(("a", CPU, {}, 20.0))
    (pair,) = compare(base, [head._replace(record={**head.record, **change})]).pairs.values()
    assert (pair.word, note(pair)) == (said, noted)


rows = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", "c")),
        st.sampled_from((CPU, GPU)),
        st.dictionaries(st.sampled_from(("threads", "batch_size")), st.integers(1, 2)),
        st.one_of(st.none(), st.floats(0.01, 1000)),
    ),
    max_size=8,
)


@given(rows, rows)
def test_every_row_is_in_exactly_one_pair_and_every_cell_can_be_drawn(before, after):
    base, head = jobs_and_records(*before), jobs_and_records(*after, campaign=2)
    found = compare(base, head)
    assert sorted(one.job_id for pair in found.pairs.values() for one in pair.base.jobs) == [one.job_id for one in base]
    assert sorted(one.job_id for pair in found.pairs.values() for one in pair.head.jobs) == [one.job_id for one in head]
    assert sum(found.counts().values()) == len(found.pairs)
    for pair in found.pairs.values():
        assert all(isinstance(column.cell(pair, None).text, str) for column in COLUMNS)
        assert word(pair).text.endswith(pair.word)
    back = compare(head, base)
    turned = {"slower": "faster", "faster": "slower", "only base": "only head", "only head": "only base"}
    assert {key: turned.get(pair.word, pair.word) for key, pair in found.pairs.items()} == {
        key: pair.word for key, pair in back.pairs.items()
    }


@given(sides)
def test_a_side_stands_for_all_of_its_jobs(side):
    low, high = hull_of(side)
    assert (low is None) == any(one.low is None for one in side)
    if low is None:
        return
    assert high is not None
    assert low <= middle_of(side) * (1 + 1e-9)
    assert middle_of(side) <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.25, "+25.0 %"), (0.5, "\N{MINUS SIGN}50.0 %"), (1.0, "0.0 %"), (1.0004, "0.0 %"), (0.9996, "0.0 %")],
)
def test_a_change_has_its_sign_and_its_unit(ratio, text):
    assert percent(ratio) == text


def test_an_interval_has_one_unit_for_both_ends():
    assert interval(Change(1.1, 1.05, 1.15, "runs")) == "+5.0 … +15.0 %"
    assert interval(Change(1.1, None, None, "runs")) == interval(None) == ""


def test_a_row_without_a_job_is_not_compared():
    assert measured_of("https://example.org/x.onnx", [], [record(1)]) == []
    assert Pair("k", "", CPU, {}, Side(()), Side(())).change is None
