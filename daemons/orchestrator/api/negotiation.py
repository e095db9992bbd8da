"""Which of several content types a caller wants, by its `Accept` header. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_QUALITY: Final = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)


class _Range(NamedTuple):
    """One part of the header: what it takes, and how gladly."""

    pattern: str
    quality: float

    def rank(self, media: str) -> int:
        """How exactly it means this type; 0: not at all."""
        kind, _, _ = media.partition("/")
        return {media: 3, f"{kind}/*": 2, "*/*": 1, "*": 1}.get(self.pattern, 0)


def best_of(accept: Iterable[str], offered: Sequence[str]) -> str | None:
    """The type that the headers like best, the first of equals; None if they take none.

    Without a header anything is taken (RFC 9110, 12.5.1), and so it is with one that can't be understood.
    """
    ranges = [one for header in accept for part in header.split(",") if (one := _range(part)) is not None]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda media: _quality(ranges, media))
    return best if _quality(ranges, best) > 0 else None


def takes_gzip(accept_encoding: Iterable[str]) -> bool:
    """Whether the headers take an answer that is packed with gzip."""
    ranges = [one for header in accept_encoding for part in header.split(",") if (one := _range(part)) is not None]
    return _quality(ranges, "gzip") > 0


def _range(part: str) -> _Range | None:
    pattern, *parameters = part.strip().lower().split(";")
    qualities = [match[1] for text in parameters if (match := _QUALITY.fullmatch(text))]
    return _Range(pattern.strip(), float(qualities[-1]) if qualities else 1.0) if pattern.strip() else None


def _quality(ranges: list[_Range], media: str) -> float:
    """Of the part that means the type most exactly."""
    meant = [one for one in ranges if one.rank(media)]
    return max(meant, key=lambda one: one.rank(media)).quality if meant else 0.0
