"""HTTP as it passes on a wire: what somebody between client and server sees of it, whatever either says later."""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nidempotency-key:\s*([^\r]*)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Exchange:
    """A request, and its answer if one passed. `asked` and `answered` are places in the order of all that passed."""

    method: str
    path: str
    key: str | None
    body: Any
    asked: int
    answered: int | None = None
    status: int | None = None
    answer: Any = None


class Messages:
    """Cuts a stream into HTTP messages: head and body. Bodies without a length are none, as this API has it."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take in what came; the messages that are whole with it."""
        self._buffer += data
        whole = []
        while (end := self._buffer.find(_END_OF_HEAD)) >= 0:
            head, begin = self._buffer[:end], end + len(_END_OF_HEAD)
            length = _LENGTH.search(head)
            after = begin + (int(length[1]) if length else 0)
            if len(self._buffer) < after:
                break
            whole.append((head, self._buffer[begin:after]))
            self._buffer = self._buffer[after:]
        return whole


@dataclass
class Recorder:
    """Keeps the exchanges of all connections that are `wanted` by their method and path."""

    wanted: Callable[[str, str], bool]
    exchanges: list[Exchange] = field(default_factory=list)
    _order: Any = field(default_factory=itertools.count)

    def tap(self) -> Tap:
        """An ear for one connection."""
        return Tap(self)

    def next_place(self) -> int:
        return next(self._order)


class Tap:
    """Listens to one connection; its requests are answered in their order."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._requests, self._answers = Messages(), Messages()
        self._open: deque[Exchange] = deque()

    def sent(self, data: bytes) -> None:
        """The client sent this. Told before the server gets it."""
        for head, body in self._requests.feed(data):
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            key = _KEY.search(head)
            exchange = Exchange(
                method, path, key[1].decode() if key else None, _document(body), self._recorder.next_place()
            )
            self._open.append(exchange)
            if self._recorder.wanted(method, path):
                self._recorder.exchanges.append(exchange)

    def answered(self, data: bytes) -> None:
        """The server answered this. Told before the client gets it, also when it never does."""
        for head, body in self._answers.feed(data):
            exchange = self._open.popleft()
            exchange.answered = self._recorder.next_place()
            exchange.status = int(head.split(b" ", 2)[1])
            exchange.answer = _document(body)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
