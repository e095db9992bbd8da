"""Files of this machine: found while their path is written, and sent to the orchestrator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.suggester import Suggester

from daemons.core.urls import KeptModel, name_to_keep
from tui.forms.sending import Sent

if TYPE_CHECKING:
    from tui.desk import Desk


def problem_of_file(text: str) -> str | None:
    """Why there is no file to be sent at this path; None: there is one. It asks the disk."""
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            return "is a folder; a model that is one travels as a .zip"
        if not path.exists():
            return "is no URL, and no such file is here"
        with path.open("rb") as file:
            return None if file.read(1) else "is empty; a model has bytes"
    except OSError as error:
        return f"can't be read: {error.strerror or error}"


class LocalFiles(Suggester):
    """Suggests the rest of a path, or of the name of a model that the orchestrator keeps."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.kept: Sequence[str] = ()
        """As one would write them."""

    async def get_suggestion(self, value: str) -> str | None:
        """The first that begins so."""
        if not value.strip() or "://" in value:
            return None
        found = next((one for one in sorted(self.kept) if one.startswith(value)), None)
        return found or await asyncio.to_thread(_first_path, value)


def _first_path(value: str) -> str | None:
    folder, slash, beginning = value.rpartition("/")
    try:
        entries = sorted(Path(f"{folder}{slash}" or ".").expanduser().iterdir())
    except (OSError, RuntimeError):
        return None
    for entry in entries:
        if entry.name.startswith(beginning) and (beginning or not entry.name.startswith(".")):
            return f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
    return None


class Sending:
    """One file on its way."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        self.state = Sent(name=self.path.name)
        self._began_at = 0.0

    async def send(self, desk: Desk) -> str:
        """Upload it: the URL that names these very bytes. Raises BenchfleetError, or OSError if it can't be read."""
        name = name_to_keep(self.path.name)
        model = await desk.order("upload_model", path=self.path, name=name, on_progress=self._on_progress)
        return KeptModel(model["name"], model["sha256"]).url

    def _on_progress(self, done: int, total: int) -> None:
        if not self._began_at:
            self._began_at = time.monotonic()
            self.state = Sent(name=self.path.name, total_bytes=total, done_bytes=done, first_bytes=done)
            return
        self.state = Sent(
            name=self.path.name,
            done_bytes=done,
            total_bytes=total,
            first_bytes=self.state.first_bytes,
            elapsed_s=time.monotonic() - self._began_at,
        )
