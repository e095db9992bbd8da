"""What was told, written to a file with its times; and told again from one, as if it happened now."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from daemons.core.errors import ConfigInvalid, NotFound
from tui.board.told import Asked, Told, question

FLUSH_EVERY_S: Final = 1.0


class Line(Struct, frozen=True, kw_only=True):
    """A line of a recording."""

    t: float
    """Seconds since it began."""
    told: Told


class Recorder:
    """Writes what is told. What was written a second ago is on disk, however the program ends."""

    def __init__(self, file: IO[bytes], clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._began = clock()
        self._encoder = msgspec.json.Encoder()

    def tell(self, told: Told) -> None:
        """Write it down."""
        line = Line(t=round(self._clock() - self._began, 3), told=told)
        self._file.write(self._encoder.encode(line) + b"\n")

    async def keep(self) -> None:
        """Bring what was written to the disk now and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await asyncio.to_thread(self._file.flush)


def open_recording(path: Path) -> IO[bytes]:
    """A new file to record into, for its owner alone. ConfigInvalid if there can't be one."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError as error:
        raise ConfigInvalid(f"--record: {path} exists; name a new file") from error
    except OSError as error:
        raise ConfigInvalid(f"--record: {path} can't be written: {error.strerror or error}") from error


def read_recording(path: Path) -> list[Line]:
    """The lines of a recording. ConfigInvalid, with its line, for what is none. A last line that broke off is left."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"--replay: {path} can't be read: {error.strerror or error}") from error
    found = list(_lines(content.split(b"\n"), path))
    if not found:
        raise ConfigInvalid(f"--replay: {path} holds no recording; --record FILE makes one")
    return found


def _lines(texts: list[bytes], path: Path) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(Line)
    for number, text in enumerate(texts, 1):
        try:
            if text.strip():
                yield decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if number == len(texts):
                return  # the program that wrote it was killed
            raise ConfigInvalid(f"--replay: {path}:{number}: is no line of a recording ({error})") from error


class Replay:
    """Tells a recording again, at the pace at which it was made; and answers as the API answered then."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = lines
        self._answers: dict[str, Any] = {}

    async def follow(
        self, tell: Callable[[Told], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Tell all of it, and return at its end."""
        elapsed = 0.0
        for line in self._lines:
            if line.t > elapsed:
                await sleep(line.t - elapsed)
                elapsed = line.t
            if isinstance(line.told, Asked):
                self._answers[line.told.question] = line.told.answer
            tell(line.told)

    async def ask(self, method: str, arguments: dict[str, Any]) -> Any:
        """The last answer to this question that the recording has had until now; otherwise NotFound."""
        asked = question(method, arguments)
        if asked not in self._answers:
            raise NotFound("this is a replay, and what you ask for was not recorded up to here")
        return self._answers[asked]
