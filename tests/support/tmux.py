"""A terminal that a program really runs in, driven by keys and read as text: tmux, with a server of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import until

HAS_TMUX = shutil.which("tmux") is not None


class Tmux:
    """One window."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def __call__(self, *arguments: str) -> str:
        """A command of tmux, and what it prints."""
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    def press(self, *keys: str) -> None:
        """Keys, as tmux calls them."""
        self("send-keys", "-t", "it", *keys)

    def write(self, text: str) -> None:
        """Text, as it is."""
        self("send-keys", "-t", "it", "-l", text)

    @property
    def screen(self) -> str:
        """What is to be read now."""
        return self("capture-pane", "-p", "-t", "it")

    def wait_for(self, *texts: str, timeout_s: float = 60.0) -> str:
        """The screen as soon as all of these are on it."""

        def look() -> str | None:
            screen = self.screen
            return screen if all(text in screen for text in texts) else None

        try:
            return until(look, f"{texts} on the screen", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is:\n{self.screen}") from error


@contextmanager
def in_tmux(script: str, columns: int, lines: int) -> Iterator[Tmux]:
    """A shell that runs `script` and stays; all of it ended with the block."""
    with tempfile.TemporaryDirectory(prefix="bf-tmux-") as folder:  # a socket's path must be short
        tmux = Tmux(Path(folder) / "s")
        tmux("new-session", "-d", "-s", "it", "-x", str(columns), "-y", str(lines), f"{script}; exec cat")
        try:
            yield tmux
        finally:
            tmux("kill-server")
