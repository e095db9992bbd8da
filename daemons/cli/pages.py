"""Lists that the server gives in pages, asked for as far as they are wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import click

Document = dict[str, Any]

PAGE: Final = 1000
DEFAULT_LIMIT: Final = 1000

limit_option: Final = click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show so many at most.",
)


async def collected(page_of: Callable[..., Awaitable[Document]], key: str, limit: int, **filters: Any) -> Document:
    """One list of at most `limit`, with `next_cursor` if there are more. `page_of` takes `limit` and `cursor`."""
    found: list[Document] = []
    cursor: str | None = None
    while True:
        page = await page_of(limit=min(PAGE, limit - len(found)), cursor=cursor, **filters)
        found += page[key]
        cursor = page.get("next_cursor")
        if cursor is None or len(found) >= limit:
            break
    listing: Document = page | {"count": len(found), key: found}
    return listing


def more_of(listing: Document) -> str | None:
    """What to say below a list that doesn't show everything."""
    if listing.get("next_cursor") is None:
        return None
    return f"There are more than these {listing['count']:,}; --limit shows more, filters fewer."
