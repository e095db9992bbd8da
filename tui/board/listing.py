"""The rows of a table in their order: filtered, sorted, and kept so change by change instead of anew."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

from tui.board.columns import Column, Scene, Sortable
from tui.board.filters import Filter, parse_filter

T = TypeVar("T")

Place = tuple[Sortable, str]
SLICE: Final = 1000
"""So many rows are looked at before others get their turn."""


class Listing(Generic[T]):
    """Which rows there are and in what order. `items` is looked into, never copied."""

    def __init__(
        self,
        items: Mapping[str, T],
        columns: Sequence[Column[T]],
        scene: Callable[[], Scene],
        *,
        keys: Callable[[], Iterable[str]] | None = None,
        takes: Callable[[T], bool] | None = None,
        sort: str | None = None,
        is_descending: bool = False,
    ) -> None:
        """`keys` are those of `items` that belong here (None: all), `takes` says which of them do."""
        self.items = items
        self.columns = columns
        self.scene = scene
        self.is_descending = is_descending
        self.filter_text = ""
        self._keys = keys
        self._takes = takes
        self._sort = next((column for column in columns if column.name == sort), None)
        self._filter = Filter()
        self._places: list[Place] = []
        self._known: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def sorted_by(self) -> str | None:
        """The column's name; None is by key."""
        return self._sort.name if self._sort else None

    def key_at(self, row: int) -> str:
        """The key of a row, counted from 0."""
        return self._places[-1 - row if self.is_descending else row][1]

    def row_of(self, key: str | None) -> int | None:
        """Where a key stands; None if it isn't here."""
        place = self._known.get(key or "")
        if place is None:
            return None
        row = bisect_left(self._places, place)
        return len(self._places) - 1 - row if self.is_descending else row

    def sort_by(self, name: str | None, *, is_descending: bool) -> None:
        """Sort by another column from the next `rebuild` on."""
        self._sort = next((column for column in self.columns if column.name == name), None)
        self.is_descending = is_descending

    def filter_by(self, text: str) -> None:
        """Filter by another text from the next `rebuild` on."""
        self.filter_text = text
        self._filter = parse_filter(text, tuple(column.name for column in self.columns))

    def update(self, changed: Collection[str]) -> None:
        """Put what has changed where it belongs now."""
        scene = self.scene()
        for key in changed:
            self._take_out(key)
            item = self.items.get(key)
            if item is not None and self._belongs(item, scene):
                place = (self._sortable(item, scene), key)
                insort(self._places, place)
                self._known[key] = place

    def rebuild(self) -> Iterator[None]:
        """Put every row in its place, in steps of some milliseconds each. The old order stands until the last one."""
        scene = self.scene()
        runs: list[list[Place]] = []
        keys = list(self.items if self._keys is None else self._keys())
        for start in range(0, len(keys), SLICE):
            runs.append(sorted(self._placed(keys[start : start + SLICE], scene)))
            yield
        merged: list[Place] = []
        for count, place in enumerate(heapq.merge(*runs) if len(runs) > 1 else runs[0] if runs else ()):
            merged.append(place)
            if count % (4 * SLICE) == 4 * SLICE - 1:
                yield
        self._places = merged
        self._known = {place[1]: place for place in merged}

    def _placed(self, keys: Sequence[str], scene: Scene) -> Iterator[Place]:
        for key in keys:
            item = self.items.get(key)
            if item is not None and self._belongs(item, scene):
                yield (self._sortable(item, scene), key)

    def _take_out(self, key: str) -> None:
        place = self._known.pop(key, None)
        if place is not None:
            del self._places[bisect_left(self._places, place)]

    def _belongs(self, item: T, scene: Scene) -> bool:
        if self._takes is not None and not self._takes(item):
            return False
        if not self._filter.terms:
            return True
        return self._filter.takes({column.name: column.cell(item, scene).text for column in self.columns})

    def _sortable(self, item: T, scene: Scene) -> Sortable:
        if self._sort is None or self._sort.sort is None:
            return (False, 0.0)
        return self._sort.sort(item, scene)
