"""What is drawn of figures: charts, bars, times, the line above; nothing without its unit, nothing by colour alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.board_documents import CPU, campaign, event, job, record, worker
from tests.support.dashboard import make_desk, populated
from tui.board.board import Board
from tui.board.campaigns import left_s
from tui.board.cells import TONES, bar, figure, plain, sparkline, status_cell
from tui.board.chart import bar_chart, groups_of, histogram
from tui.board.columns import Scene
from tui.board.headline import LinkState, headline, link_cell
from tui.board.jobs import figures_of
from tui.board.journal import sentence_of, severity_of
from tui.board.moments import duration, seconds_of, short_duration
from tui.board.things import campaign_of
from tui.widgets.rowline import aligned


def text_of(line):
    return "  ".join(cell.text for cell in line)


def test_the_chart_has_a_line_for_each_device_and_unit_the_fastest_first():
    figures = [
        figures_of(record(0, 1, 12.0)),
        figures_of(record(1, 1, 14.0)),
        figures_of(record(2, 1, 3.0, DeviceName="m2")),
    ]
    groups = groups_of([*figures, figures_of(record(3, 1, None))])
    assert [(group.device, group.jobs) for group in groups] == [("m2", 1), ("device-1", 2)]
    slow = groups[1]
    assert (slow.median_ms, slow.low_ms, slow.high_ms) == (13.0, 12.0 * 0.98, 14.0 * 1.03)
    lines = [text_of(line) for line in bar_chart(groups, 100)]
    assert "3.000 ms (2.940 … 3.090)" in lines[0]
    assert lines[1].endswith(", 2 jobs")


@given(
    st.lists(st.tuples(st.text(max_size=30), st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1)), max_size=6),
    st.integers(20, 220),
)
def test_a_bar_reaches_as_far_as_its_figure_and_no_further_than_the_line(made, width):
    records = [
        record(
            at, 1, median, DeviceName=name, InferenceMsMedianLow=median * low, InferenceMsMedianHigh=median * (1 + high)
        )
        for at, (name, median, low, high) in enumerate(made)
    ]
    groups = groups_of(map(figures_of, records))
    bars = [line[1].text for line in bar_chart(groups, width)]
    places = [one.index("┃") for one in bars]
    assert places == sorted(places)
    assert len({len(one) for one in bars}) <= 1


def test_a_group_without_intervals_has_a_bar_without_one():
    (line,) = bar_chart(groups_of([figures_of(record(0, 1, 5.0, InferenceMsMedianLow=None))]), 80)
    assert "▒" not in line[1].text
    assert line[2].text == "5.000 ms"


@given(st.lists(st.floats(0.001, 1e4), min_size=2, max_size=300), st.integers(40, 200), st.integers(1, 30))
def test_a_histogram_counts_every_sample_once(samples, width, most_bins):
    lines = histogram(samples, width, most_bins)
    counted = sum(int(line[2].text.replace(",", "")) for line in lines if len(line) == 3)
    beyond = sum(int(line[0].text.split()[0]) for line in lines if len(line) == 1)
    assert counted + beyond == len(samples)


@given(st.floats(0, 200), st.floats(0.1, 100), st.integers(1, 40))
def test_a_bar_has_its_width_whatever_is_done(done, total, width):
    assert len(bar(done, total, width)) == width


def test_bars_and_sparklines():
    assert bar(1, 2, 4) == "██░░"
    assert bar(0, 0, 3) == "░░░"
    assert sparkline([0, 1, 2]) == "▁▅█"
    assert sparkline([0, 0]) == "▁▁"


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (None, "", ""),
        (0.4, "0 s", "0 s"),
        (200, "3 min 20 s", "3 min"),
        (7500, "2 h 5 min", "2 h"),
        (273_600, "3 d 4 h", "3 d"),
    ],
)
def test_durations_are_told_in_their_largest_units(seconds, long, short):
    assert (duration(seconds), short_duration(seconds)) == (long, short)


def test_an_unknown_figure_is_empty_and_never_zero():
    assert figure(None) == ""
    assert figure(0.0) == "0.0000"
    assert figure(1234.5) == "1,234"
    assert seconds_of(None) is None


def test_every_status_is_a_glyph_and_a_word():
    for status in (
        "active",
        "busy",
        "cleanup",
        "faulty",
        "offline",
        "pending",
        "running",
        "complete",
        "failed",
        "cancelled",
    ):
        cell = status_cell(status)
        assert cell.text.endswith(status)
        assert len(cell.text) == len(status) + 2
        assert cell.tone in ("", *TONES)


@given(st.text(max_size=40), st.integers(1, 30), st.booleans())
def test_text_from_outside_is_one_line_of_exactly_its_width(text, size, is_right):
    from rich.cells import cell_len  # noqa: PLC0415

    shown = plain(text)
    assert shown.isprintable()
    assert cell_len(aligned(shown, size, is_right=is_right)) == size


def test_a_campaigns_time_left_is_what_its_own_pace_says():
    scene = Scene(Board(), seconds_of("2026-11-25T12:00:00Z") or 0)
    assert left_s(campaign_of(campaign(1, 1, {"pending": 5, "complete": 5})), scene) == 600
    assert left_s(campaign_of(campaign(1, 1, {"pending": 5})), scene) is None
    assert left_s(campaign_of(campaign(1, 1, {"complete": 5}, status="completed")), scene) is None


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_the_line_above_fits_and_says_the_link_first(width):
    desk = populated()
    parts = headline("lab-server:5000", desk.link_state(), desk.board, desk.now_s, width)
    assert [part.text for part in parts[:2]] == ["lab-server:5000", "● live"]
    assert len("  ".join(part.text for part in parts)) <= width


def test_the_link_is_told_in_words():
    assert link_cell(LinkState(is_live=False)).text == "◌ reconnecting"
    assert link_cell(LinkState(is_live=False, stale_s=12.3, retry_in_s=2.9)).text == "◌ stale 12 s, reconnecting in 2 s"
    assert link_cell(LinkState(is_live=True, is_orchestrator_away=True)).text == "● live, no orchestrator"
    assert link_cell(LinkState(is_live=False, is_replay=True)).text == "▷ replay"


def test_a_device_name_or_host_cannot_draw_on_the_terminal():
    desk = make_desk()
    parts = headline(plain("a\x1b[2Jb\n"), desk.link_state(), desk.board, desk.now_s, 80)
    assert parts[0].text == "a [2Jb "


@pytest.mark.parametrize(
    ("kind", "state", "severity", "said"),
    [
        ("worker", worker(1, status="faulty", faulty_reason="silent"), "error", "device-1 is faulty: silent"),
        ("worker", worker(1), "fine", "device-1 is active"),
        ("worker", worker(1, drained=True), "warning", "device-1 is active, drained"),
        ("job", job(0, status="failed", worker_id="worker-0001"), "error", f"is failed on worker-0001 ({CPU})"),
        ("job", job(0, attempt=1, lost_attempts=1), "warning", "1 attempt lost"),
        ("campaign", campaign(1), "info", "0 of 2 jobs ended"),
        ("campaign", campaign(1, jobs={"pending": 1, "failed": 1}), "fine", "1 failed"),
        ("campaign", campaign(1, jobs={"failed": 2}, status="failed"), "error", "is failed: 2 of 2"),
        ("worker_removed", {"worker_id": "worker-0001"}, "warning", "worker-0001 was removed"),
        ("reset", {}, "warning", "everything was cleared"),
        ("something_new", {}, "info", "something new"),
    ],
)
def test_events_are_sentences_and_have_a_severity(kind, state, severity, said):
    one = event(kind, state, 1)
    assert severity_of(one) == severity
    assert said in sentence_of(one)
