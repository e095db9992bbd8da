"""The folder of CSV files: what is in it, and which file a name means. A name from outside never becomes a path."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from daemons.core.errors import NotFound
from daemons.runtime.files import write_atomically

MARK_FILE: Final = ".benchfleet-outputs"

_RESULTS_FILE: Final = re.compile(r"(campaign-\d{1,20})_\d{8}_\d{6}_results\.csv")


def _results_files(outputs: Path) -> list[Path]:
    if not outputs.is_dir():
        return []
    return [path for path in outputs.iterdir() if _RESULTS_FILE.fullmatch(path.name) and path.is_file()]


def _campaign_of(path: Path) -> str:
    match = _RESULTS_FILE.fullmatch(path.name)
    return match[1] if match else ""


def list_results_files(outputs: Path) -> list[dict[str, Any]]:
    """Every results file, the newest first: ``{filename, size_mb, modified}``."""
    found = [(path.name, path.stat()) for path in _results_files(outputs)]
    found.sort(key=lambda item: (item[1].st_mtime, item[0]), reverse=True)
    return [
        {
            "filename": name,
            "size_mb": round(stat.st_size / 2**20, 4),
            "modified": datetime.fromtimestamp(stat.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for name, stat in found
    ]


def results_file(outputs: Path, filename: str) -> Path:
    """The results file of this name, or NotFound."""
    path = outputs / filename
    if not _RESULTS_FILE.fullmatch(filename) or path.is_symlink() or not path.is_file():
        raise NotFound(f"there is no results file {filename[:120]!r}; GET /api/results/files lists them")
    return path


def remove_older_files(newest: Path, campaign_id: str) -> None:
    """Leave `newest` alone of a campaign's files. One that was opened again ends a second time, under another name."""
    for path in _results_files(newest.parent):
        if _campaign_of(path) == campaign_id and path.name < newest.name:
            path.unlink(missing_ok=True)


def folder_mark(folder: Path, name: str = MARK_FILE) -> str:
    """What tells this folder from others, made if it has none: two orchestrators that read the same share it.

    Empty where it can't be written: whoever has something to write there will say so.
    """
    path = folder / name
    try:
        if not path.is_file():
            write_atomically(path, secrets.token_hex(8).encode())
        return path.read_text("ascii", errors="replace").strip()
    except OSError:
        return ""


def find_results_file(outputs: Path, campaign_id: str) -> Path | None:
    """The newest results file of a campaign, if there is one."""
    named = [path for path in _results_files(outputs) if _campaign_of(path) == campaign_id]
    return max(named, key=lambda path: path.name, default=None)
