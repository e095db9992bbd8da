"""The table of a comparison. Every figure stands under its unit."""

from __future__ import annotations

from typing import Any, Final

from tui.board.cells import BAD, DIM, GOOD, WARN, Cell, figure, plain
from tui.board.columns import Column, Scene, Sortable, by_number, by_text
from tui.compare.change import Change
from tui.compare.pairing import Pair, Side

WORDS: Final = {
    "faster": ("▼ faster", GOOD),
    "slower": ("▲ slower", BAD),
    "noise": ("≈ noise", DIM),
    "unclear": ("? unclear", WARN),
    "only base": ("- only base", WARN),
    "only head": ("+ only head", WARN),
}
LEGEND: Final = "▼ ▲ the interval of the change (95 %) leaves out 0 %   ≈ it doesn't"


def percent(ratio: float) -> str:
    """A ratio as a change in per cent, with its sign: 1.25 is +25.0 %; what would be shown as 0 has none."""
    text = f"{(ratio - 1) * 100:+.1f}"
    return "0.0 %" if text in ("+0.0", "-0.0") else f"{text.replace('-', '−')} %"  # noqa: RUF001


def is_of_runs(pair: Pair) -> bool:
    """Whether its interval is one over the runs of two processes."""
    found = pair.change
    return found is not None and found.low is not None and found.by == "runs"


def change(pair: Pair) -> str:
    """The change of the median; empty where there is none."""
    found = pair.change
    return percent(found.ratio) if found else ""


def interval(found: Change | None) -> str:
    """The interval of a change."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"{percent(found.low).removesuffix(' %')} … {percent(found.high)}"


def word(pair: Pair) -> Cell:
    """What has become of it, by a glyph, a word and a tone."""
    return Cell(*WORDS[pair.word])


def what(pair: Pair) -> str:
    """The options in which a campaign varies, and the unit."""
    options = (f"{name.replace('_', ' ')} {value}" for name, value in pair.settings.items())
    return plain(" · ".join((*options, pair.unit)))


def note(pair: Pair) -> str:
    """What is to be said against the figures."""
    doubts = [
        f"{name} {side.doubt}" for name, side in (("base", pair.base), ("head", pair.head)) if side.jobs and side.doubt
    ]
    counts = f"{len(pair.base.medians)} and {len(pair.head.medians)} jobs"
    found = pair.change
    if found is not None and max(len(pair.base.medians), len(pair.head.medians)) > 1:
        doubts.append(counts)
    return plain("; ".join(doubts))


def _ms(side: str) -> Any:
    return lambda pair, _: Cell(figure(_side(pair, side).median_ms))


def _by_ms(side: str) -> Any:
    return lambda pair, _: by_number(_side(pair, side).median_ms)


def _interval_ms(side: str) -> Any:
    def cell(pair: Pair, _scene: Scene) -> Cell:
        low, high = _side(pair, side).interval_ms
        return Cell("" if low is None or high is None else f"{figure(low)} … {figure(high)}")

    return cell


def _side(pair: Pair, name: str) -> Side:
    found: Side = getattr(pair, name)
    return found


def _both(column: str) -> Any:
    def cell(pair: Pair, _scene: Scene) -> Cell:
        before, after = pair.base.figure(column), pair.head.figure(column)
        return Cell(f"{figure(before)} → {figure(after)}" if before is not None or after is not None else "")

    return cell


def _by_change(pair: Pair, _scene: Scene) -> Sortable:
    found = pair.change
    return by_number(found.ratio if found else None)


COLUMNS: Final[tuple[Column[Pair], ...]] = (
    Column("device", 10, lambda one, _: Cell(plain(one.device)), lambda one, _: by_text(one.device), 0, 2),
    Column("unit", 10, lambda one, _: Cell(what(one)), lambda one, _: by_text(what(one)), 1, 3),
    Column("base", 7, _ms("base"), _by_ms("base"), 5, is_right=True, heading="base ms"),
    Column("head", 7, _ms("head"), _by_ms("head"), 4, is_right=True, heading="head ms"),
    Column("change", 8, lambda one, _: Cell(change(one)), _by_change, 2, is_right=True),
    Column("interval", 16, lambda one, _: Cell(interval(one.change)), None, 6, is_right=True, heading="its interval"),
    Column("outcome", 11, lambda one, _: word(one), lambda one, _: by_text(one.word), 3),
    Column("base95", 17, _interval_ms("base"), None, 9, is_right=True, heading="base 95 %, ms"),
    Column("head95", 17, _interval_ms("head"), None, 10, is_right=True, heading="head 95 %, ms"),
    Column("note", 16, lambda one, _: Cell(note(one), WARN), lambda one, _: by_text(note(one)), 8, 3),
    Column("load", 17, _both("LoadMsMedian"), None, 11, is_right=True, heading="load ms"),
    Column("peak", 17, _both("PeakInferenceRamUsage"), None, 12, is_right=True, heading="peak MB"),
)
