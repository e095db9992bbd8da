"""Lists that come in pages, as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from msgspec import UnsetType

T = TypeVar("T")


async def all_of(page: Callable[[str | None], Awaitable[tuple[list[T], str | UnsetType]]]) -> AsyncIterator[T]:
    """What is on all pages. `page` is asked with a cursor: what is on it, and the cursor of the next."""
    cursor: str | None = None
    while True:
        items, following = await page(cursor)
        for item in items:
            yield item
        if isinstance(following, UnsetType):
            return
        cursor = following
