"""What is known of models that were fetched from elsewhere: which bytes a URL led to last. Everything here blocks.

URLs may hold what is secret, so that their hash alone is written down.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

import msgspec

from daemons.orchestrator.modelstore.folder import PULLS, UPLOADS, ModelFolder, as_file_name
from daemons.runtime.files import write_atomically
from daemons.runtime.locks import FileLock
from daemons.transfer.partial import Partial, Validators

LOCKS_KEPT_FOR_S: Final = 24 * 3600.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL led to when it was asked last."""

    sha256: str
    validators: Validators
    """With these its server can be asked whether that still holds."""


class Pulled:
    """All that were fetched into a folder."""

    def __init__(self, folder: ModelFolder) -> None:
        self._contents = folder
        self._folder = folder.root / PULLS
        self._parts = folder.root / UPLOADS

    def lock(self, url: str) -> FileLock:
        """Held by whoever fetches from this URL, of all processes that share the folder."""
        return FileLock(self._folder / f"{as_file_name(url)}.lock")

    def partial(self, url: str) -> Partial:
        """Where the bytes from this URL go, for the holder of its lock."""
        return Partial(self._parts / f"pull-{as_file_name(url)}.part")

    def get(self, url: str) -> Record | None:
        """What is known of the URL, if its bytes are still kept."""
        record = _read(self._record(url))
        return record if record is not None and self._contents.content(record.sha256) is not None else None

    def put(self, url: str, record: Record) -> None:
        """Note what the URL has led to."""
        write_atomically(self._record(url), msgspec.json.encode(record), mode=0o600)

    def remove_stale(self) -> None:
        """Forget URLs whose bytes have gone, and locks that nobody has wanted for a day.

        Whoever waits for such a lock at that moment may fetch beside another: that costs a transfer, and no more.
        """
        for path in self._folder.glob("*.json"):
            record = _read(path)
            if record is None or self._contents.content(record.sha256) is None:
                path.unlink(missing_ok=True)
        before = time.time() - LOCKS_KEPT_FOR_S
        for path in self._folder.glob("*.lock"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _record(self, url: str) -> Path:
        return self._folder / f"{as_file_name(url)}.json"


def _read(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
