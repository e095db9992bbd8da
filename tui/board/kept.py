"""Things of one kind, each in its newest version, however often and in whatever order they were told of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Generic, TypeVar

T = TypeVar("T")

OnChange = Callable[[str, T | None, T | None], None]
"""Told of a key, what stood there and what stands there now; None is nothing."""


NOTHING: Final = -1
"""The version before all: what has not changed since it was made, such as a job that waits, has version 0."""


class Kept(Mapping[str, T], Generic[T]):
    """Key → the newest of what was told of it. Versions rise with time over all keys, and decide alone.

    A whole snapshot that was read at version V proves that what it lacks was gone at V: whatever is older than V and
    not in it is forgotten, and is not believed again.
    """

    def __init__(self, on_change: OnChange[T]) -> None:
        self._items: dict[str, T] = {}
        self._versions: dict[str, int] = {}
        self._floor = NOTHING
        self._on_change = on_change

    def __getitem__(self, key: str) -> T:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: str, version: int, item: T) -> bool:
        """Take `item`, unless something newer is known; whether it was taken."""
        if version <= self._versions.get(key, self._floor):
            return False
        self._set(key, version, item)
        return True

    def remove(self, key: str, version: int) -> bool:
        """Forget what stands there, unless it is newer; whether anything was forgotten."""
        if version <= self._versions.get(key, self._floor):
            return False
        return self._set(key, version, None)

    def settle(self, version: int, present: Collection[str]) -> None:
        """A whole snapshot, read at `version`, has held `present` and nothing else."""
        if version < self._floor:
            return
        self._floor = version
        for key in [key for key, known in self._versions.items() if known <= version and key not in present]:
            self._set(key, version, None)
            del self._versions[key]

    def discard(self, key: str) -> None:
        """Forget what stands there, without a claim that it is gone: it may be told of again."""
        if self._versions.pop(key, None) is not None and (old := self._items.pop(key, None)) is not None:
            self._on_change(key, old, None)

    def clear(self) -> None:
        """Forget everything: another fleet's life begins."""
        for key in list(self._versions):
            self.discard(key)
        self._floor = NOTHING

    def _set(self, key: str, version: int, item: T | None) -> bool:
        old = self._items.get(key)
        self._versions[key] = version
        if item is None:
            self._items.pop(key, None)
        else:
            self._items[key] = item
        if old is None and item is None:
            return False
        self._on_change(key, old, item)
        return True
