"""What `/` takes: words that a row must have, `!word` for one that it must not, `column:word` for one column alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Term(NamedTuple):
    """One word of a filter."""

    word: str
    column: str = ""
    is_inverted: bool = False

    def takes(self, texts: Mapping[str, str]) -> bool:
        """Whether a row with these texts, by column, passes."""
        wanted = [texts[self.column]] if self.column else texts.values()
        return any(self.word in text.lower() for text in wanted) != self.is_inverted


class Filter(NamedTuple):
    """All words of a filter; every one must let a row pass."""

    terms: tuple[Term, ...] = ()

    def takes(self, texts: Mapping[str, str]) -> bool:
        """Whether a row passes."""
        return all(term.takes(texts) for term in self.terms)


def parse_filter(text: str, columns: tuple[str, ...]) -> Filter:
    """The filter that a person has written. A word that is no column's name before a colon is a word like others."""
    return Filter(tuple(term for word in text.lower().split() if (term := _term(word, columns)) is not None))


def _term(word: str, columns: tuple[str, ...]) -> Term | None:
    is_inverted, word = word.startswith("!"), word.removeprefix("!")
    column, colon, rest = word.partition(":")
    if colon and column in columns:
        return Term(rest, column, is_inverted) if rest else None
    return Term(word, "", is_inverted) if word else None
