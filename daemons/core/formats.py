"""Rows of results as one document, made piece by piece: CSV, JSON or lines of JSON; and rows from a CSV file again.

A document is whole when its last piece is: whoever gets a part of one must be able to tell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TextIO

import msgspec

from daemons.core.answers import ResultRow
from daemons.core.models import Row
from daemons.core.results import COLUMNS, FORMULA_STARTS, LIST_COLUMNS, cell


class Document(Protocol):
    """One document on its way."""

    def begin(self) -> bytes:
        """What stands before all rows."""

    def rows(self, rows: Sequence[Mapping[str, object]]) -> bytes:
        """The next rows."""

    def end(self, cursor: str | None) -> bytes:
        """What stands after all rows. `cursor` leads to more."""


class CsvDocument:
    """A header line, then one line a row, as RFC 4180 has them."""

    def begin(self) -> bytes:
        """The names of the columns."""
        return _csv([COLUMNS])

    def rows(self, rows: Sequence[Mapping[str, object]]) -> bytes:
        """The next rows."""
        return _csv([cell(row.get(column)) for column in COLUMNS] for row in rows)

    def end(self, _cursor: str | None) -> bytes:
        """Nothing: a CSV document has no place for it."""
        return b""


class JsonDocument:
    """One object: the rows, how many they are, and a cursor if there is more."""

    def __init__(self) -> None:
        self._count = 0

    def begin(self) -> bytes:
        """The object's beginning."""
        return b'{"results":['

    def rows(self, rows: Sequence[Mapping[str, object]]) -> bytes:
        """The next rows."""
        comma = b"," if self._count and rows else b""
        self._count += len(rows)
        return comma + b",".join(map(_encoded, rows))

    def end(self, cursor: str | None) -> bytes:
        """How many there were, and the object's end."""
        more = b',"next_cursor":' + msgspec.json.encode(cursor) if cursor is not None else b""
        return b'],"count":%d%b}' % (self._count, more)


class LinesDocument:
    """One object a line."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, rows: Sequence[Mapping[str, object]]) -> bytes:
        """The next rows."""
        return b"".join(_encoded(row) + b"\n" for row in rows)

    def end(self, _cursor: str | None) -> bytes:
        """Nothing: each line is a row."""
        return b""


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()


def _encoded(row: Mapping[str, object]) -> bytes:
    """Every column, so that all rows have the same keys; what is not known is null."""
    return msgspec.json.encode({column: row.get(column, _UNKNOWN.get(column)) for column in COLUMNS})


_UNKNOWN: Final[dict[str, Any]] = {column: [] for column in LIST_COLUMNS}


def read_csv(file: TextIO) -> Iterator[Row]:
    """The rows of a CSV file that was written here. ValueError if a cell holds what its column can't."""
    for line in csv.DictReader(file):
        cells = {column: _value(column, text) for column, text in line.items() if text and column in COLUMNS}
        yield msgspec.to_builtins(msgspec.convert(cells, ResultRow, strict=False))


def _value(column: str, text: str) -> Any:
    plain = text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA_STARTS) else text
    return plain.split("; ") if column in LIST_COLUMNS else plain
