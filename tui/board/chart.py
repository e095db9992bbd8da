"""Charts in characters: medians with their intervals, and the shape of a sample. Pure: numbers in, lines out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from daemons.core.stats import percentile
from tui.board.cells import BUSY, DIM, GOOD, Cell, figure, plain
from tui.board.jobs import Figures

LEGEND: Final = "█ up to the interval   ▒ the interval   ┃ the median"
FAR: Final = 6.0
"""Interquartile ranges above the upper quartile at which a value no longer stretches the scale."""


class Group(NamedTuple):
    """The jobs of one device and unit."""

    device: str
    unit: str
    median_ms: float
    low_ms: float | None
    high_ms: float | None
    jobs: int


def groups_of(figures: Iterable[Figures]) -> list[Group]:
    """One group for each device and unit that has a median, the fastest first.

    A group of several jobs has the median of their medians, and the interval from the lowest to the highest end of
    their intervals: it is at least as wide as any of them.
    """
    found: dict[tuple[str, str], list[Figures]] = {}
    for one in figures:
        if one.median_ms is not None:
            found.setdefault((one.device or "", one.unit or ""), []).append(one)
    return sorted((_group(*key, members) for key, members in found.items()), key=lambda group: group.median_ms)


def _group(device: str, unit: str, members: list[Figures]) -> Group:
    medians = [one.median_ms for one in members if one.median_ms is not None]
    lows = [one.low_ms for one in members if one.low_ms is not None]
    highs = [one.high_ms for one in members if one.high_ms is not None]
    is_whole = len(lows) == len(highs) == len(members)
    low, high = (min(lows), max(highs)) if is_whole else (None, None)
    return Group(device, unit, statistics.median(medians), low, high, len(members))


def bar_chart(groups: Sequence[Group], width: int) -> list[list[Cell]]:
    """A line for each group: who, a bar from 0 to the median with the interval in it, and the figures."""
    if not groups:
        return []
    most = max(max(group.median_ms, group.high_ms or 0.0) for group in groups)
    texts = [_figures(group) for group in groups]
    label = min(max(len(_who(group)) for group in groups), max(12, width // 3))
    room = max(8, width - label - max(len(text) for text in texts) - 4)
    return [
        [Cell(_cut(_who(group), label)), Cell(_bar(group, most, room), GOOD), Cell(text)]
        for group, text in zip(groups, texts, strict=True)
    ]


def _who(group: Group) -> str:
    return f"{plain(group.device) or 'no device'} · {plain(group.unit)}"


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def _figures(group: Group) -> str:
    text = f"{figure(group.median_ms)} ms"
    if group.low_ms is not None and group.high_ms is not None:
        text += f" ({figure(group.low_ms)} … {figure(group.high_ms)})"
    return text + (f", {group.jobs} jobs" if group.jobs > 1 else "")


def _bar(group: Group, most: float, room: int) -> str:
    def place(value: float) -> int:
        return min(room - 1, math.floor(value / most * (room - 1))) if most > 0 else 0

    median = place(group.median_ms)
    low = median if group.low_ms is None else place(group.low_ms)
    high = median if group.high_ms is None else place(group.high_ms)
    signs = ["█" if at < low else "▒" if at <= high else " " for at in range(room)]
    signs[median] = "┃"
    return "".join(signs)


def histogram(samples: Sequence[float], width: int, most_bins: int) -> list[list[Cell]]:
    """A line for each bin: its bounds, a bar, how many samples are in it. Empty for fewer than 2 samples."""
    ordered = sorted(samples)
    if len(ordered) < 2:
        return []
    low, high = ordered[0], _end_of_scale(ordered)
    near = [value for value in ordered if value <= high]
    bins = max(1, min(most_bins, round(2 * math.sqrt(len(near))))) if high > low else 1
    counts = [0] * bins
    for value in near:
        counts[min(bins - 1, int((value - low) / (high - low) * bins)) if high > low else 0] += 1
    lines = [_bin(low, high, bins, at, count, max(counts), width) for at, count in enumerate(counts)]
    beyond = len(ordered) - len(near)
    if beyond:
        lines.append([Cell(f"{beyond} more lie above, up to {figure(ordered[-1])} ms", DIM)])
    return lines


def _bin(low: float, high: float, bins: int, at: int, count: int, most: int, width: int) -> list[Cell]:
    step = (high - low) / bins
    label = f"{figure(low + at * step):>9} … {figure(low + (at + 1) * step):>9} ms"
    room = max(4, width - len(label) - 10)
    return [Cell(label), Cell("█" * math.ceil(count / most * room) if count else "", BUSY), Cell(f"{count:,}")]


def _end_of_scale(ordered: Sequence[float]) -> float:
    """The largest value that is not far out."""
    upper, lower = percentile(ordered, 75), percentile(ordered, 25)
    fence = upper + FAR * (upper - lower)
    near = [value for value in ordered if value <= fence]
    return near[-1] if near[-1] > ordered[0] else ordered[-1]
