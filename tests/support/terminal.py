"""A program in a terminal of its own (a pty), whose screen is read as a person would see it change."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

_CODES = re.compile(rb"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[P_][^\x1b]*\x1b\\|\x1b.")


class Terminal:
    """What the program writes, without what only moves the cursor or sets colours."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._raw = b""

    def press(self, keys: str) -> float:
        """Press keys; when that was. What was written before is forgotten."""
        self.drain()
        self._raw = b""
        os.write(self._descriptor, keys.encode())
        return time.perf_counter()

    def drain(self) -> None:
        """Take what has been written."""
        while select.select([self._descriptor], [], [], 0)[0]:
            self._raw += os.read(self._descriptor, 2**16)

    def wait_for(self, text: str, timeout_s: float = 20.0) -> float:
        """When `text` was written; AssertionError if it isn't in time."""
        deadline = time.perf_counter() + timeout_s
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([self._descriptor], [], [], left)[0]:
                self._raw += os.read(self._descriptor, 2**16)
                if text in self.text:
                    return time.perf_counter()
        raise AssertionError(f"waited {timeout_s:g} s in vain for {text!r}; there was {self.text[-2000:]!r}")

    @property
    def text(self) -> str:
        """What was written since a key was pressed last."""
        return _CODES.sub(b"", self._raw).decode("utf-8", "replace")


@contextmanager
def in_terminal(
    command: Sequence[str], environ: dict[str, str], columns: int = 120, lines: int = 40
) -> Iterator[tuple[Terminal, int]]:
    """The program, running there, and its process; killed if it still runs at the end."""
    process, descriptor = pty.fork()
    if process == 0:
        os.execvpe(command[0], list(command), environ)
    try:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        yield Terminal(descriptor), process
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(descriptor)
