"""Server-sent events, as they are written in the HTML standard, read from the pieces in which they come. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    """One message of the stream."""

    name: str
    data: str


class Frames:
    """Makes frames of bytes. A comment, which keeps a connection alive, is none."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = "message"
        self._data: list[str] = []
        self._id = ""
        self.position = ""
        """The newest `id` of a whole message, also of one without data: where a listener that comes again goes on."""

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that this piece completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if frame := self._take(line.removesuffix(b"\r").decode("utf-8", "replace")):
                yield frame

    def _take(self, line: str) -> Frame | None:
        if not line:
            return self._dispatch()
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match key:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
        return None

    def _dispatch(self) -> Frame | None:
        name, data = self._name, self._data
        self._name, self._data, self.position = "message", [], self._id
        return Frame(name, "\n".join(data)) if data else None
